"""The locks of an act: the run's own, one of the slots, and the project's workspace.

Every lock is a flock that ends with the process. Those of a run are also with the service manager, so that they are
free only when the last process of the unit is gone, even when the driver is killed.
"""

import os

from herald import cell, names, notify
from herald.errors import Busy


def folder(*parts: str) -> str:
    """A folder below this service's state, made if it is not there."""
    path = os.path.join(names.state_folder(names.AGENT), *parts)
    os.makedirs(path, 0o700, exist_ok=True)
    return path


def take_slot(count: int) -> int:
    """Take one of the `count` places for runs. Raises Busy."""
    slots = folder("slots")
    for number in range(count):
        fd = _open(os.path.join(slots, f"slot.{number}"))
        if cell.lock(fd):
            return fd
        os.close(fd)
    raise Busy(f"all places for agents are taken (max_active: {count})")


def take_workspace(name: str) -> int:
    """Take a workspace. Raises Busy."""
    fd = _open(os.path.join(folder("locks"), name))
    if not cell.lock(fd):
        raise Busy(f"an agent is at work in {name}")
    return fd


def take_store(project: str) -> int:
    """Take the store of a project. Raises Busy."""
    fd = _open(os.path.join(folder("locks"), f"{project}.store"))
    if not cell.lock(fd):
        os.close(fd)
        raise Busy(f"the store of {project} is being written")
    return fd


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def keep(**locks: int) -> None:
    """Hand copies to the service manager, which holds them until the last process of the unit is gone."""
    for name, fd in locks.items():
        notify.store(fd, name)
