"""The event log: a follower misses nothing and sees nothing twice, whoever is killed."""

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

from herald import events
from herald.bus import blocking
from herald.bus.client import Peer
from herald.database import Database
from herald.errors import Unavailable
from tests.shared.interface import Trial
from tests.shared.staging import Stage
from tests.shared.test_caller import restarted
from tests.shared.test_database import with_database


def _append(database: Database, log: events.EventLog, *tasks: str) -> asyncio.Task[None]:
    async def write() -> None:
        for task in tasks:
            await database.write(partial(events.append, kind="tick", task=task, more=task))
            log.committed()

    return asyncio.create_task(write())


async def _take(log: events.EventLog, since: int, count: int) -> list[int]:
    taken: list[int] = []
    follower = log.follow(since)
    async for row in follower:
        taken.append(row["id"])
        if len(taken) == count:
            break
    await follower.aclose()  # type: ignore[attr-defined]
    return taken


def test_a_follower_sees_what_was_and_then_what_comes(tmp_path: Path) -> None:
    async def act(database: Database) -> list[int]:
        log = events.EventLog(database)
        await _append(database, log, "a", "b", "c")
        following = asyncio.create_task(_take(log, 1, 4))
        await _append(database, log, "d", "e")
        return await following

    assert with_database(tmp_path / "e", act, [events.SCHEMA]) == [2, 3, 4, 5]


def test_a_follower_of_what_is_new_sees_nothing_old(tmp_path: Path) -> None:
    async def act(database: Database) -> list[int]:
        log = events.EventLog(database)
        await _append(database, log, "a", "b")
        following = asyncio.create_task(_take(log, -1, 1))
        while not following.done():
            await _append(database, log, "c")
        return await following

    assert with_database(tmp_path / "e", act, [events.SCHEMA])[0] > 2


def test_a_cursor_of_a_log_that_is_gone_is_told_everything(tmp_path: Path) -> None:
    async def act(database: Database) -> list[int]:
        log = events.EventLog(database)
        await _append(database, log, "a", "b")
        return await _take(log, 1000, 2)

    assert with_database(tmp_path / "e", act, [events.SCHEMA]) == [1, 2]


def test_many_followers_see_every_event_once_and_in_order(tmp_path: Path) -> None:
    async def act(database: Database) -> list[list[int]]:
        log = events.EventLog(database)
        following = [asyncio.create_task(_take(log, 0, 600)) for _ in range(10)]
        await asyncio.gather(*(_append(database, log, *map(str, range(100))) for _ in range(6)))
        return await asyncio.gather(*following)

    assert with_database(tmp_path / "e", act, [events.SCHEMA]) == [list(range(1, 601))] * 10


def test_an_event_belongs_to_the_write_it_tells_of(tmp_path: Path) -> None:
    async def act(database: Database) -> list[events.Row]:
        log = events.EventLog(database)

        def fail(connection: object) -> None:
            events.append(connection, "never")  # type: ignore[arg-type]
            raise KeyError

        await asyncio.gather(database.write(fail), _append(database, log, "ä"), return_exceptions=True)
        return await log.after(0)

    (row,) = with_database(tmp_path / "e", act, [events.SCHEMA])
    assert (row["kind"], row["task"], json.loads(row["data"])) == ("tick", "ä", {"more": "ä"})


def test_kills_of_the_service_and_of_followers_miss_and_repeat_nothing(stage: Stage) -> None:
    chance = random.Random(11)
    seen: list[int] = []

    async def append(first: int, last: int) -> None:
        peer: Any = Peer(Trial, 30.0)
        numbers = [(await peer.Append(key=f"key {number}"))["times"] for number in range(first, last)]
        assert numbers == list(range(first, last))
        peer.close()
        await asyncio.sleep(0)

    def follow(until: int) -> None:
        """Follow with a new stream until a number has come."""
        with contextlib.suppress(Unavailable), contextlib.closing(_stream(seen[-1] if seen else 0)) as numbers:
            while not seen or seen[-1] < until:
                seen.append(next(numbers))

    with restarted(stage) as services:
        for round_ in range(5):
            first = round_ * 40 + 1
            appending = threading.Thread(target=asyncio.run, args=(append(first, first + 40),))
            appending.start()
            follow(first + chance.randrange(30))
            services[-1].kill()
            appending.join()
        while seen[-1] < 200:
            follow(200)

    assert seen == list(range(1, 201))


def _stream(since: int) -> Generator[int, None, None]:
    for tick in blocking.stream("worker", "Watch", {"since": since}):
        yield tick["number"]
