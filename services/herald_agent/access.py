"""How an act reaches a workspace: confined as the workspace's runs are."""

import os
from typing import NamedTuple

from herald.snapshot import Snapshot
from herald_agent import submodule_record
from herald_agent.confinement import Confinement, confine
from herald_agent.environment import git_environment
from herald_agent.git import Git
from herald_agent.gitfolder import Upstream
from herald_agent.inside import Unusable
from herald_agent.ownclone import OwnClone, make_folder
from herald_agent.record import Record
from herald_agent.recovery import leave_elsewhere
from herald_agent.repository import Repository, open_own, open_repository
from herald_agent.stop import StopSignal
from herald_agent.store import Store
from herald_agent.submodule_making import Making
from herald_agent.takeover import take_over
from herald_agent.workspace import Workspace


class Access(NamedTuple):
    """A workspace for one act, whose lock the caller has."""

    settings: Snapshot
    workspace: Workspace
    record: Record
    confinement: Confinement
    git: Git
    own: OwnClone | None

    def repository(self, notes: list[str]) -> Repository:
        """Its repository; an own one is made if it is not there. Raises Unusable, Failed, OSError."""
        if self.own is None:
            return open_repository(self.workspace.project, self.git)
        if not self.own.is_there() and not self.record.has_taken_over:
            self.record.set_taking_over()
        repository = open_own(self.own, notes)
        if self.record.taking_over:
            take_over(self.settings, self.own, notes)
        self.record.set_taken_over()
        return repository

    def repository_if_there(self) -> Repository | None:
        """Its repository, None while an own one has not been made. Raises Unusable."""
        if self.own is not None and not self.own.is_there():
            return None
        return self.repository([])


def access(
    settings: Snapshot,
    workspace: Workspace,
    *,
    stop: StopSignal | None = None,
    temporary: str = "",
    readable: str = "",
    upstream: Upstream | None = None,
) -> Access:
    """Raises OSError as `confinement.confine` does."""
    if workspace.own:
        os.makedirs(workspace.kept, 0o700, exist_ok=True)
        make_folder(workspace)
    confinement = confine(settings, workspace, temporary, readable)
    git = Git(workspace.folder, git_environment(workspace), stop, confinement.enter, workspace.home)
    record = Record(workspace)
    leave_elsewhere(record)
    if upstream is not None and upstream.branch:
        record.upstream = (upstream.branch, upstream.head)
    own = None
    if workspace.own:
        making = Making(settings, workspace.project, workspace.name, submodule_record.load(workspace.name))
        own = OwnClone(git, workspace, Store(settings, workspace.project), record, making, Upstream(*record.upstream))
    elif not os.path.isdir(workspace.folder):
        name, path = workspace.project.name, workspace.folder
        raise Unusable(f"the folder {path} of {name} is missing; clone the project there")
    return Access(settings, workspace, record, confinement, git, own)
