"""How far each channel and thread was read, on disk. The copy in memory may be ahead by what needed no recording."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from herald.database import Database
from herald.errors import Unavailable
from herald_gateway.lanes import insist

_FLUSH_AFTER = 10.0
"""Seconds after which moves that nothing else carried to the disk are written."""


class Cursor(NamedTuple):
    """`first`: nothing up to here is taken, it was there before Herald. `seen`: all up to here is dealt with."""

    first: int
    seen: int


class Cursors:
    """The cursors of all channels."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, Cursor] = {}
        self._moved: set[int] = set()
        self._bell = asyncio.Event()
        self._begun = asyncio.Event()

    async def load(self) -> None:
        """Read what is on disk."""
        self._known = await self._database.read(_load)

    async def run(self) -> None:
        """Write moves that nothing else carries to the disk: beginnings at once, others after a while."""
        try:
            while True:
                await self._bell.wait()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_AFTER):
                        await self._begun.wait()
                self._bell.clear()
                self._begun.clear()
                await insist(self.flush)
        finally:
            with contextlib.suppress(Unavailable):
                await self.flush()

    async def flush(self) -> None:
        """Write all moves."""
        moves = self.moves()
        if moves:
            await self._database.write(lambda connection: write(connection, moves))
            self.written(moves)

    def of(self, channel: int) -> Cursor | None:
        """The cursor of a channel; None: it was never seen."""
        return self._known.get(channel)

    def begin(self, channel: int, first: int) -> None:
        """A channel is seen for the first time: what is newer than `first` counts."""
        if channel not in self._known:
            self._known[channel] = Cursor(first, first)
            self._moved.add(channel)
            self._bell.set()
            self._begun.set()

    def move(self, channel: int, message: int) -> None:
        """Everything up to this message is dealt with, and needs no record."""
        cursor = self._known.get(channel) or Cursor(message - 1, message - 1)
        if message > cursor.seen or channel not in self._known:
            self._known[channel] = cursor._replace(seen=max(message, cursor.seen))
            self._moved.add(channel)
            self._bell.set()

    def moves(self, channel: int = 0, message: int = 0) -> dict[int, Cursor]:
        """What a transaction has to write: all moves so far, and the one to this message, which it records."""
        moves = {each: self._known[each] for each in self._moved}
        if channel:
            cursor = self._known.get(channel) or Cursor(message - 1, message - 1)
            moves[channel] = cursor._replace(seen=max(cursor.seen, message))
        return moves

    def written(self, moves: Mapping[int, Cursor]) -> None:
        """These are on the disk."""
        for channel, cursor in moves.items():
            known = self._known.get(channel)
            if known is None or known.seen <= cursor.seen:
                self._known[channel] = cursor
                self._moved.discard(channel)


def write(connection: sqlite3.Connection, moves: Mapping[int, Cursor]) -> None:
    """Write moves. No cursor goes back."""
    connection.executemany(
        "INSERT INTO cursors (channel, first, seen) VALUES (?, ?, ?) ON CONFLICT (channel) DO UPDATE"
        " SET seen = excluded.seen WHERE CAST(excluded.seen AS INTEGER) > CAST(seen AS INTEGER)",
        [(str(channel), str(cursor.first), str(cursor.seen)) for channel, cursor in moves.items()],
    )


def _load(connection: sqlite3.Connection) -> dict[int, Cursor]:
    rows = connection.execute("SELECT channel, first, seen FROM cursors")
    return {int(channel): Cursor(int(first), int(seen)) for channel, first, seen in rows}
