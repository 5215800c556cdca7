"""The locks of an act: the run's own, one of the slots, and the project's workspace.

Every lock is a flock that ends with the process. Those of a run are also with the service manager, so that they are
free only when the last process of the unit is gone, even when the driver is killed.
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


def take_run(fd: int) -> None:
    """Take the lock of a run that has not begun. Raises Conflict."""
    if not _lock(fd):
        raise Conflict("this run is going on already")
    cell = os.pread(fd, _CELL, 0).decode("utf-8", "replace").strip()
    if cell:
        raise Conflict(f"this run may not begin, its cell says: {cell}")


def take_slot(count: int) -> int:
    """Take one of the `count` places for runs. Raises Busy."""
    slots = folder("slots")
    for number in range(count):
        fd = _open(os.path.join(slots, f"slot.{number}"))
        if _lock(fd):
            return fd
        os.close(fd)
    raise Busy(f"all places for agents are taken (max_active: {count})")


def take_workspace(project: str) -> int:
    """Take the workspace of a project. Raises Busy."""
    fd = _open(os.path.join(folder("locks"), project))
    if not _lock(fd):
        raise Busy(f"an agent is at work in {project}")
    return fd


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def keep(**locks: int) -> None:
    """Hand copies to the service manager, which holds them until the last process of the unit is gone."""
    for name, fd in locks.items():
        notify.store(fd, name)


def begin(fd: int) -> None:
    """Write into the cell of a run that it has started: from here on it is never started again."""
    os.pwrite(fd, f"started {names.boot_id()} {_unit()}\n".encode(), 0)
    os.fsync(fd)


def _unit() -> str:
    """The unit of this process, or its process id where there is none."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        name = file.readline().strip().rpartition("/")[2]
    return name if name.endswith(".service") else str(os.getpid())
