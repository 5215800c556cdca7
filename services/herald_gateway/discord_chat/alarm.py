"""The webhook by which herald-alert posts a crash of the gateway itself, in the system channel.

It is left in a file beside the database. Found again in the channel or made anew at each connection.
"""

import asyncio
import contextlib
import os
from functools import partial

import discord

from herald import durable, journal, names
from herald.errors import HeraldError
from herald.snapshot import Current
from herald_gateway.discord_chat.book import Address, learn, url_of
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.rest import Refused
from herald_gateway.discord_chat.webhooks import ours_in, sure

NAME = "Herald"


class Alarm:
    """Keeps the file true."""

    def __init__(self, link: Link, snapshot: Current) -> None:
        self._link = link
        self._snapshot = snapshot
        self._bell = asyncio.Event()
        self._path = names.alert_webhook_path()
        self._told = ""

    def wake(self) -> None:
        """There is a new connection."""
        self._bell.set()

    async def run(self) -> None:
        """See to it after each connection, for ever."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            await self._set_up()

    async def _set_up(self) -> None:
        """Have the webhook and its address in the file. What is in the way is told once and tried again next time."""
        settings = self._snapshot.get().discord
        try:
            url = await self._url(settings.system_channel, settings.api) if settings.system_channel else ""
            await asyncio.to_thread(self._leave, url)
        except Refused as refusal:
            self._tell(f"<#{settings.system_channel}> lets Herald make no webhook ({refusal})")
        except (HeraldError, OSError) as error:
            self._tell(str(error))

    async def _url(self, channel_id: str, api: str) -> str:
        client = await self._link.client()
        number = int(channel_id)
        channel = client.get_channel(number) or await sure(lambda: client.fetch_channel(number))
        if not isinstance(channel, discord.TextChannel):
            return ""
        ours = await ours_in(channel, client)
        if not ours:
            await sure(lambda: channel.create_webhook(name=NAME, reason="Herald"))
            ours = await ours_in(channel, client)  # two, where discord.py asked again after a 5xx
        hook, *more = ours
        for each in more:
            await sure(partial(each.delete, reason="Herald"))
        return url_of(Address(str(hook.id), str(hook.token)), api)

    def _leave(self, url: str) -> None:
        if not url:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            return
        learn(url)
        with contextlib.suppress(FileNotFoundError), open(self._path, encoding="ascii", errors="replace") as file:
            if file.read() == url:
                return
        durable.write_atomic(self._path, url.encode(), 0o600)

    def _tell(self, problem: str) -> None:
        if problem != self._told:
            self._told = problem
            journal.notice(f"a crash of the gateway can be posted only when it is back: {problem}")
