"""Appends events to a log until it is killed, or follows it: `python -m tests.shared.follower FILE append|SINCE`."""

import asyncio
import sys

from herald import events
from herald.database import Database


async def _main(path: str, what: str) -> None:
    database = Database(path, [events.SCHEMA])
    await database.open()
    log = events.EventLog(database)
    if what == "append":
        number = await log.newest()
        while True:
            number += 1
            await database.write(lambda connection, number=number: events.append(connection, "tick", task=str(number)))
            log.committed()
            print(number, flush=True)
    async for row in log.follow(int(what)):
        print(row["id"], row["task"], flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
