"""Discard: a branch that was voted down leaves the workspace, unless somebody went on working on it."""

from typing import Any

from herald import snapshot
from herald.errors import Invalid
from herald_agent import locks, submodule_checkout
from herald_agent.access import access
from herald_agent.obstacles import tell_of_moved
from herald_agent.opening import recover
from herald_agent.ownclone import OwnClone
from herald_agent.reference import check_branch, check_hash
from herald_agent.repository import Repository
from herald_agent.workspace import workspace_of


def discard(parameters: dict[str, Any]) -> dict[str, Any]:
    """Delete a branch; in an own workspace the tracked files are those of `base` then, and what git ignores stays.

    One that is gone already is removed. `ignored` counts files and folders that stay.

    Raises Busy while an agent is at work there, Conflict when the workspace cannot be used.
    """
    settings = snapshot.read()
    project = settings.project(parameters["project"])
    branch, head = parameters["branch"], parameters["head"]
    if not check_branch(branch) or not check_hash(head):
        raise Invalid("branch and head must be a branch's name and the full hash of a commit")
    base = parameters["base"]
    if base and not check_hash(base):
        raise Invalid("base must be the full hash of a commit")
    workspace = workspace_of(project, parameters["workspace"])
    locks.take_workspace(workspace.name)
    reached = access(settings, workspace)
    repository = reached.repository_if_there()
    if repository is None:
        return {"removed": True, "reason": "", "ignored": 0}
    recover(workspace, repository, reached.record)
    reason = _remove(repository, branch, head, base)
    return {"removed": not reason, "reason": reason, "ignored": 0 if reason else _ignored(repository)}


def _ignored(repository: Repository) -> int:
    """How many files and whole folders git ignores in an own workspace."""
    if repository.own is None:
        return 0
    options = ("--others", "--ignored", "--exclude-standard", "--directory", "--no-empty-directory")
    return len(repository.git.listed("ls-files", "-z", *options))


def _remove(repository: Repository, branch: str, head: str, base: str) -> str:
    """Remove the branch; returns why it was kept, empty when it is gone."""
    git = repository.git
    found = git.head_of(branch)
    if not found:
        return ""
    if not repository.known([head]):
        return f"branch {branch} does not hold the commit {head[:12]}"
    further = int(git("rev-list", "--count", f"{head}..{found}", "--"))
    if further:
        more, them = ("1 commit", "it is") if further == 1 else (f"{further} commits", "they are")
        return f"branch {branch} holds {more} beyond {head[:12]}; delete it by hand if {them} not wanted"
    if repository.own is not None:
        _leave(repository.own, branch, base)
    elif git.branch() == branch:
        return f"branch {branch} is checked out in {repository.folder}; check out another one there"
    git("update-ref", "-d", f"refs/heads/{branch}", found)
    submodule_checkout.drop(git, submodule_checkout.within(git) if repository.own else "", branch)
    return ""


def _leave(own: OwnClone, branch: str, base: str) -> None:
    """Nothing of the branch is in the tracked files any more, if they were the branch's."""
    if own.git.branch() != branch:
        return
    places = own.git.commits_of(*filter(None, ("refs/remotes/origin/HEAD", base, *own.store.tips())))
    notes: list[str] = []
    moved = own.check_out(next(filter(None, places)), "", notes)
    tell_of_moved(own.workspace.kept, moved, notes)
    own.record.tell(*notes)
    own.record.uncommitted = None
    own.record.write()
