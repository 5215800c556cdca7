"""What herald-git@ sees of the worker's state on a server: the objects of the mirrors, and nothing else."""

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.support import repositories
from tests.support.users import AGENT, GIT, WORKER, Machine, User, machine

__all__ = ["machine"]

_IMPORT = """
import asyncio, os, sys
from herald_worker.mirror import Mirror
from herald_worker.posts import output
from herald_worker.runfolder import RunFolder
os.umask(0o077)
for name in ("runs", "outputs"):
    os.makedirs(f"/srv/state/worker/{name}", exist_ok=True)
asyncio.run(Mirror("sample").import_base("/srv/base.pack", sys.argv[1]))
RunFolder("7-1-abc").create(b"secret")
output("/srv/state/worker/outputs", "x.txt", "x" * 100_000)
"""


@pytest.fixture
def head(machine: Machine, tmp_path: Path) -> str:
    """A state folder with the modes of the unit, and a mirror with one commit in it, made by the worker's user."""
    machine.environment |= {"HERALD_STATE": "/srv/state", "HERALD_MODE": "system"}
    worker = machine.srv / "state" / "worker"
    worker.mkdir(parents=True)
    os.chown(worker, WORKER.uid, 9101)
    worker.chmod(0o710)
    remote = repositories.remote_with_commit(tmp_path)
    head: str = remote.heads()["main"]
    pack = repositories.pack(repositories.clone(remote, tmp_path / "clone"), head)
    (machine.srv / "base.pack").write_bytes(pack)
    take(machine, head)
    return head


def take(machine: Machine, head: str) -> None:
    """As the unit does: primary group herald-objects, umask 0077."""
    command = ["setpriv", "--regid=9101", "--groups=9100,9101", "--reuid=9002"]
    done = machine.run(User(0), *command, sys.executable, "-c", _IMPORT, head)
    assert done.returncode == 0, done.stderr


def cat(machine: Machine, user: User, head: str) -> int:
    """Read a commit through the mirror's objects, from a repository of one's own."""
    script = (
        'cd "$(mktemp -d)" && git init -q --bare . && GIT_ALTERNATE_OBJECT_DIRECTORIES=/srv/state/worker/mirrors/'
        f'sample.git/objects git rev-list --objects {head}; code=$?; rm -rf "$PWD"; exit $code'
    )
    return machine.run(user, "sh", "-c", script).returncode


def test_the_git_unit_reads_the_objects_and_the_agent_does_not(machine: Machine, head: str) -> None:
    assert cat(machine, GIT, head) == 0
    assert cat(machine, AGENT, head) != 0


@pytest.mark.parametrize("path", ["runs", "runs/7-1-abc/prompt", "outputs", "outputs/x.txt", ".", "mirrors/../runs"])
def test_nothing_else_is_open_to_it(machine: Machine, head: str, path: str) -> None:
    for command in ("ls", "cat"):
        assert machine.run(GIT, command, f"/srv/state/worker/{path}").returncode != 0
    assert machine.run(GIT, "touch", "/srv/state/worker/mirrors/x").returncode != 0
    assert machine.run(GIT, "touch", "/srv/state/worker/mirrors/sample.git/objects/x").returncode != 0


def test_no_folder_has_the_group_bit_which_the_unit_may_not_set(machine: Machine, head: str) -> None:
    mirrors = machine.srv / "state" / "worker" / "mirrors"

    for path in (mirrors, *mirrors.rglob("*")):
        assert not path.stat().st_mode & (stat.S_ISGID | stat.S_ISUID), path
        assert not path.stat().st_mode & 0o027, path


def test_a_mirror_with_other_modes_is_mended_at_the_next_start(machine: Machine, head: str) -> None:
    mirror = machine.srv / "state" / "worker" / "mirrors" / "sample.git"
    for path in (mirror.parent, mirror, *mirror.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o400 if "objects" in path.parts else 0o600)
    config = mirror / "config"
    text = config.read_text()
    config.write_text(text.replace("bare = true\n", "bare = true\n\tsharedRepository = 0640\n"))
    assert cat(machine, GIT, head) != 0

    take(machine, head)

    assert cat(machine, GIT, head) == 0
    assert config.read_text() == text
