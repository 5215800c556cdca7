"""The connection to Discord as the rest of the gateway uses it, whichever client carries it just now."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import discord

from herald.errors import Unavailable

State = Literal["connecting", "ready", "refused"]

_LONGEST_LATENCY = 3600.0
"""Seconds; before the first answer to a heartbeat the latency is infinite."""


class Link:
    """Outlives the clients: each attempt to connect brings a new one."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called whenever the status says something else."""
        self.ready = asyncio.Event()
        self.server = ""
        """The server, when it is not Discord's own."""
        self._changed = changed
        self._state: State = "connecting"
        self._problem = ""
        self._client: discord.Client | None = None
        self._moved = asyncio.Event()
        self._on_ready: list[Callable[[discord.Client], Awaitable[None]]] = []
        self._on_interaction: list[Callable[[discord.Interaction], Awaitable[None]]] = []

    async def client(self) -> discord.Client:
        """REST may be used: waits for the login. Raises Unavailable when Discord refuses the token or an intent."""
        while self._client is None:
            if self._state == "refused":
                raise Unavailable(self._problem)
            await self._moved.wait()
        return self._client

    @property
    def state(self) -> State:
        """`refused`: Discord will not have us until somebody changes something."""
        return self._state

    @property
    def problem(self) -> str:
        """What is wrong in words, with the page to go to; empty when ready."""
        return self._problem

    @property
    def latency(self) -> float:
        """Seconds to the gateway and back; negative without a connection."""
        if self._client is None or not self.ready.is_set():
            return -1.0
        seconds = self._client.latency
        return seconds if 0 <= seconds < _LONGEST_LATENCY else -1.0

    @property
    def connection(self) -> str:
        """State, problem and server in a few words."""
        words = "connected" if self._state == "ready" else self._state
        where = f" to {self.server} instead of Discord's own server" if self.server else ""
        return f"{words}{where}: {self._problem}" if self._problem else f"{words}{where}"

    def on_ready(self, act: Callable[[discord.Client], Awaitable[None]]) -> None:
        """Call this at every READY and RESUMED, in the order of registration."""
        self._on_ready.append(act)

    def on_interaction(self, act: Callable[[discord.Interaction], Awaitable[None]]) -> None:
        """Call this with every slash command, button and autocompletion."""
        self._on_interaction.append(act)

    @property
    def ready_acts(self) -> tuple[Callable[[discord.Client], Awaitable[None]], ...]:
        """What was registered with `on_ready`."""
        return tuple(self._on_ready)

    async def interacted(self, interaction: discord.Interaction) -> None:
        """Pass an interaction on."""
        for act in self._on_interaction:
            await act(interaction)

    def logged_in(self, client: discord.Client) -> None:
        """REST works with this client from now on."""
        self._client = client
        self._tell("connecting", self._problem)

    def caught_up(self) -> None:
        """Connected, and what was missed is read."""
        self._tell("ready", "")
        self.ready.set()

    def dropped(self) -> None:
        """The gateway is gone, REST may still work."""
        self.ready.clear()
        self._tell("connecting", self._problem)

    def lost(self, problem: str) -> None:
        """The client is gone; another attempt follows."""
        self._client = None
        self.ready.clear()
        self._tell("connecting", problem)

    def refuse(self, problem: str) -> None:
        """Discord will not have us; whoever waits for a client is told."""
        self._client = None
        self.ready.clear()
        self._tell("refused", problem)

    def _tell(self, state: State, problem: str) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
        if (state, problem) != (self._state, self._problem):
            self._state, self._problem = state, problem
            self._changed()
