"""Acts of Herald's own on files that an agent can write: done in a child that is confined as the agent is."""

import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from herald import watchdog
from herald.errors import Conflict, Failed, HeraldError, Invalid, Unavailable
from herald_agent import process
from herald_agent.stop import Stopped, StopSignal

_CHUNK = 1 << 16


class Unusable(Conflict):
    """The workspace cannot be used; the message says what to do."""


class Overdue(Failed):
    """It did not end in time; that says nothing of what it worked on."""


_KNOWN: dict[str, type[HeraldError]] = {
    each.__name__: each for each in (Unusable, Conflict, Failed, Invalid, Unavailable)
}


def inside(
    confine: Callable[[], None], act: Callable[[], Any], *, stop: StopSignal | None = None, deadline: float = 300.0
) -> Any:
    """What `act` returns, which must be fit for JSON. It runs in a child that is killed with this process.

    Raises what `act` raises of HeraldError and OSError, Failed when the child cannot be confined or does not end in
    time, Stopped when `stop` is given and a signal came.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _serve(confine, act, parent, write)
    os.close(write)
    try:
        answer = _answer(read, time.monotonic() + deadline, stop)
    except BaseException:  # whatever ends this, a stop among it: the child does not outlive it
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(read)
        os.waitpid(pid, 0)
    return _value(answer)


def _serve(confine: Callable[[], None], act: Callable[[], Any], parent: int, write: int) -> None:
    """In the child: do it, tell what came of it, end."""
    told: dict[str, Any] = {"error": "Failed", "message": "an act in the workspace ended without a word"}
    try:
        os.setsid()
        confine()
        process.die_with_parent(parent)
        told = {"value": act()}
    except HeraldError as error:
        told = {"error": type(error).__name__, "message": error.message}
    except OSError as error:
        told = {"number": error.errno or 0, "file": os.fsdecode(error.filename or "")}
    finally:
        try:
            with open(write, "wb") as file:
                file.write(json.dumps(told).encode("ascii"))
        finally:
            os._exit(0)


def _answer(read: int, until: float, stop: StopSignal | None) -> bytes:
    poll = select.poll()
    poll.register(read, select.POLLIN)
    if stop is not None:
        poll.register(stop.fileno(), select.POLLIN)
    data = bytearray()
    while True:
        watchdog.feed()
        ready = {fd for fd, _ in poll.poll(watchdog.wait(until - time.monotonic()))}
        if stop is not None and stop.received:
            raise Stopped
        if not ready and time.monotonic() >= until:
            raise Overdue("an act in the workspace did not end in time")
        if read in ready:
            part = os.read(read, _CHUNK)
            if not part:
                return bytes(data)
            data += part


def _value(answer: bytes) -> Any:
    try:
        told = json.loads(answer)
    except ValueError:
        raise Failed("an act in the workspace was killed") from None
    if "value" in told:
        return told["value"]
    if "number" in told:
        raise OSError(told["number"], os.strerror(told["number"]), told["file"])
    raise _KNOWN.get(told["error"], Failed)(told["message"])
