"""Messages for an agent at work.

Accepted in the queue's own transaction, then appended to the run's control file. The driver notes in the result which
of them the agent has taken up; when the run is settled each other one becomes a task of its own, under the same key.
"""

import asyncio
import json
import sqlite3
from typing import NamedTuple

from herald import clock, events, journal
from herald.database import Database
from herald.interfaces.worker import Author, Enqueued
from herald_worker import posts, tasks
from herald_worker.runfolder import RunFolder
from herald_worker.tasks import NewTask


class Accepted(NamedTuple):
    """What became of a message. `run` is the one whose agent is to get it now, empty: nothing is left to be done."""

    enqueued: Enqueued
    run: str


def accept(connection: sqlite3.Connection, new: NewTask, replies_to: str) -> Accepted:
    """Take a message for the running agent of a task, or into the queue; once for each key.

    `replies_to` empty: it is for the queue.
    """
    known = connection.execute("SELECT task FROM steers WHERE key = ?", (new.key,)).fetchone()
    if known is not None:
        return Accepted(_steered(known["task"], created=False), "")
    going = connection.execute(
        "SELECT tasks.id AS task, runs.id AS run FROM tasks JOIN runs ON runs.task = tasks.id AND runs.state <> 'ended'"
        " WHERE tasks.id = ? AND tasks.project = ? AND tasks.state IN ('starting', 'running')"
        " AND tasks.cancelled_by = '' AND NOT EXISTS (SELECT 1 FROM tasks AS other WHERE other.key = ?)",
        (int(replies_to) if replies_to.isdecimal() else -1, new.project, new.key),
    ).fetchone()
    if going is None:
        return Accepted(tasks.enqueue(connection, new), "")
    connection.execute(
        "INSERT INTO steers (key, task, run, kind, text, author_id, author_name, history, state, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'accepted', ?)",
        (
            new.key,
            going["task"],
            going["run"],
            new.kind,
            new.text,
            new.author["id"],
            new.author["name"],
            json.dumps(new.history, ensure_ascii=False),
            clock.now(),
        ),
    )
    task = str(going["task"])
    events.append(connection, "task.steered", project=new.project, task=task, run=going["run"], author=new.author["id"])
    return Accepted(_steered(going["task"], created=True), going["run"])


def _steered(task: int, *, created: bool) -> Enqueued:
    return Enqueued(task=str(task), created=created, ahead=0, steered=True)


def settle(connection: sqlite3.Connection, run: str, project: str, taken: frozenset[str]) -> None:
    """The run is over: what its agent did not take up becomes tasks, and who said it is told."""
    rows = connection.execute(
        "SELECT * FROM steers WHERE run = ? AND state = 'accepted' ORDER BY rowid", (run,)
    ).fetchall()
    for row in rows:
        if row["key"] in taken:
            connection.execute("UPDATE steers SET state = 'taken' WHERE key = ?", (row["key"],))
            continue
        connection.execute("DELETE FROM steers WHERE key = ?", (row["key"],))
        author = Author(id=row["author_id"], name=row["author_name"])
        new = NewTask(row["key"], project, row["kind"], row["text"], author, json.loads(row["history"]))
        task = tasks.enqueue(connection, new)["task"]
        text = f"That did not reach the agent before its run ended; it is task {task} now."
        posts.add(
            connection, posts.NewPost(f"late-{row['key']}", project, "notice", text, answers=row["key"], task=task)
        )


class Steering:
    """Hands accepted messages on to their runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hand_on(self, run: str) -> bool:
        """Append to a run's control file what was accepted for it and is not there yet; false: it is over."""
        rows = await self._database.read(lambda connection: _accepted(connection, run))
        try:
            await asyncio.to_thread(_append, RunFolder(run), rows)
        except FileNotFoundError:
            return False
        except OSError as error:  # it becomes a task when the run is over
            journal.warning(f"a message could not be handed on to the agent: {error.strerror}", run=run)
        return True


def _accepted(connection: sqlite3.Connection, run: str) -> list[sqlite3.Row]:
    return connection.execute(
        "SELECT * FROM steers WHERE run = ? AND state = 'accepted' ORDER BY rowid", (run,)
    ).fetchall()


def _append(run: RunFolder, rows: list[sqlite3.Row]) -> None:
    there = run.told()
    for row in rows:
        if row["key"] not in there:
            author = Author(id=row["author_id"], name=row["author_name"])
            run.tell({"key": row["key"], "author": author, "text": row["text"]})
