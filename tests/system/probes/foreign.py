"""Acts on processes that are none of a run's business; FACTS has their ids."""

import functools
import os
import signal
from collections.abc import Callable

from tests.system.probes.acts import NEW_MOUNTS, Act, Facts, Refused, call, in_child, read

WATCHED = ("gateway", "worker", "git", "deploy", "config", "driver", "other-driver", "other-agent")
TABLE: dict[str, Act] = {}
_SEIZE = 0x4206


def _read_memory(pid: int) -> None:
    with open(f"/proc/{pid}/mem", "rb") as memory, open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        memory.seek(int(maps.readline().partition("-")[0], 16))
        if not memory.read(16):
            raise Refused("nothing to read")


def _trace(pid: int) -> None:
    def seize() -> None:
        call("ptrace", _SEIZE, pid, None, None)  # its end lets go

    in_child(seize)


def _take_descriptor(pid: int) -> None:
    handle = os.pidfd_open(pid)
    try:
        os.close(call("syscall", 438, handle, 0, 0))  # pidfd_getfd
    finally:
        os.close(handle)


def _credentials_of(pid: int) -> None:
    for name in os.listdir(f"/proc/{pid}/root/run/credentials"):
        os.listdir(f"/proc/{pid}/root/run/credentials/{name}")


def _signal_by_handle(pid: int) -> None:
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGCONT)
    finally:
        os.close(handle)


def _enter_mounts(pid: int) -> None:
    def enter() -> None:
        with open(f"/proc/{pid}/ns/mnt", "rb") as file:
            call("setns", file.fileno(), NEW_MOUNTS)

    in_child(enter)


_ON_PROCESSES: dict[str, Callable[[int], object]] = {
    "read the environment of": lambda pid: read(f"/proc/{pid}/environ"),
    "read the memory of": _read_memory,
    "list the descriptors of": lambda pid: os.listdir(f"/proc/{pid}/fd"),
    "take a descriptor of": _take_descriptor,
    "follow the working folder of": lambda pid: os.listdir(f"/proc/{pid}/cwd"),
    "see the credentials of": _credentials_of,
    "trace": _trace,
    "enter the mounts of": _enter_mounts,
    "signal": lambda pid: os.kill(pid, 0),
    "signal by handle": _signal_by_handle,
}


def _act(on: Callable[[int], object], who: str, facts: Facts) -> object:
    return on(facts["pids"][who])


for _name, _on in _ON_PROCESSES.items():
    for _who in WATCHED:
        if _on is _credentials_of and _who == "other-agent":
            continue  # out of its own sight, too
        TABLE[f"{_name} {_who}"] = functools.partial(_act, _on, _who)
