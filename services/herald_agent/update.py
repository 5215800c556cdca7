"""Update: a workspace is brought up to a commit before somebody waits for it."""

import os
import stat
from typing import Any

from herald import journal, snapshot
from herald.errors import Invalid
from herald_agent import largefiles, locks
from herald_agent.access import Access, access
from herald_agent.gitfolder import Upstream
from herald_agent.obstacles import tell_of_moved
from herald_agent.opening import recover
from herald_agent.reference import check_branch, check_hash
from herald_agent.repository import Repository
from herald_agent.workspace import workspace_of

_MOST_HAVE = 1000


def update(parameters: dict[str, Any]) -> dict[str, Any]:
    """Take what the pack holds, and make an own workspace that is not there. In a person's folder nothing else changes.

    `complete` says whether `base` is there now, `held` which of `have` are, with their history. Raises Busy while an
    agent is at work there, Incomplete when what came was not all, Conflict when the workspace cannot be used.
    """
    settings = snapshot.read()
    project = settings.project(parameters["project"])
    base, have, pack = parameters["base"], parameters["have"][:_MOST_HAVE], parameters["pack"]
    branch, head = parameters["default_branch"], parameters["default_head"]
    if not all(map(check_hash, (base, head, *have))) or not check_branch(branch):
        raise Invalid("base, default_head and have must be full hashes of commits, default_branch a branch")
    if not stat.S_ISREG(os.fstat(pack).st_mode):
        raise Invalid("pack must be a regular file")
    workspace = workspace_of(project, parameters["workspace"])
    locks.take_workspace(workspace.name)
    reached = access(settings, workspace, upstream=Upstream(branch, head))
    if reached.own is not None:
        return _of_own(reached, base, have, pack)
    repository = reached.repository([])
    if os.fstat(pack).st_size:
        repository.import_pack(pack)
    held = [] if _is_cut_off(repository) else repository.known(have) if have else []
    return {"complete": repository.git.commit_of(base) == base, "held": held}


def _of_own(reached: Access, base: str, have: list[str], pack: int) -> dict[str, Any]:
    assert reached.own is not None
    own = reached.own
    if not os.fstat(pack).st_size and not own.store.holds(base):
        return {"complete": False, "held": [each for each in have if own.store.holds(each)]}
    own.store.take(pack, base)
    notes: list[str] = []
    repository = reached.repository(notes)
    largefiles.require(repository.git, base, reached.workspace.project.name)
    recover(reached.workspace, repository, reached.record)
    if not os.path.exists(reached.record.index) and reached.record.uncommitted is None:
        moved = own.check_out(base, "", notes)
        tell_of_moved(reached.workspace.kept, moved, notes)
        reached.record.tell(*notes)
        reached.record.write()
        journal.notice(f"the workspace {reached.workspace.name} is made", project=reached.workspace.project.name)
    return {"complete": True, "held": [base]}


def _is_cut_off(repository: Repository) -> bool:
    """Whether the history of the clone has an end that is not its beginning, or objects elsewhere."""
    git = repository.git
    shallow = git.attempt("rev-parse", "--is-shallow-repository").out.strip() == b"true"
    return shallow or git.attempt("config", "--get-regexp", r"^remote\..*\.promisor$").code == 0
