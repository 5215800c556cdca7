"""What was said while Herald was away or the gateway dropped it: read from the history, oldest first.

It begins a minute before the cursor, so that a message is found that was overtaken by a later one and then lost.
What was recorded already is not recorded again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple

import aiohttp
import discord

from herald import journal
from herald.snapshot import Current
from herald_gateway.discord_chat.attachments import LostConnection
from herald_gateway.discord_chat.client import unblock
from herald_gateway.discord_chat.cursors import Cursors
from herald_gateway.discord_chat.reading import Reading, Where
from herald_gateway.lanes import insist

_OVERLAP = 60_000 << 22
"""A minute, as ids count it."""

_AT_ONCE = 8
_PAGE_DEADLINE = 20.0
_PATIENCE = 10.0
"""Seconds after which the rest of the gateway goes on; what is not read yet is read beside it."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
_ARCHIVED = 25
"""Archived threads of each project's channel that are looked at, the newest first."""

_TRANSIENT = (aiohttp.ClientError, OSError, TimeoutError, discord.DiscordServerError, discord.RateLimited)


class _Found(NamedTuple):
    """A channel or thread as Discord shows it. `always`: it is read whatever `last` says; 0: not known."""

    where: Where
    last: int
    always: bool = False


class CatchUp:
    """Reads what was missed. One at a time."""

    def __init__(self, snapshot: Current, cursors: Cursors, reading: Reading) -> None:
        self._snapshot = snapshot
        self._cursors = cursors
        self._reading = reading
        self._unreadable: set[int] = set()

    async def catch_up(self, client: discord.Client, settled: Callable[[], None]) -> None:
        """Read it, and let go what waits behind it. `settled` is called when that is done, or takes long."""
        found = await self._channels(client)
        groups: dict[str, list[_Found]] = {}
        fresh: set[int] = set()
        for each in found:
            if await self._is_due(client, each, fresh):
                groups.setdefault(self._reading.name_of(each.where), []).append(each)
        await insist(self._cursors.flush)
        for name in groups:
            self._reading.line(name).held = True
        await self._reading.release(groups)
        places = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(self._group(client, name, each, places)) for name, each in groups.items()]
            if work:
                await asyncio.wait(work, timeout=_PATIENCE)
            settled()

    async def _is_due(self, client: discord.Client, found: _Found, fresh: set[int]) -> bool:
        """Whether there may be something to read. A channel that was never seen begins at its newest message, and so
        do the threads that it has then; one that was born later begins at its birth."""
        where, cursor = found.where, self._cursors.of(found.where.channel)
        if cursor is None and (not where.parent or where.parent in fresh):
            fresh.add(where.channel)
            newest = found.last or await self._newest(client, where)
            if newest is not None:
                self._cursors.begin(where.channel, newest or where.channel)
            return False
        start = cursor.seen if cursor is not None else self._reading.first_of(where, found.last or where.channel)
        return found.always or not found.last or found.last > start

    async def _newest(self, client: discord.Client, where: Where) -> int | None:
        """The newest message, 0 where there is none; None: Herald may not see it. Asks until there is an answer: who
        begins without one takes what was said before Herald came."""
        channel, pause = client.get_partial_messageable(where.channel, guild_id=where.guild), _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(_PAGE_DEADLINE):
                    return max([message.id async for message in channel.history(limit=1)], default=0)
            except _TRANSIENT as error:
                journal.notice(f"where channel {where.channel} begins is asked again soon: {error!r}")
                unblock(client)
            except discord.HTTPException as error:
                if error.status != 429:
                    return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _group(self, client: discord.Client, name: str, found: list[_Found], places: asyncio.Semaphore) -> None:
        """Read the channels of one line, until nothing is missing."""
        line, pause = self._reading.line(name), _FIRST_PAUSE
        line.held = True
        async with line.lock:
            while True:
                line.missed = False
                try:
                    async with places:
                        await self._read(client, found)
                except (*_TRANSIENT, LostConnection) as error:
                    journal.notice(f"the history is read again soon: {type(error).__name__}: {error}")
                    unblock(client)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    continue
                if not line.missed:
                    break
            line.held = False
            await self._reading.drain(line)

    async def _read(self, client: discord.Client, found: list[_Found]) -> None:
        """Take what is new in all of these, in the order in which it was said."""
        heads: list[tuple[discord.Message, Where, AsyncIterator[discord.Message]]] = []
        for each in found:
            cursor = self._cursors.of(each.where.channel)
            assert cursor is not None
            start = discord.Object(max(cursor.first, cursor.seen - _OVERLAP))
            channel = client.get_partial_messageable(each.where.channel, guild_id=each.where.guild)
            messages = channel.history(limit=None, after=start, oldest_first=True)
            head = await self._next(messages, each.where)
            if head is not None:
                heads.append((head, each.where, messages))
        while heads:
            place = min(range(len(heads)), key=lambda number: heads[number][0].id)
            message, where, messages = heads[place]
            await self._reading.take(message, where, found=True)
            head = await self._next(messages, where)
            if head is None:
                del heads[place]
            else:
                heads[place] = (head, where, messages)

    async def _next(self, messages: AsyncIterator[discord.Message], where: Where) -> discord.Message | None:
        """The next message of a channel; None when there is none, or none that Herald may see."""
        try:
            async with asyncio.timeout(_PAGE_DEADLINE):
                return await anext(messages, None)
        except discord.DiscordServerError:
            raise
        except discord.HTTPException as error:
            if error.status == 429:
                raise TimeoutError("rate limit") from error
            if where.channel not in self._unreadable:
                self._unreadable.add(where.channel)
                journal.warning(
                    f"channel {where.channel} cannot be read: {error}; `heraldctl discord check` says what is missing",
                    project=self._reading.name_of(where),
                )
            return None

    async def _channels(self, client: discord.Client) -> list[_Found]:
        """Every text channel that Herald may read, and the threads in them."""
        found: dict[int, _Found] = {}
        for guild in client.guilds:
            readable = {
                each.id: each
                for each in guild.text_channels
                if self._is_herald(each.id) or _is_readable(each, guild)  # the former is asked for in any case
            }
            for channel in readable.values():
                always = self._is_herald(channel.id)
                found[channel.id] = _Found(Where(guild.id, channel.id), channel.last_message_id or 0, always)
            hidden = {each.id for each in guild.text_channels} - readable.keys()
            for thread in await self._threads(guild, [each for each in readable.values() if self._is_herald(each.id)]):
                if thread.parent_id not in hidden:
                    last = max(thread.last_message_id or 0, found[thread.id].last if thread.id in found else 0)
                    found[thread.id] = _Found(Where(guild.id, thread.id, thread.parent_id), last)
        return list(found.values())

    async def _threads(self, guild: discord.Guild, own: Iterable[discord.TextChannel]) -> list[discord.Thread]:
        """Active threads, also those born meanwhile; in Herald's own channels those archived last, too."""
        threads, places = list(guild.threads), asyncio.Semaphore(_AT_ONCE)

        async def active() -> list[discord.Thread]:
            return await guild.active_threads()

        async def archived(channel: discord.TextChannel) -> list[discord.Thread]:
            return [thread async for thread in channel.archived_threads(limit=_ARCHIVED)]

        async def ask(work: Callable[[], Awaitable[list[discord.Thread]]]) -> None:
            with contextlib.suppress(discord.HTTPException, *_TRANSIENT):
                async with places, asyncio.timeout(_PATIENCE):
                    threads.extend(await work())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask(active))
            for channel in own:
                tasks.create_task(ask(partial(archived, channel)))
        return threads

    def _is_herald(self, channel: int) -> bool:
        """Whether it is a project's channel, or one of Herald's own."""
        snapshot = self._snapshot.get()
        own = {snapshot.discord.system_channel, snapshot.discord.work_channel}
        return str(channel) in own | {each.channel for each in snapshot.projects.values()}


def _is_readable(channel: discord.TextChannel, guild: discord.Guild) -> bool:
    """As far as is known."""
    if guild.me is None:
        return True
    permissions = channel.permissions_for(guild.me)
    return permissions.view_channel and permissions.read_message_history
