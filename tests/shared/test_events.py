"""The event log: a follower misses nothing and sees nothing twice, whoever is killed."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from herald import events
from herald.database import Database
from tests.shared.staging import ROOT, SOURCES
from tests.shared.test_database import with_database


def _append(database: Database, log: events.EventLog, *tasks: str) -> asyncio.Task[None]:
    async def write() -> None:
        for task in tasks:
            await database.write(lambda connection, task=task: events.append(connection, "tick", task=task, more=task))
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


def test_kills_of_writer_and_follower_miss_and_repeat_nothing(tmp_path: Path) -> None:
    def start(what: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.shared.follower", str(tmp_path / "events"), what],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": SOURCES, "PATH": "/usr/bin:/bin"},
        )

    def kill(process: subprocess.Popen[str]) -> list[str]:
        """What it said, up to its last whole line."""
        process.kill()
        assert process.stdout is not None
        rest = process.stdout.read()
        process.stdout.close()
        process.wait()
        return rest.split("\n")[:-1]

    acknowledged, seen = 0, list[tuple[int, int]]()
    for _ in range(4):
        writer = start("append")
        assert writer.stdout is not None
        for _ in range(30):
            acknowledged = int(writer.stdout.readline())
        follower = start(str(seen[-1][0] if seen else 0))
        assert follower.stdout is not None
        lines = [follower.stdout.readline().strip() for _ in range(20)]
        lines += kill(follower)
        acknowledged = int((kill(writer) or [str(acknowledged)])[-1])
        seen += [(int(id_), int(task)) for id_, task in map(str.split, lines)]
    follower = start(str(seen[-1][0]))
    assert follower.stdout is not None
    while seen[-1][1] < acknowledged:
        id_, task = follower.stdout.readline().split()
        seen.append((int(id_), int(task)))
    kill(follower)

    assert seen == [(number, number) for number in range(1, len(seen) + 1)]
    assert len(seen) >= acknowledged
