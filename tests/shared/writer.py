"""Writes rows to a database and prints each number once it is acknowledged.

    python -m tests.shared.writer FILE [LIMIT]

Every line of stdin is a number of rows to write at once; LIMIT is the size in bytes that a file may have until SIGUSR1.
"""

import asyncio
import resource
import signal
import sqlite3
import sys

from herald.database import Database
from herald.errors import HeraldError

MIGRATIONS = ["CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"]


def _insert(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("INSERT INTO rows VALUES (?, ?)", (number, f"row {number} " * 40))


async def _write(database: Database, number: int) -> None:
    try:
        await database.write(lambda connection: _insert(connection, number))
    except HeraldError as error:
        print(f"refused {number} {error.message}", flush=True)
    else:
        print(f"written {number}", flush=True)


def _lift_limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print("unlimited", flush=True)


async def _main(path: str, limit: int | None) -> None:
    database = Database(path, MIGRATIONS)
    await database.open()
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _lift_limit)
    first = await database.read(lambda connection: connection.execute("SELECT COALESCE(MAX(number), 0) FROM rows"))
    number = first.fetchone()[0]
    print("open", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        batch = range(number + 1, number + 1 + int(line))
        await asyncio.gather(*(_write(database, each) for each in batch))
        number = batch[-1]
        print("done", flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))
