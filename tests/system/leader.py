"""Which process here is the first one of a machine."""

import contextlib
from pathlib import Path


def children(pid: int) -> list[int]:
    """The children of a process; none when it is gone."""
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def leader(pid: int) -> int:
    """The first process of a machine, by the process that started it: below nspawn, which is below a shell."""
    while True:
        [pid] = children(pid)
        numbers = Path(f"/proc/{pid}/status").read_text().partition("NSpid:")[2].partition("\n")[0].split()
        if numbers[-1] == "1" and len(numbers) == len(_namespaces()) + 2:
            return pid


def _namespaces() -> list[str]:
    """The numbers that this process itself has, one for each pid namespace that it is in."""
    return Path("/proc/self/status").read_text().partition("NSpid:")[2].partition("\n")[0].split()
