"""The systems that Herald is installed on in these tests, and whether this machine can boot them at all."""

import functools
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.system import cgroups

TOOLS = Path(__file__).resolve().parents[2] / ".tools"
"""What tests build once and use again; not part of the repository."""

_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}


class System(NamedTuple):
    """One release of Debian, with the systemd that it brings."""

    name: str
    release: str
    systemd: int
    landlock: bool
    """Whether its machines have Landlock; one has it and one has not, so that both sandboxes are tried."""
    unified: bool
    """Whether its systemd is given cgroup v2; where this machine has v2 alone, every system is."""


BOOKWORM = System("debian12", "bookworm", 252, landlock=False, unified=False)
TRIXIE = System("debian13", "trixie", 257, landlock=True, unified=True)
SYSTEMS = (BOOKWORM, TRIXIE)


def overlay(lower: list[Path], upper: Path, work: Path) -> str:
    """The mount options of an overlay; the topmost lower folder comes first."""
    below = ":".join(_escaped(each) for each in lower)
    return f"lowerdir={below},upperdir={_escaped(upper)},workdir={_escaped(work)}"


def _escaped(path: Path) -> str:
    return str(path).replace("\\", r"\\").replace(":", r"\:").replace(",", r"\,")


START = """
set -e
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
mount -t overlay overlay -o "$2" "$3"
shift 3
"$@"
exit
"""
"""sh: FOLDER OF A CGROUP... -- OVERLAY MOUNTPOINT COMMAND..., in mount and pid namespaces of its own.

What nspawn notes of its containers stays in there and goes with it. It is the first process of its namespace, because
a machine lives on when its nspawn alone is killed.
"""


def start(groups: list[Path], options: str, root: Path, *command: str) -> list[str]:
    """A command over an overlay that nobody else sees."""
    return leashed("sh", "-c", START, "sh", *map(str, groups), "--", options, str(root), *command)


def leashed(*command: str) -> list[str]:
    """A command that is killed, with all it started and mounted, when the thread that starts it ends."""
    own = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")
    return ["setpriv", "--pdeathsig", "KILL", *own, *command]


@functools.cache
def obstacle() -> str:
    """Why no machine can be booted here, with what would help; empty where one can."""
    if os.geteuid() != 0:
        return "only root can boot a machine; run the tests as root"
    lacking = {package for program, package in _PROGRAMS.items() if shutil.which(program) is None}
    if lacking:
        return f"a booted systemd needs programs that are not here; apt-get install {' '.join(sorted(lacking))}"
    try:
        TOOLS.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="probe-", dir=TOOLS) as folder:
            return _probe(Path(folder), f"probe-{secrets.token_hex(4)}")
    except OSError as error:
        return f"a machine cannot be prepared in {TOOLS}: {error}"


def _probe(folder: Path, name: str) -> str:
    """Run `true` in a container made of this machine's own files."""
    upper, work, root = folder / "upper", folder / "work", folder / "root"
    for each in (upper, work, root):
        each.mkdir()
    with cgroups.own(name) as groups:
        command = start(
            groups, overlay([Path("/")], upper, work), root,
            "systemd-nspawn", "--quiet", f"--directory={root}", f"--machine={name}", "--register=no",
            "--keep-unit", "--console=pipe", "--resolv-conf=off", "--timezone=off", "/bin/true",
        )  # fmt: skip
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    if done.returncode == 0:
        return ""
    said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
    return f"systemd-nspawn cannot start a container here: {said}"
