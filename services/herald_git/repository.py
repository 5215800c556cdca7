"""herald-git's own bare repository of one project.

Only this unit writes it, one act at a time: an act holds the project's lock, and so do its git processes, so that
what a killed act left running still counts.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from herald import durable, fsck, git_words, journal, names, object_format, watchdog
from herald.errors import Busy, Failed
from herald_git import command
from herald_git.command import Outcome
from herald_git.remote import spoken

T = TypeVar("T")

_LOCK_WAIT = 30.0
_LOCK_POLL = 0.05
_CHECK_SECONDS = 300.0
_MOST_PACKS = 50
_MOST_ATTEMPTS = 3

_CONFIG = """[core]
\trepositoryformatversion = 0
\tbare = true
\thooksPath = /dev/null
\tbigFileThreshold = 16m
\tfsync = committed,reference
[gc]
\tauto = 0
[maintenance]
\tauto = false
[transfer]
\tfsckObjects = true
[fetch]
\tfsckObjects = true
\tunpackLimit = 1
[http]
\tlowSpeedLimit = 1000
\tlowSpeedTime = 30
"""


class RepositoryError(Exception):
    """git failed without a word about the remote: the own repository may be the cause. The text is git's."""


class Repository:
    """One project's repository, locked. Made by `locked`."""

    def __init__(self, project: str, lock: int) -> None:
        self.project = project
        self.path = _path(project, "git")
        self._lock = lock
        self._record = os.path.join(self.path, "herald-advertised")

    @property
    def lock(self) -> int:
        """The descriptor that holds the lock; processes of the act inherit it."""
        return self._lock

    def sweep(self) -> None:
        """Remove what killed acts left. There need not be a repository."""
        if os.path.isdir(self.path):
            _remove_temporaries(os.path.join(self.path, "objects"))
        elif os.path.lexists(self.path):
            self._set_aside("not a folder")

    def prepare(self, commit: str) -> None:
        """Make the repository if it isn't there; one whose objects aren't named as this commit is set aside first."""
        self.sweep()
        if os.path.isdir(self.path):
            if object_format.fits(self.path, commit):
                return
            self._set_aside("it is of another object format than the remote, which was made anew", "unfit")
        self._make(commit)

    def _make(self, commit: str) -> None:
        half_made = f"{self.path}.new"
        _remove_folder(half_made)
        outcome = command.run(
            ["init", "--quiet", "--bare", "--template=", object_format.option(commit), half_made],
            command.environment(),
            seconds=_LOCK_WAIT,
        )
        if outcome.code:
            raise Failed(f"no repository can be made at {self.path}: {spoken(outcome.words)}")
        with open(os.path.join(half_made, "config"), "w", encoding="ascii") as file:
            file.write(object_format.configuration(_CONFIG, commit))
        os.rename(half_made, self.path)

    def git(
        self,
        *arguments: str,
        seconds: float,
        environment: dict[str, str] | None = None,
        stdin: bytes = b"",
        stdout: int | None = None,
    ) -> Outcome:
        """Run git on this repository."""
        return command.run(
            [f"--git-dir={self.path}", *arguments],
            environment or command.environment(),
            seconds=seconds,
            stdin=stdin,
            stdout=stdout,
            inherited=(self._lock,),
        )

    def remember(self, advertised: bytes) -> None:
        """Note what the remote advertised when the last fetch ended; a torn note only costs one fetch."""
        with open(self._record, "wb") as file:
            file.write(advertised)

    def remembered(self) -> bytes:
        """What was noted last, empty if nothing was."""
        try:
            with open(self._record, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def mended(self, act: Callable[[], T]) -> T:
        """What `act` returns. If it fails by a fault of this repository, the fault is mended and the act done again.

        Raises Failed with git's words when there was no such fault.
        """
        for _attempt in range(_MOST_ATTEMPTS):
            try:
                return act()
            except RepositoryError as failure:
                if not self._repair(str(failure)):
                    raise Failed(f"git failed for project {self.project}: {spoken(str(failure))}") from failure
        raise Failed(f"the repository {self.path} can not be mended; look at its disk")

    def _repair(self, words: str) -> bool:
        """Remove stale locks of killed processes; set a damaged repository aside and report it. True if it helped."""
        if not os.path.lexists(self.path):
            return False  # the remote was asked before there was one
        if _remove_stale_locks(self.path):
            journal.notice("removed lock files that a killed git left", project=self.project)
            return True
        options = ("--full", "--no-dangling", "--no-progress")
        check = self.git(*fsck.for_damage(), "fsck", *options, seconds=_CHECK_SECONDS)
        if check.code == 0:
            return False
        self._set_aside(f"{git_words.whole(words)}\n{git_words.whole(check.words)}")
        return True

    def _set_aside(self, words: str, state: str = "damaged") -> None:
        kept = durable.set_aside(self.path)
        journal.error(
            f"the repository {self.path} is {state}; it was set aside as {kept} and is fetched anew\n{words}",
            project=self.project,
        )

    def tidy(self) -> None:
        """Join small packs once there are many; drops nothing."""
        packs = [name for name in os.listdir(os.path.join(self.path, "objects", "pack")) if name.endswith(".pack")]
        if len(packs) > _MOST_PACKS:
            self.git("repack", "--geometric=2", "-d", "--quiet", seconds=_CHECK_SECONDS)


@contextlib.contextmanager
def locked(project: str) -> Iterator[Repository]:
    """The repository of a project, for one act alone. Raises Busy when another act goes on for too long."""
    os.makedirs(names.state_folder(names.GIT), mode=0o750, exist_ok=True)
    lock = os.open(_path(project, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        _take(lock, project)
        yield Repository(project, lock)
    finally:
        os.close(lock)


def _path(project: str, kind: str) -> str:
    return os.path.join(names.state_folder(names.GIT), f"{project}.{kind}")


def _take(lock: int, project: str) -> None:
    until = time.monotonic() + min(_LOCK_WAIT, command.limits().act)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise Busy(f"another fetch or push of project {project} is still going on; try again") from error
            watchdog.feed()
            time.sleep(_LOCK_POLL)
        else:
            return


def _remove_temporaries(objects: str) -> None:
    for folder in (objects, os.path.join(objects, "pack")):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(("tmp_", "incoming-")):
                    _remove(entry)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        _remove_folder(entry.path)
    else:
        os.unlink(entry.path)


def _remove_folder(path: str) -> None:
    import shutil  # here, because it takes a tenth of the time to the first byte and is hardly ever needed

    shutil.rmtree(path, ignore_errors=True)


def _remove_stale_locks(path: str) -> bool:
    """Nobody else works here while we hold the project's lock, so every lock file of git is a leftover."""
    removed = False
    for folder, subfolders, files in os.walk(path):
        if folder == path and "objects" in subfolders:
            subfolders.remove("objects")
        for name in files:
            if name.endswith(".lock"):
                os.unlink(os.path.join(folder, name))
                removed = True
    return removed
