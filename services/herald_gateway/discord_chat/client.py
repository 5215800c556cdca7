"""One client: one attempt at a connection, with Herald's settings. discord.py cannot start one a second time."""

import asyncio
import collections
import logging
import math
import socket
import traceback
from types import SimpleNamespace
from typing import Any, Protocol

import aiohttp
import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from herald import journal
from herald.snapshot import Discord
from herald_gateway.discord_chat.budget import Budget

_OWN_API = Route.BASE
_OWN_GATEWAY = DiscordWebSocket.DEFAULT_GATEWAY

_HOT = 10
_HOT_SECONDS = 10.0
"""More drops than this in so many seconds are no connection."""

_GUILDS_APART = 0.25
"""Seconds after the last server that was announced until all are taken to be there; later ones are read then."""

_LIMITED = 429
_LONGEST_LIMIT = 60.0
"""Seconds of a rate limit that are waited for; then it is asked again."""

_USER_TIMEOUT = 5000
"""Milliseconds without an acknowledgement after which a connection is dead, also while it is idle."""


class Listener(Protocol):
    """Who is told what comes over the gateway."""

    def connected(self) -> None:
        """A new session has begun; everything that it brings comes after this."""

    async def heard(self, message: discord.Message) -> None:
        """Somebody, perhaps a bot, said something."""

    async def reacted(self, payload: discord.RawReactionActionEvent) -> None:
        """A reaction was put under a message or taken away, not by the bot."""

    async def cleared(self, message: int) -> None:
        """A moderator took reactions of others away."""

    async def interacted(self, interaction: discord.Interaction) -> None:
        """A slash command, a button, an autocompletion."""

    def born(self, channel: discord.abc.GuildChannel | discord.Thread) -> None:
        """A channel or thread was made just now."""

    def dropped(self) -> None:
        """The gateway is gone."""


class HeraldClient(discord.Client):
    """Passes events on, counts its logins and drops, and knows when something last moved."""

    def __init__(self, listener: Listener, budget: Budget) -> None:
        for voice in ("warn_nacl", "warn_dave"):
            setattr(discord.VoiceClient, voice, False)  # Herald has no voice; discord.py warns of that otherwise
        logging.getLogger("discord.gateway").addFilter(_is_told)
        super().__init__(
            intents=_intents(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            allowed_mentions=discord.AllowedMentions.none(),
            guild_ready_timeout=_GUILDS_APART,
            heartbeat_timeout=60.0,
            connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket),
            http_trace=self._trace(),
        )
        self._listener = listener
        self._budget = budget
        self._drops: collections.deque[float] = collections.deque(maxlen=_HOT + 1)
        self.greeted = asyncio.Event()
        """READY or RESUMED came, or another server appeared."""
        self.hot = asyncio.Event()
        """The gateway closes as fast as it is connected to."""
        self.logged_in = asyncio.Event()
        self.identified_at: float | None = None
        """When HELLO was answered, by the loop's clock."""
        self.waits = False
        """HELLO was answered by no IDENTIFY yet: it is not its time."""
        self.welcomed = False
        """READY came after the last IDENTIFY."""
        self.moved_at = asyncio.get_running_loop().time()
        """When the network last did something for this client: a connection made, a request answered. While a rate
        limit is waited for, its end."""
        self.opened_at = self.moved_at
        """The same for the gateway's connection alone."""

    @property
    def latency(self) -> float:
        """Seconds. discord.py counts those since the heartbeat before, too, when the answer is faster than its note of
        the sending."""
        seconds = super().latency
        beats = self.ws._keep_alive if self.ws is not None else None  # noqa: SLF001 - nothing else tells the interval
        apart = beats.interval if beats is not None else None
        return seconds - apart if apart and apart <= seconds < math.inf else seconds

    def _trace(self) -> aiohttp.TraceConfig:
        async def moved(_session: aiohttp.ClientSession, _context: SimpleNamespace, params: Any) -> None:
            self.moved_at = asyncio.get_running_loop().time()
            if isinstance(params, aiohttp.TraceRequestEndParams):
                if params.url.scheme in ("ws", "wss"):
                    self.opened_at = self.moved_at
                elif params.response.status == _LIMITED:
                    self.moved_at += _seconds(params.response.headers.get("Retry-After", ""))

        trace = aiohttp.TraceConfig()
        for signal in (trace.on_dns_resolvehost_end, trace.on_connection_create_end, trace.on_request_end):
            signal.append(moved)
        return trace

    async def setup_hook(self) -> None:
        self.logged_in.set()

    async def before_identify_hook(self, _shard: int | None, *, initial: bool = False) -> None:  # noqa: ARG002 - theirs
        self.identified_at, self.welcomed = asyncio.get_running_loop().time(), False
        self.waits = True
        await self._budget.spend()
        self.waits, self.opened_at = False, asyncio.get_running_loop().time()

    async def on_connect(self) -> None:
        self._listener.connected()

    async def on_ready(self) -> None:
        self.welcomed = True
        self.greeted.set()

    async def on_resumed(self) -> None:
        self.greeted.set()

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await self.on_guild_available(guild)

    async def on_guild_available(self, _guild: discord.Guild) -> None:
        if self.is_ready():
            self.greeted.set()

    async def on_disconnect(self) -> None:
        drops = self._drops
        drops.append(asyncio.get_running_loop().time())
        if len(drops) > _HOT and drops[-1] - drops[0] < _HOT_SECONDS:
            self.hot.set()
        self._listener.dropped()

    async def on_message(self, message: discord.Message) -> None:
        await self._listener.heard(message)

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        if self.user is None or payload.user_id != self.user.id:
            await self._listener.reacted(payload)

    async def on_raw_reaction_remove(self, payload: discord.RawReactionActionEvent) -> None:
        await self.on_raw_reaction_add(payload)

    async def on_raw_reaction_clear(self, payload: discord.RawReactionClearEvent) -> None:
        await self._listener.cleared(payload.message_id)

    async def on_raw_reaction_clear_emoji(self, payload: discord.RawReactionClearEmojiEvent) -> None:
        await self._listener.cleared(payload.message_id)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        await self._listener.interacted(interaction)

    async def on_guild_channel_create(self, channel: discord.abc.GuildChannel) -> None:
        self._listener.born(channel)

    async def on_thread_create(self, thread: discord.Thread) -> None:
        self._listener.born(thread)

    async def on_error(self, event_method: str, /, *_args: object, **_kwargs: object) -> None:
        journal.error(f"an internal error in {event_method}\n{traceback.format_exc()}")


def point_at(server: Discord) -> str:
    """Make clients talk to this server from now on; returns what to call it, empty if it is Discord's own."""
    Route.BASE = server.api.rstrip("/") or _OWN_API
    DiscordWebSocket.DEFAULT_GATEWAY = URL(server.gateway) if server.gateway else _OWN_GATEWAY
    return server.api or server.gateway


def unblock(client: discord.Client) -> None:
    """For after a call of discord.py was cancelled, which may leave shut what others wait for: the global limit, or the
    bucket of its route. Let through too early, they are told by Discord to wait."""
    http = client.http
    http._global_over.set()  # noqa: SLF001 - nothing else opens it
    http._buckets.clear()  # noqa: SLF001 - made anew as they are needed


def _is_told(record: logging.LogRecord) -> bool:
    """Not that the gateway is late: where discord.py counts wrongly it says so of one that is fast; see `latency`."""
    return not str(record.msg).startswith("Can't keep up")


def _seconds(retry_after: str) -> float:
    try:
        return min(max(0.0, float(retry_after)), _LONGEST_LIMIT)
    except ValueError:
        return 0.0


def _intents() -> discord.Intents:
    intents = discord.Intents.none()
    intents.guilds = intents.guild_messages = intents.guild_reactions = intents.dm_messages = True
    intents.message_content = True
    return intents


def _socket(address: Any) -> socket.socket:
    """A socket that notices a dead network in seconds; asyncio would wait for a quarter of an hour."""
    made = socket.socket(*address[:3])
    made.setblocking(False)
    for option, value in (
        (socket.TCP_KEEPIDLE, 2),
        (socket.TCP_KEEPINTVL, 1),
        (socket.TCP_KEEPCNT, 3),
        (socket.TCP_USER_TIMEOUT, _USER_TIMEOUT),
        (socket.TCP_SYNCNT, 1),
    ):
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return made
