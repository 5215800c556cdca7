"""What is over is dropped after thirty days, and what is not stays."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from herald import clock
from herald.database import Database
from herald_worker import kept, leftovers, proposals
from herald_worker.mirror import Mirror
from herald_worker.schema import MIGRATIONS
from tests.support import repositories
from tests.support.repositories import git
from tests.worker.rows import proposal

DAY = 86400.0


class Place:
    """A mirror with commits of runs, and the worker's database."""

    def __init__(self, folder: Path) -> None:
        self.worker = folder / "state" / "worker"
        remote = repositories.remote_with_commit(folder)
        self.base = remote.heads()["main"]
        self.clone = repositories.clone(remote, folder / "clone")
        self.mirror = self.worker / "mirrors" / "sample.git"
        self.pack = folder / "pack"
        self.pack.write_bytes(repositories.pack(self.clone, self.base))
        asyncio.run(Mirror("sample").import_base(str(self.pack), self.base))

    def card(self, connection: sqlite3.Connection, run: str, state: str = "open", days: float = 0) -> None:
        """The commit of a run with its card, which has been over for so many days."""
        head = repositories.commit(self.clone, {run: run}, run, branch="agent/sample-1")
        self.run(run, head)
        proposals.create(connection, proposal(run=run, head=head, branch=f"agent/sample-{run}"))
        if state != "open":
            ended = clock.text(time.time() - days * DAY)
            connection.execute("UPDATE proposals SET state = ?, ended_at = ? WHERE run = ?", (state, ended, run))

    def run(self, run: str, head: str) -> None:
        self.pack.write_bytes(repositories.pack(self.clone, head, self.base))
        asyncio.run(Mirror("sample").import_run(run, str(self.pack), head, self.base, 1 << 20))

    @property
    def runs(self) -> list[str]:
        return git(self.mirror, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/runs/").split()

    def drop(self) -> None:
        async def act() -> None:
            database = Database(str(self.worker / "worker.sqlite"), MIGRATIONS)
            await database.open()
            try:
                await leftovers.drop(database)
            finally:
                await database.close()

        asyncio.run(act())

    @contextlib.contextmanager
    def rows(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.worker / "worker.sqlite", isolation_level=None)
        connection.row_factory = sqlite3.Row
        with contextlib.closing(connection):
            yield connection


def age(path: Path, days: float) -> None:
    os.utime(path, (time.time() - days * DAY,) * 2)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path / "state"))
    place = Place(tmp_path)
    place.drop()  # makes the tables
    return place


def test_runs_whose_cards_have_been_over_for_thirty_days_are_forgotten_and_others_are_not(place: Place) -> None:
    with place.rows() as rows:
        for number, state in enumerate(("superseded", "refused", "void", "expired")):
            place.card(rows, f"{number}-1-old", state, 31)
            place.card(rows, f"{number}-1-new", state, 29)
        place.card(rows, "9-1-open")
    head = git(place.clone, "rev-parse", "HEAD")
    place.run("10-1-none", head)
    place.run("0-1-old-12345678", head)
    place.run("0-1-new-12345678", head)
    place.run("11-1-none", head)
    age(place.mirror / "refs" / "runs" / "11-1-none", 31)

    place.drop()

    assert sorted(place.runs) == sorted(
        [*(f"{number}-1-new" for number in range(4)), "9-1-open", "10-1-none", "0-1-new-12345678"]
    )
    assert git(place.mirror, "fsck", "--full") == ""


def test_remarks_stay_as_long_as_a_run_has_the_commit(place: Place) -> None:
    with place.rows() as rows:
        place.card(rows, "1-1-x")
    live = git(place.clone, "rev-parse", "HEAD")
    gone = repositories.commit(place.clone, {"gone": ""}, "Gone")
    remarks = place.mirror / "remarks"
    remarks.mkdir()
    for commit, days in ((live, 31), (gone, 31), (place.base, 29)):
        (remarks / commit).write_text("a remark")
        age(remarks / commit, days)

    place.drop()

    assert sorted(each.name for each in remarks.iterdir()) == sorted([live, place.base])


def test_folders_of_a_killed_worker_go_and_a_project_of_such_a_name_stays(place: Place) -> None:
    top = place.worker / "largefiles"
    for name in ("tmpabcdefgh", "tmpproject", "tmpyoung", "sample"):
        inner = top / name / ("1" * 40 if name == "tmpproject" else "index")
        inner.mkdir(parents=True)
        if name != "tmpyoung":
            age(top / name, 1)

    place.drop()

    assert sorted(each.name for each in top.iterdir()) == ["sample", "tmpproject", "tmpyoung"]


def test_old_bundles_of_a_project_without_a_mirror_are_dropped(place: Place) -> None:
    folder = place.worker / "kept" / "other"
    folder.mkdir(parents=True)
    old = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time() - 31 * DAY))
    new = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    for name in (f"{old}.bundle", f"{new}.bundle", "mine.bundle"):
        (folder / name).write_bytes(b"")

    asyncio.run(kept.drop_all_old())

    assert sorted(each.name for each in folder.iterdir()) == sorted([f"{new}.bundle", "mine.bundle"])
    assert not (place.worker / "mirrors" / "other.git").exists()
