"""The durable event log of a service, and the streaming call that follows it.

Rows are written in the same transaction as what they tell of. The cursor is the row id: who was away resumes at
its cursor, misses nothing and sees nothing twice.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Any, TypedDict

from herald.clock import now
from herald.database import Database

SCHEMA = """
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  project TEXT NOT NULL,
  task TEXT NOT NULL,
  run TEXT NOT NULL,
  data TEXT NOT NULL
);
"""

_BATCH = 200


class Row(TypedDict):
    """One event; `data` is a JSON object as text."""

    id: int
    at: str
    kind: str
    project: str
    task: str
    run: str
    data: str


def append(
    connection: sqlite3.Connection, kind: str, *, project: str = "", task: str = "", run: str = "", **data: Any
) -> None:
    """Record an event; to be called inside a write. Followers see it when `EventLog.committed` is called."""
    connection.execute(
        "INSERT INTO events (at, kind, project, task, run, data) VALUES (?, ?, ?, ?, ?, ?)",
        (now(), kind, project, task, run, json.dumps(data, ensure_ascii=False, separators=(",", ":"))),
    )


class EventLog:
    """Reading and following the log."""

    def __init__(self, database: Database, told: Callable[[], None] | None = None) -> None:
        """`told` is called after every commit, besides those who follow."""
        self._database = database
        self._told = told
        self._changed = asyncio.Event()

    def committed(self) -> None:
        """Wake the followers: something was committed."""
        self._changed.set()
        self._changed = asyncio.Event()
        if self._told is not None:
            self._told()

    async def newest(self) -> int:
        """The id of the newest event, 0 if there is none."""
        return await self._database.read(
            lambda connection: int(connection.execute("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()[0])
        )

    async def after(self, since: int, limit: int = _BATCH) -> list[Row]:
        """Events with an id above `since`, oldest first."""

        def read(connection: sqlite3.Connection) -> list[Row]:
            rows = connection.execute("SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?", (since, limit))
            return [
                Row(
                    id=row["id"],
                    at=row["at"],
                    kind=row["kind"],
                    project=row["project"],
                    task=row["task"],
                    run=row["run"],
                    data=row["data"],
                )
                for row in rows
            ]

        return await self._database.read(read)

    async def follow(self, since: int) -> AsyncIterator[Row]:
        """Events with an id above `since`, then every new one, without end; -1: only new ones.

        A cursor beyond the newest event belongs to a log that is gone: then everything is told.
        """
        newest = await self.newest()
        cursor = newest if since < 0 else since if since <= newest else 0
        while True:
            changed = self._changed
            rows = await self.after(cursor)
            for row in rows:
                yield row
                cursor = row["id"]
            if not rows:
                await changed.wait()
