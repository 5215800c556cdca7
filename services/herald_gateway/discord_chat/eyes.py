"""The eyes under a message: it was taken, and the worker has it on its disk. Put there once, also after a restart."""

import asyncio
import sqlite3
import time
from functools import partial
from typing import NamedTuple

import discord

from herald import clock, journal
from herald.database import Database
from herald.errors import Unavailable
from herald_gateway.discord_chat.rest import Ambiguous, Refused
from herald_gateway.discord_chat.sending import Wire
from herald_gateway.lanes import insist

_EYES = "\U0001f440"
_RECENT = 24 * 3600.0
_PAUSE = 2.0
_AT_ONCE = 20


class _Taken(NamedTuple):
    key: str
    channel: str
    message: str


class Eyes:
    """Puts them under messages that were handed over."""

    def __init__(self, database: Database, wire: Wire) -> None:
        self._database = database
        self._wire = wire
        self._bell = asyncio.Event()

    def wake(self) -> None:
        """A message was acted on."""
        self._bell.set()

    async def again(self, _: discord.Client) -> None:
        """The connection is back."""
        self._bell.set()

    async def run(self) -> None:
        """Look for messages without, for ever; those of one channel in order."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            while taken := await insist(lambda: self._database.read(_without)):
                channels: dict[str, list[_Taken]] = {}
                for each in taken:
                    channels.setdefault(each.channel, []).append(each)
                async with asyncio.TaskGroup() as tasks:
                    for messages in channels.values():
                        tasks.create_task(self._look_at(messages), name="eyes")

    async def _look_at(self, messages: list[_Taken]) -> None:
        for each in messages:
            try:
                await self._wire.react(each.channel, each.message, _EYES)
            except (Unavailable, Ambiguous):
                await asyncio.sleep(_PAUSE)
                return
            except Refused as error:
                journal.notice(f"no eyes under message {each.message}: {error}")
            await insist(partial(self._database.write, partial(_note, key=each.key)))


def _without(connection: sqlite3.Connection) -> list[_Taken]:
    """Messages that the worker took: tasks, and commands that nothing here replied to."""
    since = clock.text(time.time() - _RECENT)
    rows = connection.execute(
        "SELECT key, json_extract(origin, '$[1]'), json_extract(origin, '$[3]') FROM messages"
        " WHERE noted = 0 AND state = 'done' AND origin <> '' AND refusal = '' AND kind IN ('task', 'command')"
        " AND at > ? AND json_extract(origin, '$[3]') <> ''"
        " AND NOT EXISTS (SELECT 1 FROM posts WHERE posts.key = 'reply:' || messages.key) ORDER BY seq LIMIT ?",
        (since, _AT_ONCE),
    )
    return [_Taken(*row) for row in rows]


def _note(connection: sqlite3.Connection, key: str) -> None:
    connection.execute("UPDATE messages SET noted = 1 WHERE key = ?", (key,))
