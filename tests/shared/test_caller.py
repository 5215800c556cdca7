"""The calling ends: deadlines, restarts, what is called again and what is not, services that misbehave."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from herald import names
from herald.bus import blocking
from herald.bus.client import Lost, Peer
from herald.errors import Busy, Denied, Failed, HeraldError, Unavailable
from tests.shared.interface import Trial
from tests.shared.staging import Process, Stage, settles
from tests.shared.test_calls import with_peer

_SLACK = 20.0
"""Seconds that a busy machine may take in addition; without its deadline none of these calls would end."""


def test_a_call_to_a_service_that_is_not_there_yet_waits_for_it(stage: Stage) -> None:
    stage.listen()
    waiting = threading.Timer(0.3, stage.serve)
    waiting.start()

    assert with_peer(lambda peer: peer.Echo(text="x"))["text"] == "x"
    waiting.join()


def test_a_call_waits_for_a_service_that_restarts(stage: Stage) -> None:
    stage.serve().stop()
    restarting = threading.Timer(0.3, stage.serve)
    restarting.start()

    assert blocking.call("worker", "Echo", {"text": "x"}, deadline=20.0)["text"] == "x"
    restarting.join()


def test_a_caller_goes_on_after_a_service_was_restarted_between_two_calls(stage: Stage) -> None:
    async def calls(peer: Any) -> list[int]:
        service = stage.serve()
        first = await peer.Add(name="one")
        await asyncio.to_thread(service.kill)
        stage.serve()
        return [first["times"], (await peer.Add(name="one"))["times"]]

    assert with_peer(calls) == [1, 2]


@pytest.mark.parametrize("deadline", [0.2, 0.6])
def test_a_deadline_holds_while_a_service_hangs(stage: Stage, deadline: float) -> None:
    stage.serve()
    blocking.call("worker", "Echo", {"text": "it is there"})

    for call in (
        lambda: with_peer(lambda peer: peer.Hang(), deadline),
        lambda: blocking.call("worker", "Hang", deadline=deadline),
    ):
        begun = time.monotonic()
        with pytest.raises(Unavailable, match=rf"did not answer Hang within {deadline} s"):
            call()
        assert deadline <= time.monotonic() - begun < deadline + _SLACK


def test_a_deadline_holds_while_a_service_is_stopped_or_does_not_read(stage: Stage) -> None:
    service = stage.serve()
    blocking.call("worker", "Echo", {"text": "it is there"})
    service.send(signal.SIGSTOP)

    def fails(text: str) -> None:
        with pytest.raises(Unavailable):
            with_peer(lambda peer: peer.Echo(text=text), 0.3)
        with pytest.raises(Unavailable):
            blocking.call("worker", "Echo", {"text": text}, deadline=0.3)

    fails("short")
    fails("long" * 500_000)

    service.send(signal.SIGCONT)
    assert blocking.call("worker", "Echo", {"text": "x"})["text"] == "x"


def test_a_deadline_holds_where_nobody_listens(stage: Stage) -> None:
    for call in (
        lambda: with_peer(lambda peer: peer.Echo(text="x"), 0.3),
        lambda: blocking.call("worker", "Echo", {"text": "x"}, deadline=0.3),
    ):
        with pytest.raises(Unavailable):
            call()


def test_a_call_waits_for_a_place_in_a_full_backlog(stage: Stage) -> None:
    listening = stage.listen()
    listening.listen(0)
    first = stage.connect()
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with probe, pytest.raises(BlockingIOError):
        probe.connect(stage.socket_path())

    serving = threading.Timer(0.3, stage.serve)
    serving.start()
    assert with_peer(lambda peer: peer.Add(name="once"))["times"] == 1
    assert blocking.call("worker", "GetAdded", {"name": "once"}) == {"times": 1}
    serving.join()
    first.close()


@contextmanager
def restarted(stage: Stage) -> Iterator[list[Process]]:
    """A service that is started again whenever it has died."""
    services = [stage.serve()]
    stopping = threading.Event()

    def watch() -> None:
        while services[-1].wait() and not stopping.is_set():
            services.append(stage.serve())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield services
    finally:
        stopping.set()
        services[-1].stop()
        thread.join()


def test_only_calls_with_a_key_and_calls_that_read_are_made_again(stage: Stage) -> None:
    with restarted(stage):
        with pytest.raises(Lost, match="ended the connection before it answered Add"):
            with_peer(lambda peer: peer.Add(name="unkeyed", die=2))
        assert with_peer(lambda peer: peer.Add(key="k", name="keyed", die=2))["times"] == 3
        assert with_peer(lambda peer: peer.GetAdded(name="unkeyed", die=2))["times"] == 1
        with pytest.raises(Unavailable, match="ended the connection before it answered"):
            blocking.call("worker", "Add", {"key": "k", "name": "blocking", "die": 1})
        assert blocking.call("worker", "GetAdded", {"name": "blocking"}) == {"times": 1}


def test_a_stream_that_breaks_off_says_so(stage: Stage) -> None:
    service = stage.serve()

    async def follow(peer: Any) -> int:
        seen = 0
        with pytest.raises(Lost):
            async for _ in peer.Count(to=2):
                seen += 1
                if seen == 2:
                    await asyncio.to_thread(service.kill)
        return seen

    assert with_peer(follow) == 2

    service = stage.serve()
    stream = blocking.stream("worker", "Count", {"to": 1})
    next(stream)
    service.kill()
    with pytest.raises(Unavailable, match="ended the connection"):
        next(stream)


def test_no_more_than_64_calls_of_one_caller_are_in_flight(stage: Stage) -> None:
    service = stage.serve()

    async def call_many(peer: Any) -> tuple[int, int]:
        await peer.Echo(text="x")
        before = service.descriptors
        calls = [asyncio.create_task(peer.Add(key=str(n), name=f"n{n}", wait=0.5)) for n in range(200)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        most = service.descriptors - before
        return most, sum(answer["times"] for answer in await asyncio.gather(*calls))

    most, done = with_peer(call_many)
    assert most <= 64
    assert done == 200


def test_a_call_that_is_given_up_leaves_nothing_behind(stage: Stage) -> None:
    service = stage.serve()

    async def give_up(peer: Any) -> None:
        await peer.Echo(text="x")
        before = service.descriptors
        for _ in range(10):
            call = asyncio.create_task(peer.Add(name="given-up", wait=0.2))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert len(asyncio.all_tasks()) == 1
        assert (await peer.Echo(text="y"))["text"] == "y"
        await asyncio.to_thread(settles, lambda: service.descriptors, before + 1, "open descriptors")

    with_peer(give_up)


@contextmanager
def misbehaving(stage: Stage, answer: Callable[[socket.socket], None], service: str = names.WORKER) -> Iterator[None]:
    """A service that reads one call of each connection, answers in its own way, and closes."""
    listening = stage.listen(service)

    def serve() -> None:
        while True:
            connection, _ = listening.accept()
            with connection:
                if not connection.recv(1 << 16).endswith(b"stop"):
                    answer(connection)
                    continue
            return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stage.connect(service).socket.sendall(b"stop")
        thread.join()


def _reply(**parameters: Any) -> bytes:
    return json.dumps({"parameters": parameters}).encode() + b"\0"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Lost),
        (b"garbage\0", Lost),
        (b"[]\0", Lost),
        (b"\xff\0", Lost),
        (b"[" * 100_000 + b"\0", Lost),
        (b'{"parameters":7}\0', Lost),
        (b'{"error":7}\0', Lost),
        (b'{"parameters":{"times":1}', Lost),
        (b"x" * (9 << 20), Lost),
        (_reply(times="1"), Failed),
        (_reply(), Failed),
        (_reply(times=1, more=2), Failed),
        (b'{"error":"io.herald.Worker.Odd","parameters":{"message":"m"}}\0', Failed),
        (b'{"error":"org.varlink.service.PermissionDenied"}\0', HeraldError),
    ],
    ids=[
        "end", "garbage", "list", "not UTF-8", "deep", "no map", "no name", "half", "long",
        "wrong type", "too little", "too much", "odd error", "denied",
    ],
)  # fmt: skip
def test_what_a_service_does_wrong_is_an_error_of_the_bus(
    stage: Stage, answer: bytes, error: type[HeraldError]
) -> None:
    def say(connection: socket.socket) -> None:
        try:
            connection.sendall(answer)
        except ConnectionError:
            return  # the caller had enough

    with misbehaving(stage, say):
        with pytest.raises(error):
            with_peer(lambda peer: peer.Add(name="x"))
        if error is not Failed:
            with pytest.raises(HeraldError):
                blocking.call("worker", "Add", {"name": "x"})


def test_an_answer_to_nothing_ends_the_connection_it_came_on(stage: Stage) -> None:
    def answer_twice(connection: socket.socket) -> None:
        connection.sendall(_reply(times=1) + _reply(times=2))

    async def call(peer: Any) -> list[int]:
        return [(await peer.Add(key="k", name="x"))["times"] for _ in range(20)]

    with misbehaving(stage, answer_twice):
        assert with_peer(call) == [1] * 20


def test_a_unit_without_a_place_is_busy(stage: Stage) -> None:
    listening = stage.listen(names.CONFIG)

    def refuse() -> None:
        connection, _ = listening.accept()
        connection.close()  # unread bytes make it a reset, as systemd does it

    for _ in range(5):
        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises((Busy, Unavailable)):
            blocking.call(names.CONFIG, "Check")
        thread.join()


def test_a_caller_outside_the_group_is_told_what_is_needed(stage: Stage) -> None:
    stage.listen()
    if os.getuid() == 0:
        pytest.skip("root may connect to everything")
    (stage.root / names.interface_of(names.WORKER)).chmod(0)

    with pytest.raises(Denied):
        blocking.call("worker", "Echo", {"text": "x"})


def test_a_peer_has_the_methods_of_its_interface_and_no_others(stage: Stage) -> None:
    async def look() -> None:
        peer = Peer(Trial, 1.0)
        assert peer.Echo is peer.Echo
        with pytest.raises(AttributeError):
            peer.Nope  # noqa: B018

    asyncio.run(look())
