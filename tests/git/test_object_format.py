"""Remotes whose objects are named by SHA-256, from the fetch over the mirror to the push."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from herald.errors import Conflict
from herald_worker.mirror import Mirror
from tests.git.conftest import Workbench
from tests.support import blemishes, repositories
from tests.support.repositories import git

_LIMIT = 64 << 20


class Path256:
    """The way of a project's commits: remote, herald-git's repository, mirror, a clone in which a run commits."""

    def __init__(self, bench: Workbench, folder: Path, object_format: str) -> None:
        self.bench = bench
        self.remote = repositories.remote_with_commit(folder, object_format)
        self.clone = repositories.clone(self.remote, folder / "clone")
        self.base = self.remote.heads()["main"]
        bench.configure(str(self.remote.path))

    def fetch(self) -> str:
        """What the worker does before a run; returns the head."""
        _branch, head, pack = self.bench.fetch(*self.mirror("known"))
        self.mirror("import_base", self.file(pack), head)
        return head

    def run(self, text: str, run: str = "7-1-abc") -> str:
        """A run commits and hands over; returns its commit."""
        git(self.clone, "checkout", "--quiet", "-B", "agent/sample-1", self.base)
        head = repositories.commit(self.clone, {"work.txt": text}, text)
        pack = repositories.pack(self.clone, head, self.base)
        self.mirror("import_run", run, self.file(pack), head, self.base, _LIMIT)
        return head

    def file(self, data: bytes) -> str:
        path = self.bench.folder / "pack"
        path.write_bytes(data)
        return str(path)

    def mirror(self, method: str, *arguments: Any) -> Any:
        """One act of the mirror."""

        async def act() -> Any:
            return await getattr(Mirror("sample"), method)(*arguments)

        return asyncio.run(act())

    def formats(self) -> list[str]:
        """The formats of herald-git's repository and the mirror."""
        mirror = self.bench.state / "worker" / "mirrors" / "sample.git"
        return [git(each, "rev-parse", "--show-object-format") for each in (self.bench.own, mirror)]


@pytest.fixture(autouse=True)
def _state(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERALD_STATE", str(bench.state))


def aside(bench: Workbench) -> list[Path]:
    return list(bench.state.rglob("*.damaged-*"))


def test_a_sha256_remote_goes_from_the_fetch_to_the_push(bench: Workbench) -> None:
    way = Path256(bench, bench.folder / "new", "sha256")
    assert way.fetch() == way.base
    assert len(way.base) == 64
    head = way.run("one")

    assert way.mirror("summary", head).subjects == ("one",)
    assert bench.push(head) == ("pushed", "")
    assert way.remote.heads()["agent/sample-1"] == head
    assert way.formats() == ["sha256", "sha256"]
    assert not aside(bench)
    assert way.fetch() == way.base


def test_a_run_of_a_sha256_repository_is_judged_as_any_other(bench: Workbench) -> None:
    way = Path256(bench, bench.folder / "new", "sha256")
    way.fetch()
    store = blemishes.Store(way.clone)
    head = store.commit(store.tree(("40000", ".GIT", store.tree(("100644", "a", store.blob())))), way.base)

    with pytest.raises(Conflict, match=r"object [0-9a-f]{64}: hasDotgit"):
        way.mirror(
            "import_run", "8-1-a", way.file(repositories.pack(way.clone, head, way.base)), head, way.base, _LIMIT
        )


@pytest.mark.parametrize(("before", "after"), [("sha1", "sha256"), ("sha256", "sha1")])
def test_a_remote_that_was_made_anew_in_the_other_format_is_followed(bench: Workbench, before: str, after: str) -> None:
    old = Path256(bench, bench.folder / "old", before)
    old.fetch()
    old.run("old work")
    new = Path256(bench, bench.folder / "new", after)

    assert new.fetch() == new.base
    assert bench.push(new.run("new work")) == ("pushed", "")
    assert new.formats() == [after, after]
    assert len(aside(bench)) == 2


def test_a_push_to_a_sha256_remote_needs_no_fetch_before(bench: Workbench) -> None:
    way = Path256(bench, bench.folder / "new", "sha256")
    way.fetch()
    head = way.run("one")
    shutil.rmtree(bench.own)

    assert bench.push(head) == ("pushed", "")
