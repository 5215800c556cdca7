"""The budget of IDENTIFYs, kept on disk: beyond 1,000 in 24 hours Discord takes the bot's token away."""

import asyncio
import sqlite3
import time

from herald.database import Database

_WINDOW = 86400.0
_STOP = 950
_SCARCE = 450
_SCARCE_APART = 180.0
"""Seconds between two once they are scarce: the stop is then never reached by this Herald alone."""

_APART = 5.0
"""Seconds that Discord wants between two."""


class Exhausted(Exception):
    """No IDENTIFY may be sent for `seconds`."""

    def __init__(self, used: int, seconds: float) -> None:
        super().__init__(
            f"{used} logins to Discord's gateway in 24 hours; the next one waits {_duration(seconds)}, because after"
            " 1,000 Discord resets the bot's token. The journal of herald-gateway says why connections fail"
        )
        self.seconds = seconds


class Budget:
    """Counts each IDENTIFY before it is sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spend(self) -> None:
        """Wait until one may be sent, then take it out, on disk. Raises Exhausted, Unavailable."""
        await asyncio.sleep(await self._database.read(pause))
        await self._database.write(spend)


def pause(connection: sqlite3.Connection) -> float:
    """The seconds until one may be sent. Raises Exhausted."""
    now = time.time()
    used, oldest, newest = connection.execute(
        "SELECT count(*), min(at), max(at) FROM identifies WHERE at > ? AND at <= ?", (now - _WINDOW, now + _WINDOW)
    ).fetchone()  # those to come were sent before the clock was set back
    if used >= _STOP:
        raise Exhausted(used, oldest + _WINDOW - now)
    since = max(0.0, now - newest) if used else _WINDOW
    if used >= _SCARCE and since < _SCARCE_APART:
        raise Exhausted(used, _SCARCE_APART - since)
    return max(0.0, _APART - since)


def spend(connection: sqlite3.Connection) -> None:
    """Take one out that is about to be sent, and forget those that do not count any more."""
    now = time.time()
    connection.execute("DELETE FROM identifies WHERE at <= ? OR at > ?", (now - _WINDOW, now + _WINDOW))
    connection.execute("INSERT INTO identifies (at) VALUES (?)", (now,))


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{max(1, round(seconds))} s"
