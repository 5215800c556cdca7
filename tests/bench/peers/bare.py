"""The least that a service of Herald could be: asyncio, sqlite3, asyncvarlink, one database and one socket open.

python -m tests.bench.peers.bare FOLDER
"""

import asyncio
import os
import sqlite3
import sys

from asyncvarlink import VarlinkInterface, VarlinkInterfaceRegistry, create_unix_server, varlinkmethod


class Bare(VarlinkInterface, name="io.herald.Bare"):
    """One method."""

    @varlinkmethod(return_parameter="duty")
    async def GetStatus(self) -> str:
        """Nothing much."""
        return "idle"


async def _serve(folder: str) -> None:
    database = sqlite3.connect(os.path.join(folder, "bare.sqlite"))
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
    registry = VarlinkInterfaceRegistry()
    registry.register_interface(Bare())
    await create_unix_server(registry.protocol_factory, os.path.join(folder, "bare"))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
