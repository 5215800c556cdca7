"""The installed layer of each system: what installing Herald, and a few packages for the tests, writes over its tree.

It is made by booting the tree and running ./install.sh in it, and is kept for the sources it was made of.
"""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.system import reach
from tests.system.machine import Machine
from tests.system.systems import TOOLS, System
from tests.system.trees import locked, tree

ROOT = Path(__file__).resolve().parents[2]
SOURCES = "/root/herald"
"""Where a machine has the clone."""

_FOLDER = TOOLS / "layers"
_OWN = ("tests/", ".ci/")
"""Parts of the repository that no installation depends on."""
_PACKAGES = ("openssh-server", "git-lfs")
_PATIENCE = 900.0
_KEPT = 3
"""Layers of other sources, for whoever goes back and forth between branches; each takes some 200 MB."""
_FORMAT = 1
"""Counted up when layers have to be made anew although no source has changed."""


class Layer(NamedTuple):
    """A system with Herald installed."""

    system: System
    folders: list[Path]
    """What a machine is made of, topmost first."""
    said: str
    """What the installation printed."""


def installed(system: System, stack: ExitStack) -> Layer:
    """The layer of these sources, made when there is none; nobody removes it while the stack is open."""
    below = tree(system)
    files = list(_files())
    key = _key(files)
    folder = _FOLDER / f"{system.name}-{key}"
    with locked(_FOLDER / f"{system.name}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "complete").parent.mkdir(parents=True)
            _make(system, below, folder, files)
        stack.enter_context(locked(folder.with_suffix(".used"), shared=True))
        _remove_others(system, folder)
    return Layer(system, [folder / "upper", below], (folder / "said").read_text())


def _files() -> Iterator[tuple[str, bytes, int]]:
    """Name, content and mode of every file that is part of the repository, also if it is not committed yet."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name in sorted(set(listed.split("\0"))):
        path = ROOT / name
        if name and path.is_file() and not name.startswith(_OWN):
            yield name, path.read_bytes(), path.stat().st_mode


def _key(files: list[tuple[str, bytes, int]]) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {_PACKAGES}".encode())
    for name, content, mode in files:
        digest.update(f"{name}\0{mode:o}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def _make(system: System, below: Path, folder: Path, files: list[tuple[str, bytes, int]]) -> None:
    upper = folder / "upper"
    with Machine(system, [below], upper=upper, sync=False) as machine:
        for name, content, mode in files:
            path = upper / SOURCES.lstrip("/") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(mode)
        machine.boot()
        begun = time.monotonic()
        done = install(machine)
        took = time.monotonic() - begun
        machine.systemctl("enable", "--quiet", "herald.target")
        # The network is that of this machine, which may well have a server at the port.
        machine.systemctl("mask", "--quiet", "ssh.service", "ssh.socket", "sshd-keygen.service")
        apt = ("apt-get", "--quiet", "--quiet", "--yes", "--no-install-recommends", "install")
        env = {"DEBIAN_FRONTEND": "noninteractive", **reach.variables()}
        machine.run(*apt, *_PACKAGES, env=env, timeout=_PATIENCE)
        machine.run("apt-get", "clean")
        machine.power_off()
    shutil.rmtree(upper / "var/log/journal", ignore_errors=True)
    (folder / "said").write_text(f"{done.stdout}{done.stderr}in {took:.1f} s\n")
    (folder / "complete").touch()


def install(machine: Machine, *options: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run ./install.sh inside, with what it needs to reach its package sources."""
    return machine.run(
        f"{SOURCES}/install.sh", *options, env=reach.variables(), cwd=SOURCES, check=check, timeout=_PATIENCE
    )


def _remove_others(system: System, folder: Path) -> None:
    """Layers of other sources that no test run uses now, all but the newest."""
    others = [each for each in _FOLDER.glob(f"{system.name}-*") if each.is_dir() and each != folder]
    for other in sorted(others, key=lambda each: each.stat().st_mtime, reverse=True)[_KEPT:]:
        used = other.with_suffix(".used")
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(used, wait=False))
            except BlockingIOError:
                continue
            (other / "complete").unlink(missing_ok=True)  # or what a kill leaves of it would be taken for a layer
            shutil.rmtree(other)
            used.unlink()
