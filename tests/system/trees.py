"""The file tree of each system, made by debootstrap once; every machine is an overlay over one."""

import contextlib
import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.system import reach
from tests.system.systems import TOOLS, System, leashed

_PACKAGES = "systemd,systemd-sysv,dbus,libpam-systemd,dbus-user-session,procps,ca-certificates"


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold a lock file: one process at a time, or with `shared` all but one that wants it alone.

    Raises BlockingIOError when it is held by others and nobody wants to wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield


def tree(system: System) -> Path:
    """The folder of a system's file tree, made when it is not there yet; nobody writes to it."""
    folder = TOOLS / "trees" / system.name
    with locked(folder.with_suffix(".lock")):
        stamp = folder.with_suffix(".complete")
        wanted = f"{system.release} {_PACKAGES}\n"
        if not stamp.exists() or stamp.read_text() != wanted:
            stamp.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            _debootstrap(system, folder)
            stamp.write_text(wanted)
    return folder


def _debootstrap(system: System, folder: Path) -> None:
    """Whatever it mounts and starts is gone with it, also when it is killed."""
    command = leashed(
        "debootstrap", "--variant=minbase", f"--include={_PACKAGES}", system.release, str(folder), reach.mirror()
    )
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        said = "\n".join(done.stdout.splitlines()[-15:])
        raise RuntimeError(f"debootstrap of {system.release} from {reach.mirror()} failed:\n{said}\n{done.stderr}")
    for package in (folder / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
