"""Discard: a branch that was voted down leaves the clone, unless somebody went on working on it."""

from typing import Any

from herald import snapshot
from herald.errors import Invalid
from herald_agent import locks
from herald_agent.confinement import confine
from herald_agent.environment import git_environment
from herald_agent.git import Git, is_below
from herald_agent.record import Record
from herald_agent.reference import check_branch, check_hash
from herald_agent.repository import Repository, open_repository
from herald_agent.workspace import recover


def discard(parameters: dict[str, Any]) -> dict[str, Any]:
    """Delete a branch and its worktree. One that is gone already is removed.

    Raises Busy while an agent is at work there, Conflict when the workspace cannot be used.
    """
    settings = snapshot.read()
    project = settings.project(parameters["project"])
    branch, head = parameters["branch"], parameters["head"]
    if not check_branch(branch) or not check_hash(head):
        raise Invalid("branch and head must be a branch's name and the full hash of a commit")
    locks.take_workspace(project.name)
    confinement = confine(settings, project)
    repository = open_repository(project, Git(project.path, git_environment(project), confine=confinement.enter))
    recover(project, repository, Record(project.name))
    reason = _remove(repository, branch, head, locks.folder("worktrees", project.name))
    return {"removed": not reason, "reason": reason}


def _remove(repository: Repository, branch: str, head: str, worktrees: str) -> str:
    """Remove the branch; returns why it was kept, empty when it is gone."""
    git = repository.git
    found = git.head_of(branch)
    if not found:
        return ""
    if not repository.known([head]):
        return f"branch {branch} does not hold the commit {head[:12]}"
    further = int(git("rev-list", "--count", f"{head}..{found}"))
    if further:
        more, them = ("1 commit", "it is") if further == 1 else (f"{further} commits", "they are")
        return f"branch {branch} holds {more} beyond {head[:12]}; delete it by hand if {them} not wanted"
    at = repository.worktrees().get(branch, "")
    if at and not is_below(at, worktrees):
        return f"branch {branch} is checked out in {at}; check out another one there"
    if at:
        git("worktree", "remove", "--force", "--force", "--", at, deadline=300.0)
    git("update-ref", "-d", f"refs/heads/{branch}", found)
    return ""
