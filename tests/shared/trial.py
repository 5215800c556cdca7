"""herald-trial - the service that the tests of the bus and of the skeleton drive

Options are variables: TRIAL_PARTIAL (seconds for half a message), TRIAL_CONNECTIONS, TRIAL_DIES (a task that dies
after so many seconds), TRIAL_DUTY (file: the duty hangs while it exists).
"""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, NoReturn

from asyncvarlink import FileDescriptor

from herald import events, journal
from herald.bus import callers, limits
from herald.database import Database
from herald.errors import of_code
from herald.service import Service, run
from tests.shared.interface import Content, Count, Echo, Health, Item, Tick, Trial, Who

_OWN_TASKS = frozenset({"watchdog", "rest"})
"""Tasks of the skeleton. They come and go by the clock, so a count with them in it depends on when it is made."""


class Implementation(Trial):
    def __init__(self, folder: Path, database: Database, log: events.EventLog) -> None:
        self._folder = folder
        self._database = database
        self._log = log

    async def Echo(
        self,
        *,
        text: str,
        number: int = 7,
        colour: Literal["red", "blue"] = "red",
        maybe: str | None = None,
        items: list[Item] | None = None,
    ) -> Echo:
        return Echo(text=text, number=number, colour=colour, maybe=maybe, items=items or [])

    async def ListItems(self, *, count: int) -> list[Item]:
        return [Item(name="item", number=number) for number in range(count)]

    async def Raise(self, *, code: str) -> Count:
        if code == "bug":
            raise ZeroDivisionError("a bug with sk-ant-canary-000000000000 in it")
        raise of_code(code, f"this is {code}")

    async def Add(self, *, key: str = "", name: str, die: int = 0, wait: float = 0.0) -> Count:
        times = self._add(name)
        if times <= die:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(wait)
        self._add(f"{name}-answered")
        return Count(times=times)

    async def GetAdded(self, *, name: str, die: int = 0) -> Count:
        if self._add(f"{name}-read") <= die:
            os.kill(os.getpid(), signal.SIGKILL)
        return Count(times=self._times(name))

    def _add(self, name: str) -> int:
        with (self._folder / name).open("a") as file:
            file.write("x")
        return self._times(name)

    def _times(self, name: str) -> int:
        path = self._folder / name
        return len(path.read_text()) if path.exists() else 0

    async def Hang(self) -> None:
        await asyncio.Event().wait()

    async def Read(self, *, file: FileDescriptor, padding: str = "") -> Content:
        return Content(text=os.pread(file.fileno(), 1000, 0).decode())

    async def GetCaller(self) -> Who:
        caller = callers.current()
        return Who(kind=caller.kind, name=caller.name, uid=caller.uid, speaks_for_others=caller.speaks_for_others)

    async def GetHealth(self) -> Health:
        sockets = [name for name in os.listdir("/proc/self/fd") if _is_socket(name)]
        tasks = [task for task in asyncio.all_tasks() if task.get_name() not in _OWN_TASKS]
        return Health(tasks=len(tasks), connections=len(sockets))

    async def Append(self, *, key: str) -> Count:
        def write(connection: sqlite3.Connection) -> int:
            if connection.execute("SELECT 1 FROM events WHERE task = ?", (key,)).fetchone() is None:
                events.append(connection, "tick", task=key)
            return int(connection.execute("SELECT id FROM events WHERE task = ?", (key,)).fetchone()[0])

        times = await self._database.write(write)
        self._log.committed()
        return Count(times=times)

    async def Watch(self, *, since: int) -> AsyncIterator[Tick]:
        async for row in self._log.follow(since):
            yield Tick(number=row["id"])

    async def Count(self, *, to: int, fail: bool = False) -> AsyncIterator[Tick]:
        for number in range(to):
            yield Tick(number=number)
        if fail:
            raise of_code("Conflict", "no further")
        await asyncio.Event().wait()


def _is_socket(name: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    except FileNotFoundError:
        return False


async def _die(seconds: float) -> NoReturn:
    await asyncio.sleep(seconds)
    raise RuntimeError("a task has died with sk-ant-canary-000000000000")


async def main(service: Service) -> None:
    """Serve, with what the variables ask for."""
    limits.PARTIAL_FRAME = float(os.environ.get("TRIAL_PARTIAL", "30"))
    limits.CONNECTIONS = int(os.environ.get("TRIAL_CONNECTIONS", str(limits.CONNECTIONS)))
    hangs = Path(os.environ.get("TRIAL_DUTY", "/nonexistent"))

    async def duty() -> str:
        if hangs.exists():
            await asyncio.Event().wait()
        newest = await log.newest()
        return f"on\nduty, {newest} events" if newest else "on\nduty"

    async def reload() -> None:
        journal.info("reloaded")

    database = await service.database("trial.sqlite", [events.SCHEMA])
    log = events.EventLog(database, service.changed)
    service.duty(duty)
    service.on_reload(reload)
    if "TRIAL_DIES" in os.environ:
        service.task(_die(float(os.environ["TRIAL_DIES"])), "dying")
    service.serve(Trial, Implementation(Path(service.state), database, log))
    if service.once:
        service.stopping.set()


if __name__ == "__main__":
    run("worker", main, __doc__ or "", can_once=True)
