"""Three servers of one reply, the size of io.herald.Worker.GetStatus: Herald's bus, bare asyncvarlink, raw JSON.

python -m tests.bench.peers.replies herald|asyncvarlink|json SOCKET
"""

import asyncio
import json
import socket
import sys

from asyncvarlink import VarlinkInterface, VarlinkInterfaceRegistry, create_unix_server, varlinkmethod

from herald.bus.server import Server
from herald.interfaces.worker import Author, Status, Task, Worker

_RUNNING = Task(
    id="17",
    key="message-17",
    project="sample",
    kind="operator",
    state="running",
    text="Add a page that says what the sample is for, and a test that reads it.",
    author=Author(id="unix:ada", name="Ada"),
    attempt=1,
    created_at="2026-01-31T09:12:00.000Z",
    not_before=None,
    started_at="2026-01-31T09:12:00.040Z",
    ended_at=None,
    kind_of_failure="",
    summary="",
)
STATUS = Status(
    duty="running sample (task 17), 3 queued",
    queued=3,
    running=[_RUNNING],
    open_proposals=1,
    max_active=1,
    config_generation=4,
    config_errors=[],
    deployments=0,
    gateway_backlog=0,
    missing=[],
    not_held=[],
)


class Served(Worker):
    """For Herald's bus."""

    async def GetStatus(self) -> Status:
        return STATUS


class Plain(VarlinkInterface, name="io.herald.Worker"):
    """The same method for asyncvarlink without anything around it."""

    @varlinkmethod
    async def GetStatus(self) -> Status:
        """What the worker is doing now."""
        return STATUS


async def _herald(path: str) -> None:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    Server(Worker, Served(), print).listen(listening)


async def _asyncvarlink(path: str) -> None:
    registry = VarlinkInterfaceRegistry()
    registry.register_interface(Plain())
    await create_unix_server(registry.protocol_factory, path)


async def _json(path: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await reader.readuntil(b"\0")
            except asyncio.IncompleteReadError:
                return
            assert json.loads(request[:-1])["method"] == "io.herald.Worker.GetStatus"
            writer.write(json.dumps({"parameters": STATUS}).encode() + b"\0")

    await asyncio.start_unix_server(answer, path)


async def _serve(kind: str, path: str) -> None:
    await {"herald": _herald, "asyncvarlink": _asyncvarlink, "json": _json}[kind](path)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2]))
