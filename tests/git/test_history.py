"""The remote's history is taken as it is, whatever old tools wrote into it; only what protects is refused."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from herald import fsck
from herald.errors import Conflict, HeraldError
from herald_worker.mirror import Mirror
from tests.git.conftest import Workbench
from tests.support import blemishes, repositories
from tests.support.repositories import git


def accept(bench: Workbench, *ids: str) -> None:
    """Put a configuration into force that accepts these ids."""
    project = repositories.project(remote=str(bench.remote.path))._replace(fsck_accept=ids)
    repositories.write_snapshot(bench.state, project)


def import_base(bench: Workbench, pack: bytes, head: str) -> None:
    path = bench.folder / "fetched.pack"
    path.write_bytes(pack)
    asyncio.run(Mirror("sample").import_base(str(path), head))


def complaints(repository: Path) -> str:
    """What git's check says about a repository."""
    command, environment = ["git", "fsck", "--strict"], repositories.environment()
    return subprocess.run(command, cwd=repository, env=environment, capture_output=True).stderr.decode()


def git_code(repository: Path, *arguments: str) -> int:
    environment = repositories.environment()
    return subprocess.run(["git", *arguments], cwd=repository, env=environment, capture_output=True).returncode


@pytest.fixture(autouse=True)
def _state(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERALD_STATE", str(bench.state))


@pytest.mark.parametrize("name", blemishes.HARMLESS)
def test_a_history_with_a_blemish_in_an_old_commit_reaches_the_mirror(bench: Workbench, name: str) -> None:
    head = blemishes.history(bench.remote.path, blemishes.HARMLESS[name])
    assert name in complaints(bench.remote.path)

    _branch, fetched, pack = bench.fetch()
    import_base(bench, pack, fetched)

    assert fetched == head
    assert git(bench.state / "worker" / "mirrors" / "sample.git", "rev-list", "--count", head) == "3"


@pytest.mark.parametrize("name", blemishes.PROTECTING)
def test_what_a_checkout_would_act_on_is_refused_until_a_person_accepts_it(bench: Workbench, name: str) -> None:
    head = blemishes.history(bench.remote.path, blemishes.PROTECTING[name])

    with pytest.raises(
        Conflict, match=rf"object [0-9a-f]{{40}}: {name} .*`git\.fsck\.accept` in projects/sample\.yaml"
    ):
        bench.fetch()
    assert not list(bench.own.parent.glob("*.damaged-*"))
    accept(bench, "badDate", name)
    _branch, fetched, pack = bench.fetch()
    import_base(bench, pack, fetched)

    assert fetched == head


def test_what_git_never_takes_is_refused_with_what_is_left_to_do(bench: Workbench) -> None:
    blemishes.history(bench.remote.path, blemishes.UNDEMOTABLE["nulInHeader"])
    accept(bench, "nulInHeader", "noSuchId")

    with pytest.raises(Conflict, match=r"nulInHeader .*rewrite the remote's history"):
        bench.fetch()


@pytest.mark.parametrize("name", blemishes.UNUSABLE)
def test_a_history_that_git_cannot_read_is_told_and_ends(bench: Workbench, name: str) -> None:
    blemishes.history(bench.remote.path, blemishes.UNUSABLE[name])

    with pytest.raises(HeraldError):
        bench.fetch()


def test_a_blemish_of_history_is_no_damage_of_the_mirror(bench: Workbench) -> None:
    import_base(bench, repositories.pack(bench.clone, bench.base), bench.base)
    mirror = bench.state / "worker" / "mirrors" / "sample.git"
    for name, make in {**blemishes.HARMLESS, **blemishes.PROTECTING}.items():
        blemishes.history(mirror, make, ref=f"refs/runs/{name}")
    broken = bench.folder / "broken.pack"
    broken.write_bytes(b"no pack")

    with pytest.raises(Conflict, match="incomplete or damaged"):
        asyncio.run(Mirror("sample").import_run("7-1-abc", str(broken), "1" * 40, bench.base, 1 << 20))
    assert not list(mirror.parent.glob("*.damaged-*"))


def test_the_ids_that_cannot_be_ignored_are_exactly_those_that_git_refuses_to_ignore(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", ".")
    refused = {each for each in fsck.known() if git_code(tmp_path, "-c", f"fsck.{each}=ignore", "fsck")}

    assert refused == {each for each in fsck.known() if fsck.is_undemotable(each)} != set()


def test_git_takes_every_list_of_ids_that_is_made_for_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", ".")

    assert git_code(tmp_path, *fsck.for_damage(), "fsck") == 0
    empty = repositories.Crafted().pack()
    git(tmp_path, "index-pack", "--stdin", fsck.for_index_pack(["hasDotgit", "unknown"]), stdin=empty)
    assert not {"hasDot", "hasDotdot", "hasDotgit", "fullPathname", "gitmodulesUrl"} & set(fsck.ignored())
    assert set(fsck.ignored(["HASDOT"])) - set(fsck.ignored()) == {"hasDot"}
