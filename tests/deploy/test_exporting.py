"""The tar of a commit that the worker hands to the deploy unit."""

import asyncio
import tarfile
from pathlib import Path

import pytest

from herald.errors import Conflict, Failed
from herald_worker import exporting
from herald_worker.mirror import Mirror
from tests.support import repositories
from tests.support.repositories import git


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A commit of 3,000 bytes in the mirror, with a link and a program."""
    monkeypatch.setenv("HERALD_STATE", str(tmp_path / "state"))
    seed = tmp_path / "seed"
    seed.mkdir()
    git(seed, "init", "--quiet", "--initial-branch=main", ".")
    (seed / "link").symlink_to("data/numbers")
    (seed / "run").write_text("#!/bin/sh\n")
    (seed / "run").chmod(0o755)
    head = repositories.commit(seed, {"data/numbers": "1" * 3000, ".gitattributes": "data export-ignore\n"})
    mirror = tmp_path / "state" / "worker" / "mirrors" / "sample.git"
    mirror.parent.mkdir(parents=True)
    git(tmp_path, "clone", "--quiet", "--bare", str(seed), str(mirror))
    return head


def export(commit: str, tmp_path: Path) -> dict[str, int]:
    """Export; returns the modes of what is in the tar."""
    file = tmp_path / "tree"
    file.touch()
    asyncio.run(exporting.export_tree(Mirror("sample"), commit, str(file)))
    with tarfile.open(file) as archive:
        return {each.name: each.mode & 0o111 for each in archive if not each.isdir()}


def test_everything_is_in_it_whatever_the_commit_says_about_exports(commit: str, tmp_path: Path) -> None:
    for _ in range(2):
        assert set(export(commit, tmp_path)) == {"link", "run", "data/numbers", ".gitattributes"}
    assert export(commit, tmp_path)["run"]
    assert not export(commit, tmp_path)["data/numbers"]


def test_more_than_the_limit_is_refused_before_anything_is_written(
    commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MOST_BYTES", 3000)
    with pytest.raises(Conflict, match="at most 0 MiB are deployed"):
        export(commit, tmp_path)
    assert (tmp_path / "tree").read_bytes() == b""


def test_what_is_not_there_cannot_be_exported(commit: str, tmp_path: Path) -> None:
    with pytest.raises(Failed, match="the files of 111111111111 cannot be listed"):
        export("1" * 40, tmp_path)
