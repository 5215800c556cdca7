"""All that happens, in order, so that a test can wait for it instead of looking again and again."""

import asyncio
import time
from typing import Any

from tests.fake_discord.ids import Json


class Changes:
    """A log that grows; `wait` returns when it has grown past a number."""

    def __init__(self) -> None:
        self.log: list[Json] = []
        self._grown = asyncio.Event()

    @property
    def seq(self) -> int:
        return len(self.log)

    def note(self, kind: str, **what: Any) -> None:
        self.log.append({"seq": self.seq + 1, "at": time.time(), "kind": kind, **what})
        self._grown.set()
        self._grown = asyncio.Event()

    async def wait(self, since: int, seconds: float) -> int:
        """The newest number, once it is above `since` or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                while self.seq <= since:
                    await self._grown.wait()
        except TimeoutError:
            pass
        return self.seq
