"""What an agent left in its workspace: taken on the run's branch, and the workspace put at rest."""

import os
import time
from typing import NamedTuple

from herald import durable
from herald.errors import Failed
from herald_agent import beforehand, loose, obstacles, submodules
from herald_agent.changes import Changes, changes, stage
from herald_agent.git import Git, refused
from herald_agent.gitfolder import UNBORN
from herald_agent.record import Going, Record, Uncommitted
from herald_agent.repository import end_unfinished
from herald_agent.tree import unlike

_LONG = 300.0
"""Seconds for what grows with the size of the workspace."""

_LOCK_PATIENCE = 1.0
"""Seconds in which a living git command has done with a lock file."""

_SUBJECT = 200
_EDITED = "Edited in"
_ASTRAY = "The checkout of"
_CONCERNING = (_EDITED, _ASTRAY, obstacles.MOVED, beforehand.REPLACED)


class Left(NamedTuple):
    """What there is after a run. `uncommitted`: changes stay in the workspace. `notes` are sentences for people."""

    head: str
    base: str
    commits: int
    uncommitted: bool
    notes: tuple[str, ...]

    @property
    def aside(self) -> list[str]:
        """What is said of edits that a person made after a kill, and of a folder that was not put back."""
        return [note for note in self.notes if note.startswith(_CONCERNING)]

    def describe(self) -> str:
        """One line for the journal."""
        counted = f"{self.commits} commit{'' if self.commits == 1 else 's'}"
        parts = [counted, *(["uncommitted changes"] if self.uncommitted else []), *self.notes]
        return ", ".join(parts)


class End(NamedTuple):
    """Where the agent's git stood when its last process had ended. `head` empty: its branch is gone."""

    head: str
    on_branch: bool


def end_of(git: Git, git_folder: str, going: Going, notes: list[str], kept: str) -> End:
    """End what the agent left unfinished, and say where it stood. Raises Failed, OSError."""
    git.inside(lambda: clear_locks(git_folder, going.branch))
    unfinished = end_unfinished(git, git_folder)
    notes.extend(f"The agent left {act} unfinished; it was aborted." for act in unfinished)
    loose.give_branches(git, going, notes)
    head = git.head_of(going.branch)
    at = git.branch()
    if at == going.branch or (head and going.own and at == UNBORN and not git.head_of(at)):  # it was sealed meanwhile
        return End(head, on_branch=True)
    if not head:
        notes.append(f"The agent removed branch {going.branch}.")
        return End("", on_branch=False)
    notes.append(f"The agent left branch {going.branch}; only what is on that branch was taken.")
    back = obstacles.check_out(git, kept, going.branch, notes)
    return End(head, on_branch=back.code == 0)


def clear_locks(git_folder: str, branch: str) -> bool:
    """Remove the lock files of git commands that were killed; a lock of somebody else goes by itself, and soon.

    Returns whether the index was locked: a checkout that was killed has done half of its work.
    """
    places = ("index", "HEAD", f"refs/heads/{branch}", "packed-refs", "config")
    locks = [path for each in places if os.path.lexists(path := os.path.join(git_folder, f"{each}.lock"))]
    until = time.monotonic() + _LOCK_PATIENCE
    while any(os.path.lexists(lock) for lock in locks) and time.monotonic() < until:
        time.sleep(0.05)  # nothing tells when a lock file goes
    left = [lock for lock in locks if os.path.lexists(lock)]
    for lock in left:
        durable.with_no_trace(lock)
    return os.path.join(git_folder, "index.lock") in left


def commit(git: Git, going: Going, head: str, found: Changes) -> str:
    """Commit what was changed on the run's branch; returns its head. Raises Failed."""
    if not found:
        return head
    if found.paths:
        stage(git, found.paths)
    tree = git("write-tree", deadline=_LONG)
    if tree == git("rev-parse", f"{head}^{{tree}}"):
        return head
    output = git.attempt("commit-tree", tree, "-p", head, "-F", "-", given=message_of(going.title), deadline=_LONG)
    if output.code != 0:
        raise refused("commit-tree", output)
    made = output.out.decode().strip()
    git("update-ref", f"refs/heads/{going.branch}", made, head)
    return made


def name_what_is_left_out(found: Changes, notes: list[str]) -> None:
    """Say what of the changes cannot be taken."""
    if found.repositories:
        notes.append(f"Not taken, because they are repositories of their own: {obstacles.some(found.repositories)}.")
    if found.strange:
        notes.append(f"Not taken, because they are neither files nor links: {obstacles.some(found.strange)}.")
    if found.withheld:
        notes.append(
            f"Not taken, because git ignored it before the run: {obstacles.some(found.withheld)}."
            " What of this belongs to the work, the agent has to commit itself."
        )


def put_back(git: Git, going: Going, notes: list[str], kept: str, *, cut_off: bool) -> bool:
    """Check out in a person's folder what was checked out there; `cut_off`: a checkout has to be completed first.

    Returns whether it is checked out.
    """
    if cut_off:
        _put_aside(git, going, notes)
        git.attempt("checkout", "--quiet", "--force", "--detach", going.base, deadline=_LONG)
    if git.branch() != going.back:
        output = obstacles.check_out(git, kept, going.back, notes)
        if output.code != 0:
            reason = refused("checkout", output).message
            notes.append(f"{_ASTRAY} {going.back} in {going.folder} could not be put back: {reason}.")
            return False
    return True


def _put_aside(git: Git, going: Going, notes: list[str]) -> None:
    """Keep in the stash what is neither as it was nor as the checkout that was cut off writes it: somebody's work."""
    found = [os.fsdecode(path) for path in changes(git, with_untracked=False).paths]
    there: list[str] = git.inside(lambda: [path for path in found if os.path.isfile(os.path.join(git.folder, path))])
    edited = unlike(git, going.base, there)
    made = git.attempt("stash", "create", "Before a checkout that was cut off was completed") if edited else None
    if made is None or made.code != 0 or not made.out.strip():
        return
    message = "Put aside by Herald: edited after a checkout that was cut off"
    git("stash", "store", "--quiet", "--message", message, made.out.decode().strip())
    notes.append(
        f"{_EDITED} {going.folder} after a run was killed, and now in `git stash` there: {obstacles.some(edited)}."
    )


def result(git: Git, going: Going, notes: list[str], *, uncommitted: bool) -> Left:
    """What there is after everything was taken that can be."""
    head = git.head_of(going.branch)
    commits = int(git("rev-list", "--count", f"{going.base}..{head}", "--")) if head and head != going.base else 0
    if uncommitted:
        notes.append(
            f"Uncommitted changes stay in the workspace, on branch {going.branch}; the next task goes on there."
        )
    return Left(head or going.base, going.base, commits, uncommitted, tuple(notes))


def take_in_place(
    git: Git, git_folder: str, going: Going, notes: list[str], record: Record, *, auto_commit: bool
) -> bool:
    """Take what is in a person's folder but for what the record says was there before; returns whether uncommitted
    changes have to stay."""
    try:
        end = end_of(git, git_folder, going, notes, record.workspace.kept)
        if not end.on_branch:
            return bool(changes(git, with_untracked=False))
        if not auto_commit:
            if end.head != going.base:
                git("reset", "--quiet", "--soft", going.base)
            return bool(changes(git, before=record.beforehand))
        submodules.unstage(git, record.submodules)
        beforehand.unstage(git, record.beforehand)
        found = submodules.sort_out(git, changes(git, before=record.beforehand), record.submodules)
        submodules.tell(git, "", record.submodules, notes)
        name_what_is_left_out(found, notes)
        commit(git, going, end.head, found)
    except Failed as error:
        notes.append(f"Not all of it could be taken: {error.message}.")
        return True
    return False


def left_uncommitted(going: Going) -> Uncommitted:
    """What the record says of changes that stay in the tree."""
    return Uncommitted(going.branch, going.base, going.back, going.folder, going.own)


def message_of(title: str) -> str:
    """The message of a commit: the task's first line, then the rest of it."""
    first, _, rest = title.replace("\0", " ").strip().partition("\n")
    subject = " ".join(first.split())[:_SUBJECT] or "Work that the agent left uncommitted"
    body = "\n".join(line.rstrip() for line in rest.strip("\n").splitlines())
    return f"{subject}\n\n{body}\n" if body else f"{subject}\n"
