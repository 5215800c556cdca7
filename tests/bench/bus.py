"""Bus round trip: a typed reply of the size of Worker.GetStatus, from servers that do nothing else."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from asyncvarlink import VarlinkClientProtocol, connect_unix_varlink

from herald import names
from herald.bus.client import Peer
from herald.interfaces.worker import Worker
from tests.bench.figures import Aim, Figure
from tests.bench.peers.replies import STATUS, Plain
from tests.bench.stage import Stage

_CALLS = 50
"""Calls in a row; one sample is their mean."""

RoundTrip = Callable[[], Awaitable[object]]


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Median round trips in microseconds."""
    folder = stage.place("bus")
    os.environ["HERALD_BUS"] = str(folder)
    paths = {kind: str(folder / kind) for kind in ("asyncvarlink", "json")}
    paths["herald"] = names.socket_path(names.WORKER)
    for kind, path in paths.items():
        stage.peer("tests.bench.peers.replies", kind, path)
    samples = asyncio.run(_interleaved(paths, rounds * 4))
    return [
        Figure("raw asyncio, JSON and NUL", "us", samples["json"]),
        Figure("bare asyncvarlink", "us", samples["asyncvarlink"]),
        Figure("Herald's bus", "us", samples["herald"], Aim("times at most", 1.2, "bare asyncvarlink")),
    ]


async def _interleaved(paths: dict[str, str], rounds: int) -> dict[str, list[float]]:
    async with AsyncExitStack() as stack:
        herald = Peer(Worker, 10.0)
        stack.callback(herald.close)
        transport, protocol = await connect_unix_varlink(VarlinkClientProtocol, paths["asyncvarlink"])
        stack.callback(transport.close)
        reader, writer = await asyncio.open_unix_connection(paths["json"])
        stack.callback(writer.close)

        async def raw() -> object:
            writer.write(json.dumps({"method": "io.herald.Worker.GetStatus", "parameters": {}}).encode() + b"\0")
            return json.loads((await reader.readuntil(b"\0"))[:-1])["parameters"]

        acts: dict[str, RoundTrip] = {
            "herald": herald.GetStatus,
            "asyncvarlink": protocol.make_proxy(Plain).GetStatus,
            "json": raw,
        }
        for act in acts.values():
            assert await act() == STATUS
        samples: dict[str, list[float]] = {kind: [] for kind in acts}
        for _ in range(rounds):
            for kind, act in acts.items():
                begun = time.perf_counter()
                for _ in range(_CALLS):
                    await act()
                samples[kind].append((time.perf_counter() - begun) / _CALLS * 1e6)
        return samples
