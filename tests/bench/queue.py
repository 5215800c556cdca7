"""Durable enqueue: over the bus, against bare SQLite and against huey; each commit is fsynced."""

import os
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from huey import SqliteHuey

from herald import clock, names
from herald.bus import limits
from herald.bus.frames import Frames
from herald_worker.schema import MIGRATIONS
from tests.bench.figures import Aim, Figure, interleaved
from tests.bench.stage import Stage

_TASKS = 60
"""Tasks in a row; one sample is their rate."""

_CALLERS = 8
_HUEY = "huey, SqliteHuey(fsync=True)"
_TEXT = "Add a page that says what the sample is for, and a test that reads it."


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Tasks a second."""
    worker = stage.service(names.WORKER, stage.configured(max_active=0))
    worker.until_ready()
    os.environ["HERALD_BUS"] = str(worker.bus)
    folder = stage.place("queues")
    with closing(_raw(folder)) as raw, closing(Caller()) as one:
        callers = [Caller() for _ in range(_CALLERS)]
        huey = _huey(folder)
        samples = interleaved(
            {
                "raw": lambda: _rate(_TASKS, lambda: _insert(raw)),
                "huey": lambda: _rate(_TASKS, huey),
                "one": lambda: _rate(_TASKS, one.enqueue),
                "eight": lambda: _together(callers),
            },
            rounds * 2,
        )
        for caller in callers:
            caller.close()
    aim = Aim("times at least", 1.0, _HUEY)
    return [
        Figure("SQLite, the same table", "/s", samples["raw"]),
        Figure(_HUEY, "/s", samples["huey"]),
        Figure("Worker.Enqueue, 1 caller", "/s", samples["one"], aim),
        Figure(f"Worker.Enqueue, {_CALLERS} callers", "/s", samples["eight"], aim),
    ]


class Caller:
    """One connection to the worker, as heraldctl makes it."""

    def __init__(self) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(names.socket_path(names.WORKER))
        self._frames = Frames(self._connection, limits.FRAME)

    def enqueue(self) -> None:
        """Hand in one task and wait until it is on disk."""
        parameters = {"key": uuid.uuid4().hex, "project": "sample", "text": _TEXT}
        self._frames.send({"method": "io.herald.Worker.Enqueue", "parameters": parameters})
        received = self._frames.receive()
        assert received is not None
        assert received[0]["parameters"]["created"], received

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _rate(count: int, act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        act()
    return count / (time.perf_counter() - begun)


def _together(callers: list[Caller]) -> float:
    def work(caller: Caller) -> None:
        for _ in range(_TASKS // 2):
            caller.enqueue()

    threads = [threading.Thread(target=work, args=(caller,)) for caller in callers]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _TASKS // 2 * len(callers) / (time.perf_counter() - begun)


def _raw(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "raw.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(MIGRATIONS[0])
    return connection


def _insert(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO tasks (key, project, kind, rank, text, author_id, author_name, history, state, created_at)"
        " VALUES (?, 'sample', 'operator', 0, ?, 'unix:ada', 'Ada', '[]', 'queued', ?)",
        (uuid.uuid4().hex, _TEXT, clock.now()),
    )


def _huey(folder: Path) -> Callable[[], object]:
    queue = SqliteHuey("bench", filename=str(folder / "huey.sqlite"), fsync=True)

    @queue.task()
    def run(project: str, text: str) -> None:
        """Never executed: there is no consumer."""

    return lambda: run("sample", _TEXT)
