"""Deployments: rows of `deployments`, their states, their order, their posts.

waiting -> deploying -> deployed | failed | nothing | unknown
A deployment that certainly never began goes back to waiting; one that may have begun never does. Of one project one
goes on at a time, in the order in which they were asked for.
"""

import sqlite3
import uuid
from collections.abc import Collection
from typing import NamedTuple

from herald import clock, events
from herald.interfaces.worker import Author, Deployment, DeploymentState
from herald_worker import posts

ENDED: frozenset[DeploymentState] = frozenset({"deployed", "failed", "nothing", "unknown"})


class Due(NamedTuple):
    """A deployment that is to be carried out. `head` is empty until the remote was asked for its default branch."""

    id: int
    project: str
    head: str
    folder: str
    answers: str
    tries: int


def add(connection: sqlite3.Connection, key: str, project: str, author: Author) -> Deployment:
    """Ask for a deployment of what was pushed last, once for each key."""
    known = connection.execute("SELECT * FROM deployments WHERE key = ?", (key,)).fetchone()
    if known is not None:
        return shown(known)
    pushed = connection.execute(
        "SELECT head FROM pushed WHERE project = ? ORDER BY at DESC LIMIT 1", (project,)
    ).fetchone()
    return _insert(connection, key, project, "" if pushed is None else pushed["head"], author, key)


def add_after_push(connection: sqlite3.Connection, proposal: sqlite3.Row) -> None:
    """Ask for a deployment of what was just pushed; to be called in the transaction that records the push."""
    key = f"push-{proposal['run']}-{proposal['head']}"
    if connection.execute("SELECT 1 FROM deployments WHERE key = ?", (key,)).fetchone() is None:
        by = Author(id="herald:worker", name="auto_deploy_on_push")
        _insert(connection, key, proposal["project"], proposal["head"], by, "")


def _insert(
    connection: sqlite3.Connection, key: str, project: str, head: str, author: Author, answers: str
) -> Deployment:
    cursor = connection.execute(
        "INSERT INTO deployments (key, folder, project, head, state, answers, author_id, author_name, created_at)"
        " VALUES (?, ?, ?, ?, 'waiting', ?, ?, ?, ?)",
        (key, f"d{uuid.uuid4().hex[:16]}", project, head, answers, author["id"], author["name"], clock.now()),
    )
    row = _row(connection, cursor.lastrowid or 0)
    _tell(connection, row)
    return shown(row)


def next_due(connection: sqlite3.Connection, held: Collection[str]) -> Due | None:
    """The next one, of a project that is not held: where none goes on, and none before it waits for its next try."""
    rows = connection.execute("SELECT * FROM deployments WHERE ended_at IS NULL ORDER BY id").fetchall()
    seen = set(held)
    for row in rows:
        if row["project"] in seen:
            continue
        if row["state"] == "waiting" and (row["not_before"] is None or row["not_before"] <= clock.now()):
            return _due(row)
        seen.add(row["project"])
    return None


def next_delay(connection: sqlite3.Connection) -> str | None:
    """When the first one that waits for its next try may be tried, or None."""
    row = connection.execute(
        "SELECT MIN(not_before) FROM deployments WHERE ended_at IS NULL AND not_before > ?", (clock.now(),)
    ).fetchone()
    return None if row[0] is None else str(row[0])


def going(connection: sqlite3.Connection) -> list[Due]:
    """Those that were handed to the deploy unit and have not ended."""
    rows = connection.execute("SELECT * FROM deployments WHERE ended_at IS NULL AND state = 'deploying'").fetchall()
    return [_due(row) for row in rows]


def count_live(connection: sqlite3.Connection) -> int:
    """Those that wait or go on."""
    return int(connection.execute("SELECT COUNT(*) FROM deployments WHERE ended_at IS NULL").fetchone()[0])


def begin(connection: sqlite3.Connection, due: Due, head: str, text: str) -> None:
    """It is handed to the deploy unit: from here on it may have begun."""
    connection.execute(
        "UPDATE deployments SET state = 'deploying', head = ?, not_before = NULL, tries = tries + 1 WHERE id = ?",
        (head, due.id),
    )
    _tell(connection, _row(connection, due.id))
    posts.add(connection, posts.NewPost(f"deploy-{due.folder}-begun", due.project, "notice", text, answers=due.answers))


def back(connection: sqlite3.Connection, due: Due, until: str, *, counts: bool) -> None:
    """It certainly never began, and is tried again; `counts` false: there was no place, which is no try."""
    connection.execute(
        "UPDATE deployments SET state = 'waiting', not_before = ?, tries = tries - ? WHERE id = ?",
        (until, 0 if counts else 1, due.id),
    )
    _tell(connection, _row(connection, due.id))


def end(
    connection: sqlite3.Connection, due: Due, state: DeploymentState, reason: str, text: str, file: str = ""
) -> None:
    """It is over; told once."""
    changed = connection.execute(
        "UPDATE deployments SET state = ?, reason = ?, not_before = NULL, ended_at = ?"
        " WHERE id = ? AND ended_at IS NULL",
        (state, reason, clock.now(), due.id),
    ).rowcount
    if changed:
        _tell(connection, _row(connection, due.id))
        key = f"deploy-{due.folder}-ended"
        post = posts.NewPost(key, due.project, "notice", text, answers=due.answers, last=True, file=file)
        posts.add(connection, post)


def shown(row: sqlite3.Row) -> Deployment:
    """A deployment as callers see it."""
    return Deployment(
        id=str(row["id"]),
        project=row["project"],
        head=row["head"],
        state=row["state"],
        reason=row["reason"],
        created_at=row["created_at"],
    )


def _row(connection: sqlite3.Connection, number: int) -> sqlite3.Row:
    row = connection.execute("SELECT * FROM deployments WHERE id = ?", (number,)).fetchone()
    assert isinstance(row, sqlite3.Row)
    return row


def _due(row: sqlite3.Row) -> Due:
    return Due(row["id"], row["project"], row["head"], row["folder"], row["answers"], row["tries"])


def _tell(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    events.append(
        connection,
        f"deployment.{row['state']}",
        project=row["project"],
        run=row["folder"],
        deployment=str(row["id"]),
        head=row["head"],
        author=row["author_id"],
        reason=row["reason"],
    )
