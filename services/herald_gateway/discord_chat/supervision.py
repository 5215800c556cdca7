"""Keeps Herald connected to Discord: one client after the other, each attempt as soon as it makes sense."""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable
from typing import Protocol

import aiohttp
import discord

from herald import journal
from herald.clock import now
from herald.errors import HeraldError, Unavailable
from herald.snapshot import Current
from herald.snapshot import Discord as Server
from herald_gateway.discord_chat.budget import Budget, Exhausted
from herald_gateway.discord_chat.client import HeraldClient, Listener, point_at, unblock
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.refusal import refusal_in, words_of
from herald_gateway.discord_chat.vigil import Stuck, Vigil
from herald_gateway.outbox import Draft, Outbox

_UNREACHED_APART = 3.8
_UNREACHED_PAUSE = 1.0
"""Seconds between the starts of attempts that reach no HELLO, at most, and from the end of one to the next."""

_LONGEST_PAUSE = 30.0
_STABLE = 30.0
"""Seconds of being connected after which a failure is the first one again."""

_TOLD_AFTER = 5
"""Failures in a row after which people are told."""

_REFUSED_PAUSE = 3600.0
_LOOK_EVERY = 5.0
_CLOSING = 2.0
_ACT_DEADLINE = 60.0
_ACT_AGAIN = 30.0
_STUCK = 90.0


class Reader(Protocol):
    """What reads the messages that were missed."""

    async def catch_up(self, client: discord.Client, settled: Callable[[], None]) -> None:
        """Read them; `settled` is called once what can be read was read."""


class Supervision:
    """The loop of attempts. It ends with the service alone."""

    def __init__(
        self,
        link: Link,
        listener: Listener,
        reader: Reader,
        budget: Budget,
        outbox: Outbox,
        snapshot: Current,
        token: Callable[[], str],
    ) -> None:
        self._link = link
        self._listener = listener
        self._reader = reader
        self._budget = budget
        self._outbox = outbox
        self._snapshot = snapshot
        self._token = token
        self._failures = 0
        self._growth = 0
        self._away_since = ""
        self._attempt: _Attempt | None = None
        self._beat_at = 0.0

    def check(self) -> None:
        """Raises Unavailable when the loop is stuck."""
        silent = asyncio.get_running_loop().time() - self._beat_at
        if self._beat_at and silent > _STUCK:
            raise Unavailable(f"the connection to Discord has not been looked after for {silent:.0f} s")

    def read_again(self) -> None:
        """What was missed is read once more."""
        if self._attempt is not None:
            self._attempt.greet()

    async def run(self) -> None:
        """Connect, and connect again, without end."""
        while True:
            self._beat()
            started = asyncio.get_running_loop().time()
            self._attempt = attempt = _Attempt(self._link, self._listener, self._reader, self._budget, self._settings)
            try:
                await attempt.run(*self._settings(), connected=self._connected, beat=self._beat)
            except Exhausted as exhausted:
                await self._failed(str(exhausted), attempt)
                await self._rest(exhausted.seconds)
            except Exception as error:  # noqa: BLE001 - discord.py lets out whatever a server provokes
                refusal = refusal_in(error)
                if refusal:
                    await self._refused(refusal)
                else:
                    await self._failed(words_of(error), attempt)
                    lasted = asyncio.get_running_loop().time() - started
                    await asyncio.sleep(self._pause(reached=attempt.identified and _reached(error), lasted=lasted))

    def _beat(self) -> None:
        self._beat_at = asyncio.get_running_loop().time()

    def _settings(self) -> tuple[str, Server]:
        return self._token(), self._snapshot.get().discord

    def _connected(self) -> None:
        if self._away_since:
            journal.notice(f"connected to Discord again; it was away since {self._away_since}")
        self._away_since = ""

    def _pause(self, *, reached: bool, lasted: float) -> float:
        """Seconds until the next attempt, with jitter. What never got to HELLO cost nothing, and is tried often."""
        if not reached:
            return min(_UNREACHED_PAUSE, max(0.1, _UNREACHED_APART - lasted)) * random.uniform(0.8, 1.0)
        return min(_LONGEST_PAUSE, 2.0 ** max(0, self._growth - 1)) * random.uniform(0.8, 1.0)

    async def _failed(self, problem: str, attempt: "_Attempt") -> None:
        self._link.lost(problem)
        if attempt.was_ready_for(_STABLE):
            self._failures = self._growth = 0
        self._failures += 1
        self._growth += attempt.identified
        if not self._away_since:
            self._away_since = now()
            journal.warning(f"the connection to Discord failed: {problem}")
        if self._failures == _TOLD_AFTER:
            text = (
                f"Discord cannot be reached since {self._away_since[11:19]} UTC: {problem}. Herald goes on trying;"
                " what was said meanwhile is read then, and what it has to say is sent then."
            )
            journal.error(text)
            await self._post(f"discord-away:{self._away_since}", text)

    async def _refused(self, problem: str) -> None:
        """Say it, then wait: for another token or server, or an hour, in which an intent may have been switched on."""
        journal.error(problem)
        self._link.refuse(problem)
        await self._post(f"discord-refused:{now()}", problem)
        await self._rest(_REFUSED_PAUSE)

    async def _rest(self, seconds: float) -> None:
        """Sleep, but no longer than token and server stay what they are."""
        before = self._settings()
        for _ in range(math.ceil(seconds / _LOOK_EVERY)):
            await asyncio.sleep(min(seconds, _LOOK_EVERY))
            self._beat()
            if self._settings() != before:
                return

    async def _post(self, key: str, text: str) -> None:
        try:
            await self._outbox.post(Draft(key=key, project="", kind="notice", text=text))
        except HeraldError as error:
            journal.error(f"cannot be posted: {error.message}")


class _Attempt:
    """One client from its login to its end."""

    def __init__(
        self,
        link: Link,
        listener: Listener,
        reader: Reader,
        budget: Budget,
        settings: Callable[[], tuple[str, Server]],
    ) -> None:
        self._link = link
        self._reader = reader
        self._settings = settings
        self._client = HeraldClient(listener, budget)
        self._ready_at: float | None = None
        self._acts_due = asyncio.Event()

    @property
    def identified(self) -> bool:
        """Whether HELLO was reached."""
        return self._client.identified_at is not None

    def was_ready_for(self, seconds: float) -> bool:
        """Whether it was connected so long."""
        return self._ready_at is not None and asyncio.get_running_loop().time() - self._ready_at >= seconds

    def greet(self) -> None:
        """Have it catch up; before READY it does so anyway."""
        if self._client.is_ready():
            self._client.greeted.set()

    async def run(self, token: str, server: Server, connected: Callable[[], None], beat: Callable[[], None]) -> None:
        """Returns never: raises what ended it."""
        self._link.server = point_at(server)
        vigil = Vigil(self._client, lambda: self._settings() == (token, server), beat)
        tasks = [
            asyncio.create_task(work, name=f"discord {name}")
            for name, work in (
                ("client", self._client.start(token, reconnect=False)),
                ("login", self._log_in()),
                ("vigil", vigil.keep()),
                ("reading", self._read(connected)),
                ("acts", self._act()),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in sorted(done, key=tasks.index):
                each.result()
            raise ConnectionError("the gateway closed the connection")
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.wait(tasks, timeout=_CLOSING)
            for each in tasks:
                if each.done() and not each.cancelled():
                    each.exception()  # one of them was told, the others are known
            await self._close()

    async def _close(self) -> None:
        """At once, also when nobody answers any more."""
        closing = asyncio.create_task(self._client.close(), name="discord closing")
        await asyncio.wait([closing], timeout=_CLOSING)
        if not closing.done():
            closing.cancel()
            await self._client.http.close()

    async def _log_in(self) -> None:
        await self._client.logged_in.wait()
        self._link.logged_in(self._client)
        await asyncio.Event().wait()

    async def _read(self, connected: Callable[[], None]) -> None:
        """Catch up after every READY and RESUMED; a newer one begins anew."""

        def settled() -> None:
            if not self._client.ws.open:
                return  # it comes back with a RESUMED or a READY
            self._ready_at = self._ready_at or asyncio.get_running_loop().time()
            self._link.caught_up()
            self._acts_due.set()
            connected()

        while True:
            await self._client.greeted.wait()
            self._client.greeted.clear()
            work = [
                asyncio.create_task(self._reader.catch_up(self._client, settled), name="discord catch-up"),
                asyncio.create_task(self._client.greeted.wait(), name="discord greeting"),
            ]
            try:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                if work[0] in done:
                    work[0].result()
            finally:
                for each in work:
                    each.cancel()
                await asyncio.wait(work)
            if work[0].cancelled():
                unblock(self._client)

    async def _act(self) -> None:
        """What others do after every READY and RESUMED, one after the other; again after a while if one failed."""
        failed = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ACT_AGAIN if failed else None):
                    await self._acts_due.wait()
            self._acts_due.clear()
            failed = False
            for act in self._link.ready_acts:
                try:
                    async with asyncio.timeout(_ACT_DEADLINE):
                        await act(self._client)
                except Exception as error:  # noqa: BLE001 - one that fails keeps no other from its work
                    journal.error(f"after connecting to Discord: {type(error).__name__}: {error}")
                    failed = True


def _reached(error: Exception) -> bool:
    """Whether a connection was there when a client failed; else its gateway was closed and could not be reopened."""
    if isinstance(error, Stuck):
        return error.reached
    return not isinstance(error, (OSError, aiohttp.ClientError, TimeoutError, discord.HTTPException))
