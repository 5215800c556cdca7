"""Survey, Reset, Stash: what lies in a workspace, and how it is cleared from chat."""

import contextlib
import os
from typing import Any

from herald import durable, journal, snapshot
from herald_agent import locks, process
from herald_agent.access import Access, access
from herald_agent.changes import changes
from herald_agent.git import refused
from herald_agent.inside import Unusable
from herald_agent.obstacles import check_out
from herald_agent.opening import recover
from herald_agent.ownclone import set_aside
from herald_agent.repository import Repository
from herald_agent.workspace import workspace_of

_LONG = 900.0
_MOST_FILES = 5_000_000


def survey(parameters: dict[str, Any]) -> dict[str, Any]:
    """How much there is: bytes on the disk, files, and entries that git does not track. Raises Busy, Conflict."""
    reached = _reached(parameters)
    repository = reached.repository_if_there()
    if repository is None:
        return {"made": False, "bytes": 0, "files": 0, "untracked": 0, "uncommitted": 0}
    recover(reached.workspace, repository, reached.record)
    size, files = reached.git.inside(lambda: _measured(reached.workspace.folder), deadline=_LONG)
    others = reached.git.listed("ls-files", "-z", "--others", "--directory", "--no-empty-directory")
    found = changes(repository.git, with_untracked=False)
    return {
        "made": True,
        "bytes": size,
        "files": files,
        "untracked": len(others),
        "uncommitted": len(found.paths) + found.staged,
    }


def reset(parameters: dict[str, Any]) -> dict[str, Any]:
    """Clear the workspace: an own one is made anew, a person's folder is cleaned. Raises Busy, Conflict.

    Branches that nobody has elsewhere must have been taken before, or `keep` sets the own one aside; they stay in a
    person's folder.
    """
    reached = _reached(parameters)
    workspace, aside = reached.workspace, ""
    if reached.own is None:
        _clean(reached.repository([]), reached)
    elif parameters["keep"] and os.path.lexists(workspace.folder):
        aside = set_aside(workspace, reached.record)
        reached.record.clear()
    else:
        gone = f"{workspace.folder}.gone"
        _remove(gone, reached)
        if os.path.lexists(workspace.folder):
            os.rename(workspace.folder, gone)
        reached.record.clear()
        _remove(gone, reached)
    journal.notice(f"the workspace {workspace.name} was reset", project=workspace.project.name)
    return {"reset": True, "set_aside": aside}


def _remove(gone: str, reached: Access) -> None:
    """Remove a workspace that was renamed; what cannot be removed gets a name that stays, and is told."""
    process.remove_tree(gone)
    if os.path.lexists(gone):
        aside = durable.set_aside(gone)
        journal.warning(f"what could not be removed is {aside}", project=reached.workspace.project.name)
        reached.record.tell(f"Not all of the workspace could be removed when it was reset; what is left is {aside}.")
        reached.record.write()


def stash(parameters: dict[str, Any]) -> dict[str, Any]:
    """Put aside what is uncommitted in a person's folder, by `git stash`. Raises Busy, Conflict."""
    reached = _reached(parameters)
    if reached.own is not None:
        raise Unusable(f"the workspace {reached.workspace.name} is Herald's own: `!reset` makes it anew")
    repository = reached.repository([])
    recover(reached.workspace, repository, reached.record)
    repository.require_rest()
    before = repository.git.commit_of("refs/stash")
    repository.git(
        "stash", "push", "--quiet", "--include-untracked", "--message", "Put aside by Herald", deadline=_LONG
    )
    made = repository.git.commit_of("refs/stash")
    _leave_branch(repository, reached)
    return {"stashed": bool(made) and made != before}


def _reached(parameters: dict[str, Any]) -> Access:
    settings = snapshot.read()
    workspace = workspace_of(settings.project(parameters["project"]), parameters["workspace"])
    locks.take_workspace(workspace.name)
    return access(settings, workspace)


def _clean(repository: Repository, reached: Access) -> None:
    git = repository.git
    if reached.record.going is not None:
        recover(reached.workspace, repository, reached.record)
    repository.require_rest()
    git("reset", "--quiet", "--hard", deadline=_LONG)
    git("clean", "-ffdx", "--quiet", deadline=_LONG)
    _leave_branch(repository, reached)
    reached.record.clear()


def _leave_branch(repository: Repository, reached: Access) -> None:
    """Nothing is left uncommitted in a person's folder: what was checked out there before is again. Raises Failed."""
    left, record, notes = reached.record.uncommitted, reached.record, list[str]()
    if left is None:
        return
    if left.back and repository.git.branch() == left.branch:
        output = check_out(repository.git, reached.workspace.kept, left.back, notes)
        if output.code:
            raise refused("checkout", output)
    record.uncommitted = None
    record.tell(*notes)
    record.write()


def _measured(place: str) -> tuple[int, int]:
    """In the child: bytes on the disk, and files."""
    size = files = 0
    folders = [place]
    while folders and files <= _MOST_FILES:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    files += 1
    return size, files
