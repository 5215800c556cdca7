"""Deployments in the database: which commit, which is next, told once."""

import sqlite3
import time
from collections.abc import Iterator

import pytest

from herald import clock
from herald.interfaces.worker import Author
from herald_worker import deployments
from herald_worker.schema import MIGRATIONS

_ADA = Author(id="unix:ada", name="Ada")
_HEAD = "1" * 40


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    for script in MIGRATIONS:
        connection.executescript(script)
    yield connection
    connection.close()


def pushed(db: sqlite3.Connection, branch: str, head: str, at: str, project: str = "sample") -> None:
    db.execute(
        "INSERT OR REPLACE INTO pushed (project, branch, url, head, at) VALUES (?, ?, '', ?, ?)",
        (project, branch, head, at),
    )


def ask(db: sqlite3.Connection, key: str, project: str = "sample") -> str:
    """Ask for a deployment; returns its commit."""
    return deployments.add(db, key, project, _ADA)["head"]


def due(db: sqlite3.Connection, *held: str) -> str:
    """The key of the next one."""
    found = deployments.next_due(db, held)
    if found is None:
        return ""
    return str(db.execute("SELECT key FROM deployments WHERE id = ?", (found.id,)).fetchone()[0])


def begin(db: sqlite3.Connection) -> deployments.Due:
    """Hand over what is next."""
    found = deployments.next_due(db, ())
    assert found is not None
    deployments.begin(db, found, _HEAD, "Deploying")
    return found


def test_the_commit_is_the_one_that_was_pushed_last(db: sqlite3.Connection) -> None:
    assert ask(db, "before any push") == ""
    pushed(db, "a", "a" * 40, "2026-01-01T10:00:00.000Z")
    pushed(db, "b", "b" * 40, "2026-01-01T09:00:00.000Z")
    pushed(db, "c", "c" * 40, "2026-01-01T11:00:00.000Z", project="other")
    assert ask(db, "one") == "a" * 40
    pushed(db, "b", "d" * 40, "2026-01-01T12:00:00.000Z")
    assert ask(db, "two") == "d" * 40
    assert ask(db, "one") == "a" * 40, "the same key is the same deployment"
    assert deployments.count_live(db) == 3


def test_one_of_a_project_is_next_when_none_of_it_goes_on(db: sqlite3.Connection) -> None:
    for key, project in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        ask(db, key, project)
    assert (due(db), due(db, "a"), due(db, "a", "b")) == ("a1", "b1", "")
    first = begin(db)
    assert [each.id for each in deployments.going(db)] == [first.id]
    assert due(db) == "b1"
    deployments.end(db, first, "failed", "why", "Not deployed")
    assert due(db) == "a2"


def test_one_that_waits_for_its_next_try_holds_back_those_of_its_project_alone(db: sqlite3.Connection) -> None:
    for key, project in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        ask(db, key, project)
    until = clock.text(time.time() + 60)
    deployments.back(db, begin(db), until, counts=True)
    assert due(db) == "b1"
    assert deployments.next_delay(db) == until
    db.execute("UPDATE deployments SET not_before = ? WHERE key = 'a1'", (clock.now(),))
    assert due(db) == "a1"


def test_only_a_try_counts_as_one(db: sqlite3.Connection) -> None:
    ask(db, "a")
    for counts, tries in ((False, 0), (True, 1), (False, 1), (True, 2)):
        deployments.back(db, begin(db), clock.now(), counts=counts)
        found = deployments.next_due(db, ())
        assert found is not None
        assert found.tries == tries


def test_an_end_is_told_once(db: sqlite3.Connection) -> None:
    ask(db, "a")
    begun = begin(db)
    for state in ("deployed", "failed"):
        deployments.end(db, begun, state, "", state)
    posts = db.execute("SELECT key, text, answers, last FROM outbox ORDER BY id").fetchall()
    assert [(row["text"], row["answers"], row["last"]) for row in posts] == [
        ("Deploying", "a", 0),
        ("deployed", "a", 1),
    ]
    kinds = [row[0] for row in db.execute("SELECT kind FROM events ORDER BY id")]
    assert kinds == ["deployment.waiting", "deployment.deploying", "deployment.deployed"]


def test_a_push_asks_once_for_its_own_commit(db: sqlite3.Connection) -> None:
    db.execute(
        "INSERT INTO proposals (project, task, run, branch, base, head, commits, summary, card, state, created_at,"
        " expires_at) VALUES ('sample', '1', '1-1-x', 'b', '', ?, 1, '', '', 'pushed', '', '')",
        (_HEAD,),
    )
    row = db.execute("SELECT * FROM proposals").fetchone()
    pushed(db, "other", "f" * 40, clock.now())
    for _ in range(2):
        deployments.add_after_push(db, row)
    (found,) = db.execute("SELECT head, answers, author_id FROM deployments").fetchall()
    assert tuple(found) == (_HEAD, "", "herald:worker")
