"""What goes wrong with REST requests: single faults, faults by chance, bucket limits, the global limit."""

import asyncio
import dataclasses
import hashlib
import random
import re
import time

from tests.fake_discord.ids import Json


@dataclasses.dataclass
class Fault:
    """One thing that goes wrong with requests whose method and whole path match.

    `times` 0: for ever. `skip`: so many pass first. `after`: the request is carried out, only its answer is lost.
    One of `status`, `retry_after` (429), `drop` (the connection is reset), `hold` (until it is released); with `delay`
    alone it is only late.
    """

    method: str = "*"
    path: str = ".*"
    times: int = 1
    skip: int = 0
    chance: float = 1.0
    after: bool = False
    delay: float = 0.0
    status: int = 0
    text: str = "upstream error"
    body: Json | None = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    retry_after: float | None = None
    everywhere: bool = False
    """429 of the global limit."""
    via: bool = True
    """False: 429 as the page that bans an address."""
    drop: bool = False
    hold: bool = False


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._dice = random.Random(0)
        self._limits: dict[tuple[str, str], tuple[int, float]] = {}
        self._buckets: dict[tuple[str, str, str], tuple[int, float]] = {}
        self._everywhere: tuple[int, float] | None = None
        self.released = asyncio.Event()

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def seed(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def clear(self) -> None:
        self._faults.clear()
        self._limits.clear()
        self._everywhere = None
        self.release()

    def release(self) -> None:
        """Let the requests go on that a fault holds."""
        self.released.set()
        self.released = asyncio.Event()

    def next(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, used up by it."""
        for fault in self._faults:
            if fault.method not in ("*", method) or not re.fullmatch(fault.path, path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.chance < 1 and self._dice.random() >= fault.chance:
                continue
            if fault.times == 1:
                self._faults.remove(fault)
            fault.times -= 1 if fault.times else 0
            return fault
        return None

    def limit(self, method: str, template: str, count: int, seconds: float) -> None:
        """At most so many requests of a route in so many seconds, per channel, guild or webhook."""
        self._limits[method, template] = (count, seconds)

    def limit_everything(self, count: int, seconds: float) -> None:
        self._everywhere = (count, seconds)

    def charge_global(self) -> float | None:
        """Seconds to wait when the bot has sent too much altogether."""
        if self._everywhere is None:
            return None
        return self._charge(("", "", ""), *self._everywhere)[2]

    def charge(self, method: str, template: str, major: str) -> tuple[dict[str, str], float | None]:
        """The headers of the bucket, and the seconds to wait when it is empty."""
        limit = self._limits.get((method, template))
        if limit is None:
            return {}, None
        left, until, wait = self._charge((method, template, major), *limit)
        bucket = hashlib.md5(f"{method}{template}".encode(), usedforsecurity=False).hexdigest()
        headers = {
            "X-RateLimit-Limit": str(limit[0]), "X-RateLimit-Remaining": str(left), "X-RateLimit-Bucket": bucket,
            "X-RateLimit-Reset": f"{until:.3f}", "X-RateLimit-Reset-After": f"{max(0.0, until - time.time()):.3f}",
        }  # fmt: skip
        return headers, wait

    def _charge(self, key: tuple[str, str, str], count: int, seconds: float) -> tuple[int, float, float | None]:
        now = time.time()
        left, until = self._buckets.get(key, (0, 0.0))
        if now >= until:
            left, until = count, now + seconds
        wait = None if left else until - now
        left = max(0, left - 1)
        self._buckets[key] = (left, until)
        return left, until, wait
