"""A bare discord.py client in a thread: what the fake is tried with, without anything of Herald's."""

import asyncio
import threading
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import aiohttp
import yarl

from tests.fake_discord.client import Discord

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its voice part imports audioop
    import discord as discord
    from discord import ConnectionClosed as ConnectionClosed
    from discord import app_commands as app_commands

_T = TypeVar("_T")


class Bare(discord.Client):
    """Notes what it hears, as (name, id) in order; messages with their text."""

    def __init__(self, server: Discord, intents: int) -> None:
        wanted = discord.Intents.none()
        wanted.value = intents
        nobody = discord.AllowedMentions.none()
        super().__init__(intents=wanted, guild_ready_timeout=0.05, allowed_mentions=nobody)
        self.server = server
        self.heard: list[tuple[str, str]] = []
        self.changed = threading.Condition()
        self.tree = app_commands.CommandTree(self)

    def hear(self, name: str, what: str = "") -> None:
        with self.changed:
            self.heard.append((name, what))
            self.changed.notify_all()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """No five seconds of sleep."""

    async def on_ready(self) -> None:
        self.hear("ready")

    async def on_resumed(self) -> None:
        self.hear("resumed")

    async def on_disconnect(self) -> None:
        self.hear("disconnect")

    async def on_guild_channel_create(self, channel: discord.abc.GuildChannel) -> None:
        self.hear("channel", channel.name)

    async def on_message(self, message: discord.Message) -> None:
        self.hear("message", message.content)

    async def on_raw_reaction_add(self, reaction: discord.RawReactionActionEvent) -> None:
        self.hear("reaction", str(reaction.emoji))

    def texts(self) -> list[str]:
        return [text for name, text in self.heard if name == "message"]


class Running:
    """The client's thread. `failure` is what came out of it."""

    def __init__(self, server: Discord, intents: int = 53608189) -> None:
        self.server = server
        self.failure: BaseException | None = None
        self.client: Bare
        self._loop = asyncio.new_event_loop()
        made = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(intents, made))
        self._thread.start()
        assert made.wait(10)

    def _live(self, intents: int, made: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run(intents, made))

    async def _run(self, intents: int, made: threading.Event) -> None:
        self.client = Bare(self.server, intents)
        made.set()
        async with self.client:
            try:
                await self.client.start(self.server.token, reconnect=False)
            except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
                self.failure = error
        self.client.hear("end")

    def wait(self, condition: Callable[[], object]) -> None:
        """Until it is so; looked at again with everything that the client hears."""
        with self.client.changed:
            assert self.client.changed.wait_for(condition, 20)

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run something on the client's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def ready(self) -> "Running":
        self.wait(lambda: ("ready", "") in self.client.heard or self.failure)
        assert self.failure is None, self.failure
        return self

    def channel(self, id_: str) -> discord.TextChannel:
        self.wait(lambda: self.client.get_channel(int(id_)))
        found = self.client.get_channel(int(id_))
        assert isinstance(found, discord.TextChannel)
        return found

    def close(self) -> None:
        if self.failure is None and self._thread.is_alive():
            self.do(self.client.close())
        self._thread.join(20)


def point_at(server: Discord) -> None:
    """discord.py takes its addresses from these two attributes."""
    discord.http.Route.BASE = server.api
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(server.gateway_url)
