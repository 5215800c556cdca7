"""Short ways to put things into the worker's database and to look at them."""

import json
import sqlite3
import time
from typing import Any

from herald import clock
from herald.interfaces.worker import Author, Kind
from herald_worker import proposals, tasks
from herald_worker.proposals import NewProposal
from herald_worker.tasks import NewTask

ADA = Author(id="unix:ada", name="Ada")
HEAD, BASE = "a" * 40, "b" * 40


def queue(db: sqlite3.Connection, key: str, project: str = "sample", kind: Kind = "operator", text: str = "do") -> int:
    """Queue a task; returns its number."""
    return int(tasks.enqueue(db, NewTask(key, project, kind, text, ADA, []))["task"])


def start(db: sqlite3.Connection, run: str = "") -> tuple[int, str]:
    """Start what is due next; returns its number and its run."""
    due = tasks.next_due(db)
    assert due is not None
    run = run or f"{due.id}-{due.attempt + 1}-x"
    assert tasks.begin(db, due, run)
    tasks.running(db, run)
    return due.id, run


def next_key(db: sqlite3.Connection) -> str:
    """The key of the task that is due next, empty if none is."""
    due = tasks.next_due(db)
    return due.key if due else ""


def finish(db: sqlite3.Connection, task: int, run: str) -> None:
    """End a run well."""
    assert tasks.end_run(db, run, "ok", "", 0.0, {})
    tasks.end(db, task, "done", "", "")


def order(db: sqlite3.Connection) -> list[str]:
    """The keys in the order in which they are served."""
    keys = []
    while due := tasks.next_due(db):
        keys.append(due.key)
        task, run = start(db)
        finish(db, task, run)
    return keys


def later(seconds: float) -> str:
    return clock.text(time.time() + seconds)


def row(db: sqlite3.Connection, task: int) -> dict[str, Any]:
    return dict(tasks.row_of(db, str(task)))


def posts(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """What lies in the outbox."""
    return [dict(each) for each in db.execute("SELECT * FROM outbox ORDER BY id")]


def events(db: sqlite3.Connection) -> list[str]:
    return [each["kind"] for each in db.execute("SELECT kind FROM events ORDER BY id")]


def event_data(db: sqlite3.Connection) -> dict[str, Any]:
    """What the newest event tells."""
    found: dict[str, Any] = json.loads(db.execute("SELECT data FROM events ORDER BY id DESC LIMIT 1").fetchone()[0])
    return found


def proposal(**changes: Any) -> NewProposal:
    """A proposal of one commit."""
    plain = NewProposal(
        project="sample", task="1", run="1-1-x", branch="agent/sample-1", base=BASE, head=HEAD, commits=1,
        summary="Begin", card="1 file, +1 -0", identity="Sample", answers="m1", needs_vote=True,
    )  # fmt: skip
    return plain._replace(**changes)


def propose(db: sqlite3.Connection, **changes: Any) -> str:
    """Propose; returns the proposal's id."""
    proposals.create(db, proposal(**changes))
    return str(db.execute("SELECT MAX(id) FROM proposals").fetchone()[0])
