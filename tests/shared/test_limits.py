"""What a caller can do to a service by mistake or on purpose, and what it must not do to others."""

import asyncio
import contextlib
import json
import resource
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from herald.bus import blocking, limits
from herald.bus.client import Peer
from tests.shared.interface import Trial
from tests.shared.staging import Stage, settles
from tests.support.processes import PATIENCE

_MEGABYTE = 1 << 20


def _serves(stage: Stage) -> bool:
    return bool(blocking.call("worker", "Echo", {"text": "still there"})["text"] == "still there")


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n\0",
        b"[]\0",
        b"1\0",
        b"\0",
        b'{"method":"\xff\xfe"}\0',
        b'{"method":' + b"9" * 6000 + b"}\0",
        b"[" * 200_000 + b"\0",
        b'{"a":' * 200_000 + b"\0",
    ],
    ids=["http", "list", "number", "nothing", "not UTF-8", "digits", "deep list", "deep object"],
)
def test_garbage_is_answered_and_ends_the_connection(stage: Stage, garbage: bytes) -> None:
    service = stage.serve()
    wire = stage.connect()

    wire.socket.sendall(garbage)

    assert "not a Varlink message" in wire.answer()["parameters"]["message"]
    assert wire.receive() is None
    assert _serves(stage)
    assert service.journal.count("\n") == 1, service.journal


def test_a_call_after_garbage_is_not_carried_out(stage: Stage) -> None:
    stage.serve()
    wire = stage.connect()

    call = json.dumps({"method": "io.herald.Worker.Add", "parameters": {"name": "after"}})
    wire.socket.sendall(b"garbage\0" + call.encode() + b"\0")

    assert "not a Varlink message" in wire.answer()["parameters"]["message"]
    assert wire.receive() is None
    assert blocking.call("worker", "GetAdded", {"name": "after"}) == {"times": 0}


@pytest.mark.parametrize(
    "call", [{}, {"method": 1}, {"method": "x"}, {"method": "io.herald.Worker.Echo", "parameters": 1}]
)
def test_an_object_that_is_no_call_is_answered(stage: Stage, call: dict[str, Any]) -> None:
    stage.serve()
    wire = stage.connect()

    wire.socket.sendall(json.dumps(call).encode() + b"\0")

    assert "error" in wire.answer()
    assert wire.call("Echo", text="x")["parameters"]["text"] == "x"


def test_half_a_message_is_given_up_but_not_one_that_waits_behind_a_call(stage: Stage) -> None:
    stage.serve(TRIAL_PARTIAL="0.3")
    half, dripping, behind = stage.connect(), stage.connect(), stage.connect()

    behind.send("Add", name="slow", wait=1.0)
    behind.socket.sendall(b'{"method":"io.herald.Worker.Echo",')
    half.socket.sendall(b'{"method":')
    dripping.socket.sendall(b'{"method":')
    with contextlib.suppress(OSError):
        dripping.socket.settimeout(0.02)
        for _ in range(200):
            with contextlib.suppress(TimeoutError):
                dripping.socket.recv(1, socket.MSG_PEEK)
                break
            dripping.socket.sendall(b" ")
    dripping.socket.settimeout(20)

    for wire in (half, dripping):
        assert wire.answer()["parameters"]["message"] == "the message was not completed"
        assert wire.receive() is None
    assert behind.answer()["parameters"] == {"times": 1}
    behind.socket.sendall(b'"parameters":{"text":"x"}}\0')
    assert behind.answer()["parameters"]["text"] == "x"


def test_a_gigabyte_without_an_end_is_cut_off_and_costs_no_memory(stage: Stage) -> None:
    service = stage.serve()
    wire = stage.connect()
    wire.call("Echo", text="x" * (7 * _MEGABYTE))
    before = service.memory

    sent = 0
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        while sent < 1 << 30:
            sent += wire.socket.send(b"a" * _MEGABYTE)

    assert sent < 2 * limits.FRAME
    assert service.memory - before < 8 * limits.FRAME
    assert _serves(stage)
    assert f"may have {limits.FRAME} bytes" in service.journal


def test_a_sender_that_never_pauses_holds_up_nobody_else(stage: Stage) -> None:
    stage.serve()
    sending, stopping = stage.connect(), threading.Event()
    call = json.dumps({"method": "io.herald.Worker.Echo", "parameters": {"text": "x"}, "oneway": True}).encode() + b"\0"

    def send() -> None:
        while not stopping.is_set():
            sending.socket.sendall(call * 2000)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(20):
            assert _serves(stage)
    finally:
        stopping.set()
        sender.join()


def test_many_long_messages_leave_the_memory_flat(stage: Stage) -> None:
    service = stage.serve()
    assert _serves(stage)
    before = service.memory

    for _ in range(18):
        wire = stage.connect()
        assert "error" in wire.call("Nope", text="x" * (7 * _MEGABYTE))
        wire.close()

    assert service.memory - before < 8 * limits.FRAME, "126 MB were sent"


def test_a_thousand_connections_at_once_are_all_served(stage: Stage) -> None:
    service = stage.serve()

    assert _serves(stage)

    async def call(number: int) -> bytes:
        reader, writer = await asyncio.open_unix_connection(stage.socket_path())
        call = {"method": "io.herald.Worker.Echo", "parameters": {"text": str(number)}}
        writer.write(json.dumps(call).encode() + b"\0")
        answer = await reader.readuntil(b"\0")
        writer.close()
        await writer.wait_closed()
        return answer

    async def call_all() -> list[bytes]:
        return await asyncio.gather(*(call(number) for number in range(1000)))

    answers = asyncio.run(call_all())
    assert [json.loads(answer[:-1])["parameters"]["text"] for answer in answers] == [str(n) for n in range(1000)]
    settles(lambda: service.descriptors, 20, "open descriptors")


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this user may open {hard} descriptors, {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_three_thousand_idle_connections_keep_nobody_out(stage: Stage) -> None:
    service = stage.serve()
    used = stage.connect()
    used.call("Echo", text="x")

    for number in range(3000):
        stage.connect()
        if number % 500 == 499:
            assert _serves(stage)  # and has accepted those before
            assert used.call("Echo", text="x")["parameters"]["text"] == "x"

    assert used.call("Echo", text="in use")["parameters"]["text"] == "in use"
    settles(lambda: service.descriptors, limits.CONNECTIONS + 20, "open descriptors")


def test_a_connection_with_a_call_under_way_keeps_its_place(stage: Stage) -> None:
    stage.serve(TRIAL_CONNECTIONS="4")
    busy = [stage.connect() for _ in range(4)]
    for number, wire in enumerate(busy):
        wire.send("Add", name=f"busy{number}", wait=0.5)
    for number in range(4):
        settles(lambda number=number: not (stage.state / "worker" / f"busy{number}").exists(), 0, "it has begun")

    assert _serves(stage)  # waits for a place
    assert [wire.answer()["parameters"] for wire in busy] == [{"times": 1}] * 4


def test_a_reader_that_leaves_takes_its_stream_along(stage: Stage) -> None:
    stage.serve()
    before = blocking.call("worker", "GetHealth")

    for _ in range(20):
        wire = stage.connect()
        wire.send("Count", more=True, to=2)
        assert [wire.answer()["parameters"]["number"] for _ in range(2)] == [0, 1]
        wire.close()

    def grown() -> int:
        now = blocking.call("worker", "GetHealth")
        return sum(now[name] - before[name] for name in ("tasks", "connections"))

    settles(grown, 0, "tasks and connections")


def test_a_stream_goes_on_for_a_reader_that_closed_its_half(stage: Stage) -> None:
    stage.serve()
    wire = stage.connect()

    wire.send("Count", more=True, to=5, fail=True)
    wire.socket.shutdown(socket.SHUT_WR)

    assert [wire.answer()["parameters"]["number"] for _ in range(5)] == [0, 1, 2, 3, 4]
    assert wire.answer()["error"] == "io.herald.Worker.Conflict"


def test_a_stream_that_its_reader_leaves_in_asyncio_is_closed(stage: Stage) -> None:
    stage.serve()

    async def follow() -> tuple[int, int]:
        peer: Any = Peer(Trial, 20.0)
        before = (await peer.GetHealth())["tasks"]
        for _ in range(10):
            stream = peer.Count(to=3)
            async for tick in stream:
                if tick["number"] == 2:
                    break
            await stream.aclose()
        ours = len(asyncio.all_tasks())
        async with asyncio.timeout(PATIENCE):
            while (await peer.GetHealth())["tasks"] > before:
                pass
        peer.close()
        await asyncio.sleep(0)
        return ours, len(asyncio.all_tasks())

    assert asyncio.run(follow()) == (1, 1)


def test_a_reader_that_does_not_read_holds_up_nobody_else(stage: Stage) -> None:
    service = stage.serve()
    wire = stage.connect()

    wire.send("Count", more=True, to=10_000_000)
    before = service.memory
    for _ in range(200):
        assert _serves(stage)

    assert service.memory - before < 32 * _MEGABYTE


def test_more_descriptors_than_a_message_may_have_are_not_taken(stage: Stage) -> None:
    service = stage.serve()
    wires = [stage.connect() for _ in range(10)]
    for wire in wires:
        wire.call("Echo", text="x")
    before = service.descriptors

    for wire in wires:
        rights = struct.pack("200i", *[wire.socket.fileno()] * 200)
        wire.socket.sendmsg([b'{"method":'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    assert _serves(stage)
    assert service.descriptors <= before + len(wires) * limits.DESCRIPTORS + 1


def test_a_service_without_descriptors_left_accepts_again_when_there_are_some(stage: Stage) -> None:
    service = stage.serve()
    assert _serves(stage)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (service.descriptors + 5, 4096))

    waiting = [stage.connect() for _ in range(10)]
    for wire in waiting:
        wire.send("Echo", text="x")
    assert [wire.answer()["parameters"]["text"] for wire in waiting[:4]] == ["x"] * 4
    for wire in waiting[:5]:
        wire.close()

    assert [wire.answer()["parameters"]["text"] for wire in waiting[5:]] == ["x"] * 5
    service.send(signal.SIGTERM)
    assert service.wait() == 0
