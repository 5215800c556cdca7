"""Messages are acted on one after the other, lane by lane; what waits is in the database, not in memory."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from herald.database import Database
from herald.errors import Busy, Unavailable
from herald_gateway import records
from herald_gateway.records import Recorded

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0

T = TypeVar("T")


async def insist(work: Callable[[], Awaitable[T]]) -> T:
    """Do this until it succeeds: Unavailable and Busy pass. Between attempts a pause that grows, with jitter."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await work()
        except (Unavailable, Busy):
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE)


class Lanes:
    """Acts on every recorded message once, the oldest of its lane first, also after a restart.

    `act` carries a message out and marks it done. It may be called again for the same message: after it raised
    Unavailable or Busy, and after a restart. While it cannot succeed, the messages behind wait: their order holds.
    """

    def __init__(self, database: Database, act: Callable[[Recorded], Awaitable[None]]) -> None:
        self._database = database
        self._act = act
        self._bells: dict[str, asyncio.Event] = {}
        self._ends: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self._tasks: asyncio.TaskGroup | None = None
        self._acted: Callable[[], None] = lambda: None

    def tell(self, acted: Callable[[], None]) -> None:
        """From now on this is called after each message that was acted on."""
        self._acted = acted

    async def run(self) -> None:
        """Run all lanes, first those in which a message waits from before."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                for lane in await self._database.read(records.lanes_waiting):
                    self._wake(lane)
                await asyncio.Event().wait()
            finally:
                self._tasks = None  # what is not acted on yet waits for the next start, and its caller need not
                for end in self._ends.values():
                    end.set()

    async def passed(self, message: Recorded, patience: float) -> None:
        """See to it that a recorded message is acted on; returns when it was, or after `patience` seconds."""
        if message.state == "done":
            return
        end = self._ends.setdefault(message.key, asyncio.Event())
        self._wake(message.lane)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await end.wait()

    def see_to(self, message: Recorded) -> None:
        """See to it that a recorded message is acted on, without waiting for it."""
        if message.state != "done":
            self._wake(message.lane)

    def _wake(self, lane: str) -> None:
        if self._tasks is None:
            return  # the start of `run` looks for what waits
        if lane in self._bells:
            self._bells[lane].set()
        else:
            self._bells[lane] = asyncio.Event()
            self._tasks.create_task(self._serve(lane, self._bells[lane]), name=f"lane {lane}")

    async def _serve(self, lane: str, bell: asyncio.Event) -> None:
        """Act on what waits in a lane, then end. The bell says that a message came after the last look."""
        while True:
            bell.clear()
            message = await insist(lambda: self._database.read(lambda db: records.next_waiting(db, lane)))
            if message is not None:
                await insist(partial(self._act, message))
                self._acted()
                if (end := self._ends.get(message.key)) is not None:
                    end.set()
            elif not bell.is_set():
                del self._bells[lane]
                return
