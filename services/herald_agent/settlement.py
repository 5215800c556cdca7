"""What an agent left in its workspace: taken on the run's branch, and the workspace put at rest."""

import os
from typing import NamedTuple

from herald.errors import Failed
from herald_agent.git import Git, refused
from herald_agent.record import Going
from herald_agent.repository import end_unfinished

_LONG = 300.0
"""Seconds for what grows with the size of the workspace."""


class Left(NamedTuple):
    """What there is after a run. `uncommitted`: changes stay in `folder`. `notes` are sentences for people."""

    head: str
    commits: int
    uncommitted: bool
    folder: str
    notes: tuple[str, ...]

    def describe(self) -> str:
        """One line for the journal."""
        parts = [f"{self.commits} commits", *(["uncommitted changes"] if self.uncommitted else []), *self.notes]
        return ", ".join(parts)


def git_folder(going: Going) -> str:
    """The folder where git keeps the state of this workspace."""
    pointer = os.path.join(going.folder, ".git")
    try:
        with open(pointer, encoding="utf-8", errors="surrogateescape") as file:
            target = file.read(4096).strip().removeprefix("gitdir: ")
    except OSError:  # the clone itself has a folder there
        return pointer
    return os.path.join(going.folder, target)


def settle(git: Git, going: Going, *, auto_commit: bool, ready: bool) -> Left:
    """Take what was left and put the workspace at rest: remove the worktree, or put back what was checked out.

    Uncommitted changes that have to stay keep it as it is. One that was not `ready` holds nobody's work.
    """
    notes: list[str] = []
    uncommitted = False
    at = git.at(going.folder)
    try:
        if not os.path.isdir(going.folder):
            notes.append("The agent removed its own worktree.")
        elif ready:
            uncommitted = not _take(at, going, notes, auto_commit=auto_commit)
        elif going.mode == "path":
            at("checkout", "--quiet", "--force", "--detach", going.base, deadline=_LONG)  # complete what was cut off
    except Failed as error:
        uncommitted = True
        notes.append(f"Not all of it could be taken: {error.message}.")
    if not uncommitted:
        _put_at_rest(git, going, notes)
    return _left(git, going, notes, ready=ready, uncommitted=uncommitted)


def _put_at_rest(git: Git, going: Going, notes: list[str]) -> None:
    if going.mode == "worktree":
        if os.path.isdir(going.folder):
            git.attempt("worktree", "remove", "--force", "--force", "--", going.folder, deadline=_LONG)
        if os.path.isdir(going.folder):
            notes.append(f"The worktree {going.folder} could not be removed; remove it by hand.")
        git.attempt("worktree", "prune")
    elif git.branch() != going.back:
        output = git.attempt("checkout", "--quiet", "--no-guess", going.back, "--", deadline=_LONG)
        if output.code != 0:
            reason = refused("checkout", output).message
            notes.append(f"The checkout of {going.back} in {going.folder} could not be put back: {reason}.")


def _left(git: Git, going: Going, notes: list[str], *, ready: bool, uncommitted: bool) -> Left:
    head = git.head_of(going.branch)
    if ready and not head:
        notes.append(f"Branch {going.branch} is gone.")
    commits = int(git("rev-list", "--count", f"{going.base}..{head}")) if head and head != going.base else 0
    if uncommitted:
        notes.append(f"Uncommitted changes are in {going.folder} on branch {going.branch}.")
    return Left(head or going.base, commits, uncommitted, going.folder, tuple(notes))


def _take(git: Git, going: Going, notes: list[str], *, auto_commit: bool) -> bool:
    """Bring everything onto the run's branch as far as the project wants it; returns whether the tree is clean."""
    unfinished = end_unfinished(git, git_folder(going))
    notes.extend(f"The agent left {act} unfinished; it was aborted." for act in unfinished)
    if git.branch() != going.branch:
        if not git.head_of(going.branch):
            return git.is_clean()
        notes.append(f"The agent left branch {going.branch}; only what is on that branch was taken.")
        if git.attempt("checkout", "--quiet", "--no-guess", going.branch, "--").code != 0:
            return git.is_clean()
    if not auto_commit:
        if git.head_of(going.branch) != going.base:
            git("reset", "--quiet", "--soft", going.base)
        return git.is_clean()
    if git.is_clean():
        return True
    git("add", "--all", deadline=_LONG)
    git("commit", "--quiet", "--no-verify", "--cleanup=whitespace", "--message", _subject(going.title), deadline=_LONG)
    return git.is_clean()


def _subject(title: str) -> str:
    line = " ".join(title.replace("\0", " ").split())
    return line[:200] or "Work that the agent left uncommitted"
