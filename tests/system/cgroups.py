"""A cgroup for each machine: systemd takes the one in which it is started for its own, in every hierarchy."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_UNUSABLE = {"cpuset"}
"""Takes no process before it is set up, and no systemd asks for it here."""


class _Hierarchy(NamedTuple):
    """Where a hierarchy is mounted, and where this process is in it."""

    mountpoint: Path
    here: str


@contextlib.contextmanager
def own(name: str) -> Iterator[list[Path]]:
    """A new cgroup in every hierarchy; at the end it must be empty, and is removed with all below it."""
    groups = []
    for group in places(name):
        with contextlib.suppress(OSError):  # not for us to write: the machine then shares ours
            group.mkdir(exist_ok=True)
            groups.append(group)
    try:
        yield groups
    finally:
        for group in groups:
            remove(group)


def places(name: str) -> list[Path]:
    """Where the cgroup of this name is in each hierarchy."""
    return [each.mountpoint / each.here.lstrip("/") / name for each in _hierarchies()]


def processes(groups: list[Path]) -> set[int]:
    """Every process in these cgroups and below them."""
    found = set()
    for group in groups:
        for file in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found |= {int(line) for line in file.read_text().split()}
    return found


def remove(group: Path) -> None:
    """Remove a cgroup and all below it, as soon as the last process is out of it."""
    until = time.monotonic() + 10.0
    while group.exists():
        try:
            for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                each.rmdir()
            group.rmdir()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def is_unified() -> bool:
    """Whether this machine has cgroup v2 alone."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def _hierarchies() -> list[_Hierarchy]:
    here = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        here[controllers] = path
    found: dict[str, _Hierarchy] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, mountpoint = before.split(" ")[3:5]
        kind, _source, options = after.split(" ")[:3]
        if kind not in ("cgroup", "cgroup2"):
            continue
        for controllers, path in here.items():
            fits = kind == "cgroup2" if controllers == "" else set(controllers.split(",")) <= set(options.split(","))
            if fits and not _UNUSABLE & set(controllers.split(",")):
                below = path.removeprefix(root) if root != "/" else path
                found.setdefault(controllers, _Hierarchy(Path(mountpoint), below))
    return list(found.values())
