"""Where the progress of each task is shown. Functions of an open connection."""

import sqlite3
from typing import NamedTuple

from herald.interfaces.gateway import Progress
from herald.snapshot import Snapshot
from herald_gateway import deliveries
from herald_gateway.records import NewPost

GOING, ENDING, OVER = 0, 1, 2
"""ENDING: the last post of the task was sent, the last edit of its progress is due."""


class Shown(NamedTuple):
    """The message of a task. `begun` is set before it is sent, `message` afterwards; `webhook` as in `sent`."""

    task: str
    project: str
    channel: str
    message: str
    webhook: str
    answers: str
    begun: str
    ended: int
    ends: str


_SHOWN = ", ".join(Shown._fields)


def find(connection: sqlite3.Connection, task: str) -> Shown | None:
    """Where a task is shown."""
    row = connection.execute(f"SELECT {_SHOWN} FROM progress WHERE task = ?", (task,)).fetchone()
    return Shown(*row) if row else None


def due(connection: sqlite3.Connection) -> list[str]:
    """Tasks whose last edit is due."""
    return [str(task) for (task,) in connection.execute("SELECT task FROM progress WHERE ended = ?", (ENDING,))]


def begin(connection: sqlite3.Connection, shown: Shown) -> bool:
    """From now on the message may have been sent. False when the task is over meanwhile: then it must not be."""
    holes = ", ".join("?" * len(Shown._fields))
    connection.execute(f"INSERT INTO progress ({_SHOWN}) VALUES ({holes}) ON CONFLICT (task) DO NOTHING", shown)
    (ended,) = connection.execute("SELECT ended FROM progress WHERE task = ?", (shown.task,)).fetchone()
    return int(ended) == GOING


def sent(connection: sqlite3.Connection, task: str, channel: str, message: str, webhook: str) -> None:
    """The message is there."""
    connection.execute(
        "UPDATE progress SET channel = ?, message = ?, webhook = ? WHERE task = ?", (channel, message, webhook, task)
    )


def over(connection: sqlite3.Connection, task: str) -> None:
    """Nothing more is shown of a task."""
    connection.execute("UPDATE progress SET ended = ? WHERE task = ?", (OVER, task))


def lane_of(connection: sqlite3.Connection, progress: Progress, snapshot: Snapshot) -> str:
    """Where a task is shown: where its answer goes."""
    answer = NewPost(
        key=f"progress:{progress['task']}",
        revision=0,
        project=progress["project"],
        kind="answer",
        identity="",
        text="",
        plain="",
        file="",
        answers=progress["answers"],
        last=False,
        at="",
        task=progress["task"],
    )
    return deliveries.lane_of(connection, answer, snapshot)
