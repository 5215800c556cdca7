"""What a run that was killed left where it has no place any more: it is told, and nothing there is touched."""

import contextlib
import os
import time

from herald import journal
from herald.errors import Failed
from herald_agent import submodules_in_place
from herald_agent.git import Git
from herald_agent.record import Going, Record, Uncommitted
from herald_agent.repository import Repository, unfinished

_LOCK_PATIENCE = 1.0
"""Seconds in which a living git command has done with the index."""

_NAMES_A_BRANCH = ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START")
"""Files that say on which branch an act began that detaches HEAD."""


def is_as_it_was_left(repository: Repository, going: Going, *, ready: bool) -> bool:
    """Whether HEAD of a person's folder says that nobody checked out anything there since. Raises Failed, OSError."""
    git, git_folder = repository.git, repository.git_folder
    at = git.branch()
    if at == going.branch:
        return True
    if not at and git.inside(lambda: going.branch in _branches_named(git_folder)):
        return True
    if ready or (at or git.commit_of("HEAD")) != going.back or unfinished(git, git_folder):
        return False
    return bool(git.inside(lambda: _stays_locked(git_folder)))  # git moves HEAD last: a checkout was cut off


def leave(repository: Repository, record: Record, going: Going) -> None:
    """Forget the run; what it committed stays on its branch."""
    git = repository.git
    with contextlib.suppress(Failed):
        submodules_in_place.hide(git, record.hidden, hidden=False)  # only a mark, of Herald's own
    if git.head_of(going.branch):
        record.tell(
            f"A task was broken off in {going.folder}, and {_now(git)} is checked out there since, so Herald touched"
            f" nothing: what the task had committed is on branch {going.branch}, what it had not may still lie in the"
            f" folder{', and submodules may stand where it moved them' if record.came else ''}."
        )
    record.came, record.hidden = {}, []
    record.end()
    journal.notice(f"left {going.folder} as it is: a killed run on {going.branch} is not checked out there any more")


def leave_elsewhere(record: Record) -> None:
    """Forget a run that was killed in another folder than the one where the project works now."""
    going = record.going
    if going is None or record.is_here(going):
        return
    if record.ready:
        record.add_left(Uncommitted(going.branch, going.base, going.back, going.folder, going.own))
    elif not going.own:
        record.tell(
            f"A task was broken off in {going.folder}, which may still stand on branch {going.branch};"
            f" `git checkout {going.back}` there puts back what was checked out before."
        )
    record.end()
    journal.warning(f"a killed run worked in {going.folder}, look there")


def _now(git: Git) -> str:
    return git.branch() or f"the commit {git.commit_of('HEAD')[:12]}"


def _branches_named(git_folder: str) -> list[str]:
    """In the child."""
    found = []
    for name in _NAMES_A_BRANCH:
        with contextlib.suppress(OSError), open(os.path.join(git_folder, name), errors="surrogateescape") as file:
            found.append(file.read(4096).strip().removeprefix("refs/heads/"))
    return found


def _stays_locked(git_folder: str) -> bool:
    """In the child."""
    lock, until = os.path.join(git_folder, "index.lock"), time.monotonic() + _LOCK_PATIENCE
    while os.path.lexists(lock):
        if time.monotonic() >= until:
            return True
        time.sleep(0.05)  # nothing tells when a lock file goes
    return False
