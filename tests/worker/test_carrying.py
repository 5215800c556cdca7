"""Carrying out votes, as far as one service alone shows it."""

import asyncio
import os
import sqlite3
import time
from pathlib import Path

import pytest

from herald import clock
from herald.database import Database
from herald_worker import carrying, largefiles, proposals
from herald_worker.schema import MIGRATIONS
from tests.support import repositories
from tests.support.repositories import git
from tests.worker import rows
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


ENDS = {"refused": "a", "void": "b", "expired": "c", "superseded": "d"}


@pytest.mark.parametrize(("days", "stay"), [(29, ["a", "b", "c"]), (31, [])])
def test_large_files_of_a_proposal_that_may_be_made_again_stay_for_30_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, stay: list[str]
) -> None:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path))
    place = tmp_path / "worker/largefiles/sample"
    for letter in ENDS.values():
        (place / (letter * 40)).mkdir(parents=True)
        os.utime(place / (letter * 40), (1, 1))

    def write(connection: sqlite3.Connection) -> None:
        for state, letter in ENDS.items():
            number = rows.propose(connection, head=letter * 40, run=f"1-1-{letter}", branch=f"agent/sample-{letter}")
            proposals.move(connection, int(number), state)  # type: ignore[arg-type]
        ended = clock.text(time.time() - days * 86400)
        connection.execute("UPDATE proposals SET ended_at = ?", (ended,))

    async def swept() -> None:
        database = Database(str(tmp_path / "worker/worker.sqlite"), MIGRATIONS)
        await database.open()
        try:
            await database.write(write)
            await largefiles.sweep(database)
        finally:
            await database.close()

    asyncio.run(swept())
    assert sorted(each.name for each in place.iterdir()) == [letter * 40 for letter in stay]
