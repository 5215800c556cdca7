"""Processes as a test sees them: found by a mark in their environment, whoever their parent is."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

PATIENCE = 60.0
"""Seconds after which what is awaited counts as not coming; on a loaded machine nothing takes nearly as long."""

_T = TypeVar("_T")


def wait_for(condition: Callable[[], _T], what: str, patience: float = PATIENCE) -> _T:
    """The first true value of a condition; fails the test when there is none in time."""
    until = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {patience:g} s: {what}"
        time.sleep(0.01)
    return value


def marked(mark: str) -> list[int]:
    """Every living process whose environment or command line carries the mark."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        folder = Path("/proc", name)
        with contextlib.suppress(OSError):
            if mark.encode() in folder.joinpath("environ").read_bytes() + folder.joinpath("cmdline").read_bytes():
                found += [int(name)] if lives(int(name)) else []
    return sorted(found)


def state(pid: int) -> str:
    """The kernel's letter for what a process is doing; empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path("/proc", str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    return ""


def lives(pid: int) -> bool:
    """Whether a process runs or could run."""
    return state(pid) not in {"Z", "X", ""}


def parent(pid: int) -> int:
    """The parent of a process, 0 when it is gone."""
    with contextlib.suppress(OSError):
        return int(Path("/proc", str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def arguments(pid: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path("/proc", str(pid), "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    return []


def environment(pid: int) -> dict[str, str]:
    """The variables a process was started with."""
    lines = Path("/proc", str(pid), "environ").read_bytes().decode(errors="replace").split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; for SIGKILL and SIGSTOP wait until it has taken effect."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    if number == signal.SIGKILL:
        wait_for(lambda: not lives(pid), f"process {pid} is killed")
    elif number == signal.SIGSTOP:
        wait_for(lambda: state(pid) in {"T", "Z", "X", ""}, f"process {pid} is stopped")


def is_locked(path: Path) -> bool:
    """Whether somebody holds a flock on the file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
