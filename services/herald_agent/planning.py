"""On which branch of a workspace a run works, and whether it goes on with what was left there."""

import os
from typing import NamedTuple

from herald_agent.changes import changes
from herald_agent.inside import Unusable
from herald_agent.ownclone import set_aside
from herald_agent.record import Going, Record, Uncommitted
from herald_agent.repository import Repository, check_rest
from herald_agent.store import Incomplete
from herald_agent.workspace import Workspace


class Wanted(NamedTuple):
    """What a run asks for. `title` is the message of what the agent leaves uncommitted."""

    branch: str
    base: str
    title: str


class Plan(NamedTuple):
    """The run, and whether it goes on in the tree as it is."""

    going: Going
    go_on: bool


def plan(workspace: Workspace, repository: Repository, record: Record, wanted: Wanted) -> Plan:
    """Raises Unusable, Incomplete, Failed."""
    git, left = repository.git, record.uncommitted
    if left is not None and _is_there_still(workspace, repository, record, left):
        going = _going(workspace, wanted, left.branch, left.base, created=False, ours=True)
        return Plan(going._replace(back=left.back), go_on=True)
    start, at_asked = git.commits_of(wanted.base, f"refs/heads/{wanted.branch}")
    if not start:
        raise Incomplete(f"{repository.folder} lacks the commit {wanted.base[:12]} to start from")
    branch = record.continued(wanted.branch, wanted.base)
    head = git.head_of(branch) if branch else ""
    if not head:
        branch, head = wanted.branch, at_asked
        number = 1
        while head and head != wanted.base:
            number += 1
            branch = f"{wanted.branch}-{number}"
            head = git.head_of(branch)
    ours = not head or branch == record.continued(wanted.branch, wanted.base)
    going = _going(workspace, wanted, branch, wanted.base, created=not head, ours=ours)
    if repository.own is None:
        going = going._replace(back=_back(repository, record))
    return Plan(going, go_on=False)


def name_what_is_elsewhere(record: Record, notes: list[str]) -> None:
    """Say once where changes are that were left uncommitted when the project worked in another folder."""
    for left in record.elsewhere:
        kind = f"elsewhere {left.branch}"
        if kind not in record.told:
            record.told.append(kind)
            notes.append(
                f"Changes that an earlier task left uncommitted are in {left.folder}, on branch {left.branch};"
                " this task does not go on with them."
            )
            if left.back:
                notes.append(f"Once they are committed or stashed there, `git checkout {left.back}` puts it back.")


def _going(workspace: Workspace, wanted: Wanted, branch: str, base: str, *, created: bool, ours: bool) -> Going:
    return Going(
        own=workspace.own,
        folder=workspace.folder,
        asked=wanted.branch,
        branch=branch,
        base=base,
        back="",
        title=wanted.title,
        created=created,
        ours=ours,
    )


def _is_there_still(workspace: Workspace, repository: Repository, record: Record, left: Uncommitted) -> bool:
    """Raises Incomplete when the tree is there and nothing tells any more what was checked out in it."""
    if not repository.git.head_of(left.branch):
        return False
    if repository.own is None:
        return repository.git.branch() == left.branch
    if os.path.exists(record.index):
        return True
    aside = set_aside(workspace, record)
    record.clear()
    raise Incomplete(
        f"what was left uncommitted on branch {left.branch} cannot be told from the rest any more; the workspace is"
        f" kept as {aside} and made anew"
    )


def _back(repository: Repository, record: Record) -> str:
    """What is checked out in the project's folder, or was before a run that could not leave it.

    Raises Unusable when it cannot be left and put back.
    """
    git = repository.git
    if not git.commit_of("HEAD"):
        raise Unusable(f"{repository.folder} has no commit checked out; make a first commit there")
    check_rest(repository.folder, repository.git_folder)
    if changes(git, with_untracked=False):
        raise Unusable(
            f"{repository.folder} has uncommitted changes; commit or stash them there, or say `!stash`, which puts"
            " them aside, or `!own`, after which the agent works in a clone of its own; then send the task again"
        )
    at = git.branch() or git.commit_of("HEAD")
    branch, back = record.astray
    return back if branch == at else at
