"""Whether a client still gets anywhere. discord.py waits for minutes where Herald waits for seconds."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

from aiohttp import ClientError

from herald_gateway.discord_chat.client import HeraldClient, unblock
from herald_gateway.discord_chat.rest import cut_short

_TICK = 0.5
_SILENCE = 3.4
"""Seconds in which the network does nothing, until an attempt that has not reached HELLO is given up."""

_REOPENING = 4.0
"""Seconds for reopening a gateway that was closed, counted from the last step."""

_GREETING = 30.0
"""Seconds from the login to READY."""

_IDLE = 2.0
_DEAD = 4.5
"""Seconds without a byte from the gateway after which it is pinged, and after which it is dead."""

_LAST_RECEIVED = 52
"""Where in the kernel's tcp_info the milliseconds since the last data are."""


class Stuck(Exception):
    """The client gets nowhere; another one may. `reached`: the server answered, and still it does not work."""

    def __init__(self, problem: str, *, reached: bool = False) -> None:
        super().__init__(problem)
        self.reached = reached


class Vigil:
    """Watches one client. A gateway that never answered a ping is not judged by pings."""

    def __init__(self, client: HeraldClient, unchanged: Callable[[], bool], beat: Callable[[], None]) -> None:
        """`beat` is called with every look, and every look asks whether the configuration is `unchanged`."""
        self._client = client
        self._unchanged = unchanged
        self._beat = beat
        self._pinged_at: float | None = None
        self._answers = False
        self._closed_at: float | None = None
        self._cut_short = cut_short()

    async def keep(self) -> None:
        """Does not return. Raises Stuck when the client has to be given up."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._client.hot.wait()
            self._beat()
            self._check()
            if self._client.identified_at is not None:
                self._let_through()
                await self._feel()

    def _check(self) -> None:
        client, now = self._client, asyncio.get_running_loop().time()
        if not self._unchanged():
            raise Stuck("the configured server has changed")
        if client.hot.is_set():
            raise Stuck("the gateway closes each connection at once", reached=True)
        if client.identified_at is None:
            if now - client.moved_at > _SILENCE:
                raise Stuck(f"no answer for {_SILENCE:.0f} s")
        elif not client.welcomed and now - client.identified_at > _GREETING:
            raise Stuck(f"no READY within {_GREETING:.0f} s", reached=True)

    def _let_through(self) -> None:
        if cut_short() != self._cut_short:
            self._cut_short = cut_short()
            unblock(self._client)

    async def _feel(self) -> None:
        """Look for signs of life in the gateway's connection, and end it when it is dead: it is resumed then."""
        client, now = self._client, asyncio.get_running_loop().time()
        ws = client.ws
        if ws is None:
            return
        if not ws.open:
            self._pinged_at = None
            self._closed_at = self._closed_at or now
            if not client.waits and now - max(self._closed_at, client.opened_at) > _REOPENING:
                raise Stuck(f"the gateway cannot be opened again: no answer for {_REOPENING:.0f} s")
            return
        self._closed_at = None
        connection = ws.socket.get_extra_info("socket")
        if connection is None:
            return
        idle = _idle_seconds(connection)
        if self._pinged_at is not None and idle < now - self._pinged_at:
            self._answers, self._pinged_at = True, None
        if idle > _DEAD and self._answers:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            self._pinged_at = None
        elif idle > _IDLE and self._pinged_at is None:
            self._pinged_at = now
            with contextlib.suppress(ClientError, OSError, TimeoutError):
                async with asyncio.timeout(_TICK):
                    await ws.socket.ping()


def _idle_seconds(connection: socket.socket) -> float:
    """Seconds since the last data came over a connection, by the kernel."""
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_RECEIVED + 4)
    except OSError:
        return 0.0  # it is closed just now
    return float(struct.unpack_from("I", info, _LAST_RECEIVED)[0]) / 1000 if len(info) >= _LAST_RECEIVED + 4 else 0.0
