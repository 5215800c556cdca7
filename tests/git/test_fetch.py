"""Fetch: the remote's default branch and a pack of what the caller lacks."""

from pathlib import Path

from tests.git.unit import fetch
from tests.support import repositories


def test_the_first_fetch_clones_and_packs_the_default_branch(tmp_path: Path) -> None:
    remote = repositories.remote_with_commit(tmp_path)
    repositories.write_snapshot(tmp_path / "state", repositories.project(remote=str(remote.path)))
    answer, pack = fetch(tmp_path / "state", [])
    assert (answer["branch"], answer["head"]) == ("main", remote.heads()["main"])
    assert pack.startswith(b"PACK")
