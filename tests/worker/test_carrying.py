"""Carrying out votes, as far as one service alone shows it."""

import asyncio
from pathlib import Path

import pytest

from herald_worker import carrying
from tests.support import repositories
from tests.support.repositories import git
from tests.worker.test_mirror import Workshop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path / "state"))
    return Workshop(tmp_path)


def test_a_push_that_has_to_bring_a_submodule_first_is_given_the_time_for_it(shop: Workshop) -> None:
    plain = repositories.commit(shop.clone, {"a.txt": "1"})
    shop.run(plain, "run-1")
    git(shop.clone, "update-index", "--add", "--cacheinfo", f"160000,{plain},lib")
    git(shop.clone, "commit", "--quiet", "-m", "With a submodule")
    moved = git(shop.clone, "rev-parse", "HEAD")
    shop.run(moved, "run-2")

    assert asyncio.run(carrying.patience("sample", plain)) == carrying.PUSH_DEADLINE
    assert asyncio.run(carrying.patience("sample", moved)) == carrying.LONG_PUSH_DEADLINE
