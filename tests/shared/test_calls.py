"""Calls on the bus, from each of its ends, to a real service."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from asyncvarlink import FileDescriptor

from herald.bus import blocking
from herald.bus.client import Peer
from herald.errors import CLASSES, Failed, HeraldError, Invalid
from tests.shared.interface import Trial
from tests.shared.staging import Stage, settles
from tests.support.varlinkctl import varlinkctl

T = TypeVar("T")

_ECHO = {"text": "grün \0 \u2028", "number": -3, "colour": "blue", "maybe": None, "items": [{"name": "a", "number": 1}]}


def with_peer(act: Callable[[Any], Awaitable[T]], deadline: float = 20.0) -> T:
    """Carry out an act with a caller, which is closed afterwards."""

    async def go() -> T:
        peer = Peer(Trial, deadline)
        try:
            return await act(peer)
        finally:
            peer.close()
            await asyncio.sleep(0)

    return asyncio.run(go())


def test_a_typed_call_answers_what_was_given(stage: Stage) -> None:
    stage.serve()

    assert with_peer(lambda peer: peer.Echo(**_ECHO)) == _ECHO


def test_a_blocking_call_answers_the_same(stage: Stage) -> None:
    stage.serve()

    assert blocking.call("worker", "Echo", _ECHO) == _ECHO


def test_what_is_left_out_takes_its_default(stage: Stage) -> None:
    stage.serve()

    assert blocking.call("worker", "Echo", {"text": "x"}) == {
        "text": "x",
        "number": 7,
        "colour": "red",
        "maybe": None,
        "items": [],
    }


def test_a_list_comes_as_a_list(stage: Stage) -> None:
    stage.serve()

    assert with_peer(lambda peer: peer.ListItems(count=2)) == [
        {"name": "item", "number": 0},
        {"name": "item", "number": 1},
    ]
    assert len(blocking.call("worker", "ListItems", {"count": 3})["items"]) == 3


def test_a_message_of_several_megabytes_goes_both_ways(stage: Stage) -> None:
    stage.serve()
    text = "ab\u00e4" * 1_000_000

    assert with_peer(lambda peer: peer.Echo(text=text))["text"] == text
    assert blocking.call("worker", "Echo", {"text": text})["text"] == text


def test_a_stream_comes_item_by_item_and_then_its_error(stage: Stage) -> None:
    stage.serve()

    async def follow(peer: Any) -> list[int]:
        numbers = []
        with pytest.raises(HeraldError, match="no further") as caught:
            async for tick in peer.Count(to=3, fail=True):
                numbers.append(tick["number"])
        assert type(caught.value) is CLASSES["Conflict"]
        return numbers

    assert with_peer(follow) == [0, 1, 2]

    seen = []
    with pytest.raises(HeraldError, match="no further") as caught:
        for tick in blocking.stream("worker", "Count", {"to": 3, "fail": True}):
            seen.append(tick["number"])
    assert (seen, caught.value.code) == ([0, 1, 2], "Conflict")


@pytest.mark.parametrize("code", CLASSES)
def test_each_error_arrives_as_its_class(stage: Stage, code: str) -> None:
    stage.serve()

    with pytest.raises(HeraldError, match=f"this is {code}") as caught:
        with_peer(lambda peer: peer.Raise(code=code))
    assert type(caught.value) is CLASSES[code]
    with pytest.raises(HeraldError, match=f"this is {code}") as caught:
        blocking.call("worker", "Raise", {"code": code})
    assert type(caught.value) is CLASSES[code]


def test_a_bug_is_answered_in_one_line_and_told_in_full_but_masked(stage: Stage) -> None:
    service = stage.serve()

    with pytest.raises(Failed, match="internal error; the journal"):
        blocking.call("worker", "Raise", {"code": "bug"})

    assert "ZeroDivisionError: a bug with [secret] in it" in service.journal
    assert "canary" not in service.journal
    assert blocking.call("worker", "Echo", {"text": "still there"})["text"] == "still there"


@pytest.mark.parametrize(
    ("method", "parameters", "what"),
    [
        ("Nope", {}, "no method Nope"),
        ("echo", {"text": "x"}, "ProtocolViolation"),
        ("io.herald.Nope.Echo", {}, "InterfaceNotFound"),
        ("Echo", {}, "parameter 'text'"),
        ("Echo", {"text": 1}, "parameter 'text'"),
        ("Echo", {"text": "x", "number": "7"}, "parameter 'number'"),
        ("Echo", {"text": "x", "colour": "green"}, "parameter 'colour'"),
        ("Echo", {"text": "x", "items": [{"name": "a"}]}, "parameter 'items'"),
        ("Echo", {"text": "x", "unknown": 1}, "parameter 'unknown'"),
        ("Read", {"file": 3}, "parameter 'file'"),
        ("Count", {"to": 1}, "ExpectedMore"),
    ],
)
def test_a_wrong_call_is_refused_and_says_what_is_wrong(
    stage: Stage, method: str, parameters: dict[str, Any], what: str
) -> None:
    stage.serve()

    with pytest.raises(HeraldError, match=what):
        blocking.call("worker", method, parameters)
    assert blocking.call("worker", "Echo", {"text": "still there"})


def test_a_caller_with_wrong_types_is_told_before_anything_is_sent(stage: Stage) -> None:
    with pytest.raises(Invalid, match=r"io\.herald\.Worker\.Echo.*\['number'\]"):
        with_peer(lambda peer: peer.Echo(text="x", number="7"))


def test_calls_sent_ahead_are_answered_in_order(stage: Stage) -> None:
    stage.serve()
    wire = stage.connect()

    for number in range(50):
        wire.send("Add", name="ahead") if number % 5 == 0 else wire.send("Echo", text=str(number))
    answers = [wire.answer()["parameters"] for _ in range(50)]

    assert [answer.get("text") for answer in answers] == [None if n % 5 == 0 else str(n) for n in range(50)]


def test_an_act_is_carried_out_to_its_end_when_its_caller_leaves(stage: Stage) -> None:
    stage.serve()
    wire = stage.connect()

    wire.send("Add", name="left", wait=0.3)
    settles(lambda: not (stage.state / "worker" / "left").exists(), 0, "it has begun")
    wire.close()

    settles(lambda: not (stage.state / "worker" / "left-answered").exists(), 0, "it has ended")


def test_an_act_is_carried_out_to_its_end_even_if_its_caller_asked_for_more(stage: Stage) -> None:
    stage.serve()
    wire = stage.connect()

    wire.send("Add", more=True, name="more", wait=0.3)
    settles(lambda: not (stage.state / "worker" / "more").exists(), 0, "it has begun")
    wire.close()

    settles(lambda: not (stage.state / "worker" / "more-answered").exists(), 0, "it has ended")


def test_a_caller_that_closes_its_half_still_gets_its_answers(stage: Stage) -> None:
    stage.serve()
    wire = stage.connect()

    for number in range(3):
        wire.send("Echo", text=str(number))
    wire.socket.shutdown(1)

    assert [wire.answer()["parameters"]["text"] for _ in range(3)] == ["0", "1", "2"]
    assert wire.receive() is None


def test_descriptors_are_passed_and_closed_over_a_thousand_calls(stage: Stage, tmp_path: Path) -> None:
    service = stage.serve()
    (tmp_path / "file").write_text("content")

    with (tmp_path / "file").open() as file:

        async def read(peer: Any) -> None:
            for number in range(1000):
                assert (await peer.Read(file=FileDescriptor(file.fileno())))["text"] == "content"
                if number == 10:
                    ours, theirs = len(os.listdir("/proc/self/fd")), service.descriptors
            assert len(os.listdir("/proc/self/fd")) <= ours
            await asyncio.to_thread(settles, lambda: service.descriptors, theirs, "open descriptors")

        with_peer(read)
        assert blocking.call("worker", "Read", {"file": 0}, fds=(file.fileno(),))["text"] == "content"


def test_a_descriptor_comes_through_with_a_long_message(stage: Stage, tmp_path: Path) -> None:
    stage.serve()
    (tmp_path / "file").write_text("content")

    with (tmp_path / "file").open() as file:
        padding = "x" * 3_000_000
        answer = blocking.call("worker", "Read", {"file": 0, "padding": padding}, fds=(file.fileno(),))
        again = with_peer(lambda peer: peer.Read(file=FileDescriptor(file.fileno()), padding=padding))

    assert (answer["text"], again["text"]) == ("content", "content")


def test_descriptors_that_nobody_asked_for_are_closed(stage: Stage) -> None:
    service = stage.serve()
    wire = stage.connect()
    wire.call("Echo", text="x")
    before = service.descriptors

    for _ in range(20):
        wire.call("Echo", descriptors=(0, 1, 2), text="x")
        wire.call("Nope", descriptors=(0,))
    wire.socket.sendall(b'{"method":')
    with contextlib.suppress(ConnectionError):  # it is refused at some point
        for _ in range(40):
            wire.send("Nope", descriptors=(0, 1, 2))

    settles(lambda: service.descriptors, before, "open descriptors")


def test_the_interface_describes_itself(stage: Stage) -> None:
    stage.serve()

    info = blocking.call("worker", "org.varlink.service.GetInfo")
    text = blocking.call("worker", "org.varlink.service.GetInterfaceDescription", {"interface": "io.herald.Worker"})

    assert info["interfaces"] == ["io.herald.Worker", "org.varlink.service"]
    assert "method Count(to: int, fail: ?bool) -> (number: int)" in text["description"]
    with pytest.raises(Failed, match="InterfaceNotFound"):
        blocking.call("worker", "org.varlink.service.GetInterfaceDescription", {"interface": "io.herald.Nope"})


def test_varlinkctl_speaks_to_a_service(stage: Stage) -> None:
    program = varlinkctl()
    stage.serve()

    def ask(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], check=False, capture_output=True, text=True, timeout=20)
        return done.stdout + done.stderr

    path = stage.socket_path()
    assert "io.herald.Worker" in ask("info", path)
    assert "method Echo(" in ask("introspect", path, "io.herald.Worker")
    assert "hello" in ask("call", path, "io.herald.Worker.Echo", '{"text": "hello"}')
    assert "InvalidParameter" in ask("call", path, "io.herald.Worker.Echo", '{"text": 1}')
    assert "Conflict" in ask("call", "--more", path, "io.herald.Worker.Count", '{"to": 2, "fail": true}')
