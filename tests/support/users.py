"""Other users: a mount namespace with users, groups and folders of its own, in which a program runs as one of them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
herald-gateway:x:9001:9001::/:/bin/false
herald-worker:x:9002:9002::/:/bin/false
herald-agent:x:9003:9003::/:/bin/false
herald-git:x:9004:9004::/:/bin/false
herald-deploy:x:9006:9006::/:/bin/false
herald-config:x:9005:9005::/:/bin/false
ada:x:9010:9010::/:/bin/false
eve:x:9012:9012::/:/bin/false
"""
_GROUP = """\
root:x:0:
herald:x:9100:ada,herald-gateway,herald-worker
herald-objects:x:9101:herald-worker
"""
_BINDS = 'while [ "$1" != -- ]; do mkdir -p "$2" 2>/dev/null; mount --bind "$1" "$2" || exit 97; shift 2; done; shift; '


class User(NamedTuple):
    """A user and the groups of the session."""

    uid: int
    groups: tuple[int, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """For setpriv."""
        groups = f"--groups={','.join(map(str, self.groups))}" if self.groups else "--clear-groups"
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", groups]


ROOT_USER, ADA, ADA_BEFORE, EVE = User(0), User(9010, (9100,)), User(9010), User(9012)
WORKER, AGENT, GIT = User(9002, (9100,)), User(9003), User(9004, (9101,))


class Machine:
    """A folder in which `/srv` and more of the machine is shown to those who run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "shared", ROOT / "services"))),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        (folder / "passwd").write_text(_PASSWD)
        (folder / "group").write_text(_GROUP)
        self._binds = {"/etc/passwd": folder / "passwd", "/etc/group": folder / "group"}
        self.srv = self.show("/srv")

    def show(self, path: str) -> Path:
        """A folder that is seen there instead of the machine's own."""
        there = self.folder / path.strip("/").replace("/", "-")
        there.mkdir(mode=0o755)
        there.chmod(0o755)
        self._binds[path] = there
        return there

    def run(self, user: User, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command there as a user, without a terminal."""
        binds = [str(part) for path, source in self._binds.items() for part in (source, path)]
        script = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            _BINDS + 'exec "$@"',
            "sh",
            *binds,
            "--",
        ]
        return subprocess.run(
            [*script, *user.arguments, *map(str, command)],
            env=self.environment | environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def python(self, user: User, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a module there as a user."""
        return self.run(user, sys.executable, "-m", module, *arguments, **environment)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine with the users of Herald, a member of its group (ada) and somebody else (eve)."""
    if os.getuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("only root can be other users, and needs `unshare` and `setpriv` for them")
    with tempfile.TemporaryDirectory(prefix="hu") as folder:
        Path(folder).chmod(0o755)
        made = Machine(Path(folder))
        if made.run(ROOT_USER, "true").returncode:
            pytest.skip("no mount namespace can be made here")
        if made.run(EVE, sys.executable, "-m", "herald_cli", "--version").returncode:
            pytest.skip("this Python and these sources cannot be read by other users")
        yield made
