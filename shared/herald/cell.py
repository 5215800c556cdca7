"""The cell: a file of the worker's, locked by whoever carries an act out, that says how far it has come.

Empty: not begun. `void`: it may not begin any more. `started BOOT UNIT`: it has begun, and never begins again.
"""

import fcntl
import os

from herald import names
from herald.errors import Conflict

_LENGTH = 256
"""Bytes that are looked at."""


def take(fd: int, act: str) -> None:
    """Take the lock of an act that has not begun; it ends with the last copy of the descriptor. Raises Conflict."""
    if not lock(fd):
        raise Conflict(f"this {act} is going on already")
    words = os.pread(fd, _LENGTH, 0).decode("utf-8", "replace").strip()
    if words:
        raise Conflict(f"this {act} may not begin, its cell says: {words}")


def begin(fd: int) -> None:
    """Write that it has started: from here on it is never started again."""
    os.pwrite(fd, f"started {names.boot_id()} {_unit()}\n".encode(), 0)
    os.fsync(fd)


def lock(fd: int) -> bool:
    """Lock a file, if nobody else has locked it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unit() -> str:
    """The unit of this process, or its process id where there is none."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        name = file.readline().strip().rpartition("/")[2]
    return name if name.endswith(".service") else str(os.getpid())
