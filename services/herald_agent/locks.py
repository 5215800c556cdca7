"""The locks of an act: the run's own, one of the slots, and the project's workspace.

Every lock is a flock. Those of a run are on descriptors that the service manager keeps a copy of, so that they are
free only when the last process of the unit is gone, also when the driver is killed.
"""

import fcntl
import os

from herald import names, notify
from herald.errors import Busy, Conflict

_CELL = 256
"""Bytes of a run's cell that are looked at; it is empty, `void` or `started ...`."""


def folder(*parts: str) -> str:
    """A folder below this service's state, made if it is not there."""
    path = os.path.join(names.state_folder(names.AGENT), *parts)
    os.makedirs(path, 0o700, exist_ok=True)
    return path


class Held:
    """Locks held for the length of a block, or to the end of the process."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_problem: object) -> None:
        for fd in self._fds.values():
            os.close(fd)

    def take_run(self, fd: int) -> None:
        """Take the lock of a run that has not begun. Raises Conflict."""
        self._fds["run"] = fd
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("this run is going on already") from None
        cell = os.pread(fd, _CELL, 0).decode("utf-8", "replace").strip()
        if cell:
            raise Conflict(f"this run may not begin, its cell says: {cell}")

    def take_slot(self, count: int) -> None:
        """Take one of the `count` places for runs. Raises Busy."""
        slots = folder("slots")
        for number in range(count):
            if self._take("slot", os.path.join(slots, f"slot.{number}")):
                return
        raise Busy(f"all places for agents are taken (max_active: {count})")

    def take_workspace(self, project: str) -> None:
        """Take the workspace of a project. Raises Busy."""
        if not self._take("workspace", os.path.join(folder("locks"), project)):
            raise Busy(f"an agent is at work in {project}")

    def keep(self) -> None:
        """Hand copies to the service manager, which holds them until the last process of the unit is gone."""
        for name, fd in self._fds.items():
            notify.store(fd, name)

    def until_the_end(self) -> None:
        """Leave them to the end of the process."""
        self._fds = {}

    def _take(self, name: str, path: str) -> bool:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fds[name] = fd
        return True


def begin(fd: int) -> None:
    """Write into the cell of a run that it has started: from here on it is never started again."""
    os.pwrite(fd, f"started {names.boot_id()} {_unit()}\n".encode(), 0)
    os.fsync(fd)


def _unit() -> str:
    """The unit of this process, or its process id where there is none."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        name = file.readline().strip().rpartition("/")[2]
    return name if name.endswith(".service") else str(os.getpid())
