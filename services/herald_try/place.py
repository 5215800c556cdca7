"""The folders of one try: sockets in a short temporary folder, state in a given one or in a temporary one.

Each folder has a lock file. It is held by the command, by the inetd and by every keeper, so it is free only when no
process of the try is left.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from herald_try.conditions import Missing

_PREFIX = "herald-try-"
_LOCK = "lock"
_RUNTIME_LOCK = "runtime.lock"
"""Not the name of a state folder's lock: a state folder in /tmp must never be taken for a leftover."""

_WAIT = 20.0
"""Seconds to wait for what a killed try left to end."""


class Place:
    """The folders, made and locked."""

    def __init__(self, state: str | None) -> None:
        """Raises Missing when the state folder cannot be used."""
        remove_leftovers()
        self.runtime, runtime_lock = _make_runtime()
        self.bus = os.path.join(self.runtime, "bus")
        os.mkdir(self.bus, 0o700)
        self.locks = [runtime_lock]
        self.temporary = state is None
        self.state = str(Path(state).absolute()) if state else os.path.join(self.runtime, "state")
        try:
            self.locks.append(_lock_state(self.state))
            for folder in (self.config, self.own):
                os.makedirs(folder, 0o700, exist_ok=True)
        except OSError as error:
            self.remove()
            raise Missing(
                f"the state folder {self.state} cannot be written ({error.strerror}): give another with --state DIR"
            ) from error
        except Missing:
            self.remove()
            raise

    @property
    def config(self) -> str:
        """The folder of herald.yaml and projects/."""
        return os.path.join(self.state, "etc")

    @property
    def own(self) -> str:
        """The folder in which the try command itself writes."""
        return os.path.join(self.state, "try")

    def remove(self) -> None:
        """Remove what is temporary; for when no process is left."""
        shutil.rmtree(self.runtime, ignore_errors=True)


def _make_runtime() -> tuple[str, int]:
    # Socket paths must be short (108 bytes), which the folder that TMPDIR names need not be.
    parent = "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else tempfile.gettempdir()  # noqa: S108
    folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    unseen = os.path.join(folder, "unseen")
    fd = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.rename(unseen, os.path.join(folder, _RUNTIME_LOCK))  # nobody has seen it free
    return folder, fd


def remove_leftovers() -> None:
    """Remove the temporary folders of tries that were killed altogether: those whose lock is free."""
    for lock in Path("/tmp").glob(f"{_PREFIX}*/{_RUNTIME_LOCK}"):  # noqa: S108
        with contextlib.suppress(OSError):
            if lock.parent.stat().st_uid != os.getuid() or lock.is_symlink():
                continue
            fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(fd)


def _lock_state(state: str) -> int:
    """Lock the state folder, making it. Raises Missing when another try works on it, and OSError."""
    os.makedirs(state, 0o700, exist_ok=True)
    fd = os.open(os.path.join(state, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + _WAIT
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            holder = os.pread(fd, 100, 0).decode("ascii", "replace").split()
            if time.monotonic() > until or _lives(holder):
                os.close(fd)
                number = holder[0] if holder else "unknown"
                raise Missing(
                    f"the state folder {state} is used by another try (process {number}): "
                    f"end that one with `kill {number}` or give another with --state DIR"
                ) from None
            time.sleep(0.05)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()} {_started(os.getpid())}\n".encode(), 0)
    return fd


def _lives(holder: list[str]) -> bool:
    """Whether the command that wrote the lock file still runs; if not, what it left is about to end."""
    return len(holder) == 2 and holder[0].isdigit() and holder[1] == _started(int(holder[0]))


def _started(pid: int) -> str:
    """When a process was started, in the kernel's clock ticks; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {b"Z", b"X"} else fields[19].decode()
