"""What an agent left in its workspace: taken on the run's branch, and the workspace put at rest."""

import os
import time
from typing import NamedTuple

from herald import durable, names
from herald.errors import Failed
from herald_agent import process
from herald_agent.git import Git, is_below, refused
from herald_agent.record import Going
from herald_agent.repository import end_unfinished

_LONG = 300.0
"""Seconds for what grows with the size of the workspace."""

_LONGEST_POINTER = 4096

_LOCK_PATIENCE = 1.0
"""Seconds in which a living git command has done with a lock file."""


class Left(NamedTuple):
    """What there is after a run. `uncommitted`: changes stay in the workspace. `notes` are sentences for people."""

    head: str
    commits: int
    uncommitted: bool
    notes: tuple[str, ...]

    def describe(self) -> str:
        """One line for the journal."""
        counted = f"{self.commits} commit{'' if self.commits == 1 else 's'}"
        parts = [counted, *(["uncommitted changes"] if self.uncommitted else []), *self.notes]
        return ", ".join(parts)


def git_folder(folder: str) -> str:
    """The folder where git keeps the state of a working folder."""
    pointer = os.path.join(folder, ".git")
    try:
        words = durable.read_limited(pointer, _LONGEST_POINTER)
    except (OSError, ValueError):  # a clone has a folder there
        return pointer
    return os.path.join(folder, os.fsdecode(words.strip().removeprefix(b"gitdir: ")))


def clear_locks(going: Going) -> bool:
    """Remove the lock files of git commands that were killed; a lock of somebody else goes by itself, and soon.

    Returns whether the workspace's index was locked: a checkout that was killed has done half of its work.
    """
    own, clone = git_folder(going.folder), git_folder(going.clone)
    if names.mode() != "try" and not (is_below(own, going.clone) and is_below(clone, going.clone)):
        return False  # the agent made it point elsewhere, perhaps into what is somebody else's
    places = {os.path.join(own, name) for name in ("index", "HEAD")}
    places |= {os.path.join(clone, name) for name in (f"refs/heads/{going.branch}", "packed-refs", "config")}
    locks = [f"{place}.lock" for place in places if os.path.lexists(f"{place}.lock")]
    until = time.monotonic() + _LOCK_PATIENCE
    while any(os.path.lexists(lock) for lock in locks) and time.monotonic() < until:
        time.sleep(0.05)  # nothing tells when a lock file goes
    left = [lock for lock in locks if os.path.lexists(lock)]
    for lock in left:
        durable.with_no_trace(lock)
    return os.path.join(own, "index.lock") in left


def take(git: Git, going: Going, notes: list[str], *, auto_commit: bool) -> bool:
    """Take what is in a workspace; returns whether uncommitted changes have to stay there."""
    if not os.path.isdir(going.folder):
        notes.append("The agent removed its own worktree.")
        return False
    try:
        return not _take(git.at(going.folder), going, notes, auto_commit=auto_commit)
    except Failed as error:
        notes.append(f"Not all of it could be taken: {error.message}.")
        return True


def put_at_rest(git: Git, going: Going, notes: list[str], *, cut_off: bool) -> None:
    """Remove the worktree, or put back what was checked out; `cut_off`: a checkout has to be completed first."""
    if going.mode == "own":
        if git.attempt("worktree", "remove", "--force", "--force", "--", going.folder, deadline=_LONG).code != 0:
            process.remove_tree(going.folder)
            registered = os.path.join(git_folder(going.clone), "worktrees", os.path.basename(going.folder))
            durable.with_no_trace(os.path.join(registered, "locked"))  # by a `git worktree add` that was killed
            git.attempt("worktree", "prune")
        if os.path.lexists(going.folder):
            notes.append(f"The worktree {going.folder} could not be removed; remove it by hand.")
        return
    if cut_off:
        git.attempt("checkout", "--quiet", "--force", "--detach", going.base, deadline=_LONG)
    if git.branch() != going.back:
        output = git.attempt("checkout", "--quiet", "--no-guess", going.back, "--", deadline=_LONG)
        if output.code != 0:
            reason = refused("checkout", output).message
            notes.append(f"The checkout of {going.back} in {going.folder} could not be put back: {reason}.")


def result(git: Git, going: Going, notes: list[str], *, uncommitted: bool) -> Left:
    """What there is after everything was taken that can be."""
    head = git.head_of(going.branch)
    commits = int(git("rev-list", "--count", f"{going.base}..{head}")) if head and head != going.base else 0
    if uncommitted:
        notes.append(f"Uncommitted changes are in {going.folder} on branch {going.branch}.")
    return Left(head or going.base, commits, uncommitted, tuple(notes))


def _take(git: Git, going: Going, notes: list[str], *, auto_commit: bool) -> bool:
    """Bring everything onto the run's branch as far as the project wants it; returns whether the tree is clean."""
    unfinished = end_unfinished(git, git_folder(git.folder))
    notes.extend(f"The agent left {act} unfinished; it was aborted." for act in unfinished)
    if git.branch() != going.branch:
        if not git.head_of(going.branch):
            notes.append(f"The agent removed branch {going.branch}.")
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
