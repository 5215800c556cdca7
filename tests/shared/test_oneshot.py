"""The lean end of units that serve one connection: a real process for each test."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from herald.bus.frames import Frames
from herald.errors import Invalid
from tests.shared.staging import ROOT, Stage

_ACT = "io.herald.Config.Act"


def _acts(stage: Stage) -> int:
    path = stage.state / "acts"
    return len(path.read_text()) if path.exists() else 0


def test_an_act_is_answered_with_its_defaults_filled_in_and_then_the_unit_ends(stage: Stage) -> None:
    wire, unit = stage.serve_one()

    answer = wire.call(_ACT, text="grün", share=2, names=["a"])

    assert answer == {
        "parameters": {"given": {"text": "grün", "number": 7, "share": 2, "flag": False, "names": ["a"], "note": ""}}
    }
    assert wire.receive() is None
    assert unit.wait() == 0


def test_one_unit_does_one_act(stage: Stage) -> None:
    wire, unit = stage.serve_one()

    for _ in range(3):
        wire.send(_ACT, text="x")
    wire.answer()

    assert wire.receive() is None
    assert unit.wait() == 0
    assert _acts(stage) == 1


def test_questions_about_the_interface_may_come_before_the_act(stage: Stage) -> None:
    wire, unit = stage.serve_one()

    info = wire.call("org.varlink.service.GetInfo")["parameters"]
    text = wire.call("org.varlink.service.GetInterfaceDescription", interface="io.herald.Config")["parameters"]
    nowhere = wire.call("org.varlink.service.GetInterfaceDescription", interface="io.herald.Nope")
    nothing = wire.call("org.varlink.service.Nope")

    assert info["interfaces"] == ["io.herald.Config", "org.varlink.service"]
    assert text["description"] == (ROOT / "shared/herald/interfaces/io.herald.Config.varlink").read_text()
    assert nowhere["error"] == "org.varlink.service.InterfaceNotFound"
    assert nothing["error"] == "org.varlink.service.MethodNotFound"
    assert "given" in wire.call(_ACT, text="x")["parameters"]
    assert unit.wait() == 0


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({}, "text"),
        ({"text": None}, "text"),
        ({"text": 1}, "text"),
        ({"text": "x", "number": True}, "number"),
        ({"text": "x", "number": 1.5}, "number"),
        ({"text": "x", "share": "1"}, "share"),
        ({"text": "x", "flag": 1}, "flag"),
        ({"text": "x", "names": "abc"}, "names"),
        ({"text": "x", "names": ["a", 1]}, "names"),
        ({"text": "x", "unknown": 1}, "unknown"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_done(stage: Stage, parameters: dict[str, Any], wrong: str) -> None:
    wire, unit = stage.serve_one()

    answer = wire.call(_ACT, **parameters)

    assert answer == {"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": wrong}}
    wire.close()
    assert unit.wait() == 0
    assert _acts(stage) == 0


@pytest.mark.parametrize("method", ["io.herald.Config.Nope", "Act", "io.herald.Git.Act"])
def test_an_unknown_method_is_said_to_be_unknown(stage: Stage, method: str) -> None:
    wire, _ = stage.serve_one()

    wire.socket.sendall(json.dumps({"method": method}).encode() + b"\0")

    assert wire.answer()["error"] == "org.varlink.service.MethodNotFound"
    assert "given" in wire.call(_ACT, text="x")["parameters"]


@pytest.mark.parametrize("call", [{}, {"method": 7}, {"method": _ACT, "parameters": []}])
def test_an_object_that_is_no_call_is_refused(stage: Stage, call: dict[str, Any]) -> None:
    wire, _ = stage.serve_one()

    wire.socket.sendall(json.dumps(call).encode() + b"\0")

    assert wire.answer()["error"] == "org.varlink.service.InvalidParameter"


@pytest.mark.parametrize("end", ["close", "half"])
def test_half_a_request_does_nothing(stage: Stage, end: str) -> None:
    wire, unit = stage.serve_one()

    wire.socket.sendall(b'{"method":"io.herald.Config.Act","parameters":{"text":"x"}}')
    wire.socket.shutdown(socket.SHUT_WR) if end == "half" else wire.close()

    assert unit.wait() == 0
    assert _acts(stage) == 0
    assert unit.journal == ""


def test_a_caller_that_says_nothing_does_not_keep_the_place(stage: Stage) -> None:
    wire, unit = stage.serve_one(TRIAL_PARTIAL="0.2")

    wire.socket.sendall(b'{"method":')

    assert unit.wait() == 0
    assert _acts(stage) == 0


@pytest.mark.parametrize("garbage", [b"garbage\0", b"[]\0", b"\xff\0", b"[" * 200_000 + b"\0", b"x" * (2 << 20)])
def test_garbage_is_answered_and_ends_the_unit(stage: Stage, garbage: bytes) -> None:
    wire, unit = stage.serve_one()

    try:
        wire.socket.sendall(garbage)
    except ConnectionError:
        pass  # it had enough before the end
    answer = wire.receive()

    assert answer is None or answer["error"] == "io.herald.Config.Invalid"
    assert unit.wait() == 0
    assert _acts(stage) == 0


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("conflict", "Conflict", "not now"),
        ("missing", "Unavailable", "No such file or directory: /nonexistent/file"),
        ("bug", "Failed", "an internal error; `journalctl -t herald-*` has the details"),
    ],
)
def test_what_a_handler_raises_becomes_the_answer(stage: Stage, text: str, code: str, message: str) -> None:
    wire, unit = stage.serve_one()

    assert wire.call(_ACT, text=text) == {"error": f"io.herald.Config.{code}", "parameters": {"message": message}}
    assert unit.wait() == (1 if text == "bug" else 0)
    assert ("ZeroDivisionError" in unit.journal) == (text == "bug")


def test_descriptors_belong_to_their_parameters_and_the_rest_is_closed(stage: Stage, tmp_path: Path) -> None:
    fds = []
    for name in ("zero", "one", "two"):
        (tmp_path / name).write_text(name)
        fds.append(os.open(tmp_path / name, os.O_RDONLY))
    few, _ = stage.serve_one()
    many, _ = stage.serve_one()

    just = few.call("io.herald.Config.Read", (fds[1], fds[2]), file=1, other=0)["parameters"]
    more = many.call("io.herald.Config.Read", (*fds, *fds), file=2, other=0)["parameters"]

    assert (just["file"], just["other"]) == ("two", "one")
    assert (more["file"], more["other"]) == ("two", "zero")
    assert more["open"] == just["open"]
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize(("file", "other"), [(0, 0), (0, 2), (-1, 0), (True, 0)])
def test_a_descriptor_that_is_not_there_or_given_twice_is_refused(stage: Stage, file: object, other: object) -> None:
    wire, _ = stage.serve_one()

    answer = wire.call("io.herald.Config.Read", (0, 1), file=file, other=other)

    assert answer["error"] == "org.varlink.service.InvalidParameter"


def test_several_answers_come_at_once_and_the_act_goes_on_without_its_caller(stage: Stage) -> None:
    wire, unit = stage.serve_one()
    wire.send("io.herald.Config.Talk", more=True)
    assert [wire.answer() for _ in range(4)] == [
        {"parameters": {"number": 0}, "continues": True},
        {"parameters": {"number": 1}, "continues": True},
        {"parameters": {"number": 2}, "continues": True},
        {"parameters": {"number": 3}},
    ]
    assert unit.wait() == 0

    wire, unit = stage.serve_one()
    (stage.state / "gone").unlink()
    wire.send("io.herald.Config.Talk", more=True)
    wire.close()
    assert unit.wait() == 0
    assert (stage.state / "gone").read_text() == "True"


def test_a_unit_starts_without_what_is_slow_to_import() -> None:
    script = "import herald.bus.oneshot, herald.bus.blocking, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()

    assert not {"asyncio", "asyncvarlink", "sqlite3", "logging", "pydantic", "typing_extensions"} & set(loaded)


class Pair:
    """Two ends of a connection in this process."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.frames = Frames(self.theirs, 1000)


@pytest.fixture
def pair() -> Any:
    made = Pair()
    yield made
    made.frames.close()
    made.ours.close()
    made.theirs.close()


def test_messages_are_told_apart_however_they_come(pair: Pair) -> None:
    pair.ours.sendall(b'{"a":1}\0{"b":')
    assert pair.frames.receive() == ({"a": 1}, [])
    pair.ours.sendall(b'2}\0{"c":3}\0')
    assert pair.frames.receive() == ({"b": 2}, [])
    assert pair.frames.receive() == ({"c": 3}, [])
    pair.ours.close()
    assert pair.frames.receive() is None


def test_a_message_beyond_the_limit_is_refused(pair: Pair) -> None:
    pair.ours.sendall(b"x" * 2000)

    with pytest.raises(Invalid, match="may have 1000 bytes"):
        pair.frames.receive()


def test_descriptors_of_a_message_that_is_none_are_closed(pair: Pair) -> None:
    before = len(os.listdir("/proc/self/fd"))

    socket.send_fds(pair.ours, [b"garbage\0"], [0, 1])

    with pytest.raises(Invalid, match="not a JSON object"):
        pair.frames.receive()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_descriptor_comes_with_a_message_longer_than_the_sockets_buffer() -> None:
    ours, theirs = socket.socketpair()
    sender = threading.Thread(target=Frames(theirs, 1).send, args=({"text": "x" * 3_000_000}, (0,)))
    sender.start()
    received = Frames(ours, 8 << 20).receive()
    sender.join()
    ours.close()
    theirs.close()

    assert received is not None
    assert len(received[0]["text"]) == 3_000_000
    (descriptor,) = received[1]
    os.close(descriptor)
