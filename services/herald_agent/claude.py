"""Drives the Claude Code CLI (or the stand-in, which speaks the same): one prompt in, events out, ended in any case."""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from herald import claudecode, watchdog
from herald_agent import process, standin
from herald_agent.control import Control
from herald_agent.environment import Environment
from herald_agent.output import Log
from herald_agent.stop import StopSignal
from herald_agent.stream import Stream, one_line

TOOLS = ("Read", "Write", "Edit", "Bash", "Glob", "Grep", "Task")

_LONGEST_LINE = 64 << 20
_STDERR_TAIL = 4096
_TICK = 0.5
"""Seconds between two looks at the deadline and the rest, also at the control file where it cannot be watched."""

_TAKES_UP = 30.0
"""Seconds in which the CLI begins a further turn when it was given a message during the one before."""

_PATIENCE = {"cancelled": (5.0, 10.0), "timeout": (5.0, 10.0), "stopped": (1.5, 2.5), "": (60.0, 10.0)}
"""Seconds from the interrupt to SIGTERM, and from there to SIGKILL. Empty: it has answered and should have ended."""


class Finished(NamedTuple):
    """How the CLI ended. `stopped_by` is cancelled, timeout, stopped or empty; `broken` why it was killed, if so."""

    code: int
    stream: Stream
    stderr: str
    stopped_by: str
    broken: str


class Order(NamedTuple):
    """What to run, in which session, for how long."""

    command: tuple[str, ...]
    folder: str
    environment: Environment
    prompt: str
    session: str
    resume: bool
    may_commit: bool
    until: float
    confine: Callable[[], None]


def is_standin() -> bool:
    """Whether the scripted agent is to do the work."""
    return os.environ.get("HERALD_AGENT") == "standin"


def command() -> tuple[str, ...]:
    """The agent's command; empty if there is none."""
    if is_standin():
        return (sys.executable, "-I", "-S", standin.__file__)
    path = claudecode.find()
    # Not a link to it: what lies beside the link may be hidden from the run.
    return (os.path.realpath(path),) if path else ()


def converse(order: Order, log: Log, control: Control, stop: StopSignal) -> Finished:
    """Run the CLI to its end. A session that is gone is begun anew, one that is there is continued.

    Further messages reach it while it works. One that comes when it has just answered is a further turn if the CLI has
    it already; else it is left to the caller.

    Raises OSError when the command cannot be started.
    """
    finished = _Conversation(order, log, control, stop).run()
    if not finished.stream.session and not finished.stopped_by:
        control.again()
        if order.resume and "No conversation found" in finished.stderr:
            return _Conversation(order._replace(resume=False), log, control, stop).run()
        if not order.resume and "already in use" in finished.stderr:
            return _Conversation(order._replace(resume=True), log, control, stop).run()
    return finished


def _arguments(order: Order) -> list[str]:
    settings = {
        "permissions": {"allow": list(TOOLS), "defaultMode": "dontAsk"},
        "attribution": {"commit": "", "pr": ""},
    }
    rule = "Commit your work on the branch that is checked out." if order.may_commit else "Do not commit anything."
    return [
        *order.command,
        "-p",
        "--input-format=stream-json",
        "--output-format=stream-json",
        "--replay-user-messages",
        "--verbose",
        f"--settings={json.dumps(settings)}",
        f"--setting-sources={'user,project' if order.environment.own_login else 'project'}",
        f"--tools={','.join(TOOLS)}",
        "--strict-mcp-config",
        "--permission-prompts=none",
        "--system-prompt-snapshot=off",
        f"--append-system-prompt={rule} Never push, and stay on this branch.",
        f"--resume={order.session}" if order.resume else f"--session-id={order.session}",
    ]


class _Conversation:
    """One process of the CLI."""

    def __init__(self, order: Order, log: Log, control: Control, stop: StopSignal) -> None:
        self._order = order
        self._log = log
        self._control = control
        self._stop = stop
        self._stream = Stream(order.folder)
        self._buffer = bytearray()
        self._searched = 0
        self._tail = b""
        self._stopped_by = ""
        self._broken = ""
        self._ending = False
        self._answered = False
        """Whether its last turn is over: its input is closed, and it should end."""
        self._idle_since = 0.0
        """Since when it has not taken up a message that it was given before its last result; 0: there is none."""
        self._signals: list[tuple[float, int]] = []
        """What is still to be sent, and when."""
        self._pid = 0

    def run(self) -> Finished:
        """Start it, follow it to its end."""
        read_in, write_in = os.pipe2(os.O_CLOEXEC)
        self._stdout, write_out = process.pipe_from_child()
        self._stderr, write_err = process.pipe_from_child()
        order = self._order
        try:
            streams = (read_in, write_out, write_err)
            self._pid = process.spawn(_arguments(order), order.environment.agent, order.folder, streams, order.confine)
        finally:
            for fd in (read_in, write_out, write_err):
                os.close(fd)
        self._feed = process.Feed(write_in)
        self._tell({"type": "user", "message": {"role": "user", "content": order.prompt}})
        handle = os.pidfd_open(self._pid)
        try:
            self._follow(handle)
        except BaseException:  # whatever ends this, a stop among it: the process does not outlive it
            os.kill(self._pid, signal.SIGKILL)
            raise
        finally:
            code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            for fd in (handle, self._stdout, self._stderr):
                os.close(fd)
            if not self._feed.closed:
                os.close(self._feed.fd)
        words = self._tail.decode("utf-8", "replace").strip()
        return Finished(code, self._stream, words, self._stopped_by, self._broken)

    def _tell(self, message: dict[str, object]) -> None:
        self._feed.add(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    def _follow(self, handle: int) -> None:
        """Move data and keep the time until the process has ended."""
        poll = select.poll()
        watched = [handle, self._stdout, self._stderr, self._stop.fileno(), self._control.fileno()]
        for fd in filter(lambda fd: fd >= 0, watched):
            poll.register(fd, select.POLLIN)
        next_tick = 0.0
        ready: set[int] = set()
        while handle not in ready:
            if self._feed.waiting:
                poll.register(self._feed.fd, select.POLLOUT)
            ready = {fd for fd, _ in poll.poll(_TICK * 1000)}
            if self._feed.fd in ready:
                self._feed.write()
                if not self._feed.waiting:
                    poll.unregister(self._feed.fd)
            for fd in {self._stdout, self._stderr} & ready:
                if not self._read(fd):
                    poll.unregister(fd)
            if self._stop.fileno() in ready:
                poll.unregister(self._stop.fileno())
            self._obey(ready)
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + _TICK
                self._tick(now)
        for fd in (self._stdout, self._stderr):  # what its children hold open is not waited for
            while data := process.read_now(fd):
                self._take(fd, data)

    def _obey(self, ready: set[int]) -> None:
        if self._stop.fileno() in ready:
            self._end("stopped")
        if self._control.fileno() in ready:
            self._listen()

    def _read(self, fd: int) -> bool:
        """Read once; False at the end of the stream."""
        data = process.read_now(fd)
        if data:
            self._take(fd, data)
        return data != b""

    def _take(self, fd: int, data: bytes) -> None:
        if fd == self._stderr:
            self._tail = (self._tail + data)[-_STDERR_TAIL:]
            return
        self._buffer += data
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            self._understand(line)
        self._searched = len(self._buffer)
        if self._searched > _LONGEST_LINE and not self._broken:
            self._broken = f"a line of its output is longer than {_LONGEST_LINE >> 20} MiB"
            os.kill(self._pid, signal.SIGKILL)

    def _understand(self, line: bytes) -> None:
        stream = self._stream
        known, results = stream.session, len(stream.results)
        progress = stream.take(line)
        for name in stream.echoes:  # also while it is ended: the model may have the message
            if author := self._control.echoed(name):
                self._idle_since = 0.0
                progress = one_line(f"reads a message of {author}")
        for name in stream.withdrawn:
            self._control.withdrawn(name)
        stream.echoes.clear()
        stream.withdrawn.clear()
        if progress:
            self._log.progress(progress, stream.tokens, stream.cost_usd)
        if stream.session != known:
            self._log.session(stream.session)
        if len(stream.results) > results:
            self._turn_ended()

    def _turn_ended(self) -> None:
        self._control.look()
        self._pass_on()
        if self._control.waiting and self._may_go_on():
            self._idle_since = time.monotonic()
            return
        if self._control.waiting:  # an older CLI keeps what it has queued, and must not begin with that
            os.kill(self._pid, signal.SIGTERM)
        self._let_end()

    def _may_go_on(self) -> bool:
        return not (self._ending or self._answered or self._control.cancelled)

    def _let_end(self) -> None:
        self._answered = True
        self._feed.end()  # with its input closed it ends by itself
        if not self._signals:
            self._end_by(_PATIENCE[""])

    def _listen(self) -> None:
        """Hear what the caller says."""
        self._control.look()
        if self._control.cancelled:
            self._end("cancelled")
        self._pass_on()

    def _pass_on(self) -> None:
        """Give it the messages that came, while there is a turn that they can reach."""
        if self._may_go_on():
            for message in self._control.give():
                self._tell(message)

    def _tick(self, now: float) -> None:
        watchdog.feed()
        self._log.flush()
        self._listen()
        if now >= self._order.until:
            self._end("timeout")
        if self._idle_since and now >= self._idle_since + _TAKES_UP and not self._answered:
            self._let_end()
        while self._signals and now >= self._signals[0][0]:
            os.kill(self._pid, self._signals.pop(0)[1])

    def _end(self, reason: str) -> None:
        """Have it end: by a message, then by SIGTERM, then by SIGKILL. What it answered before counts all the same."""
        if self._ending and reason != "stopped":
            return
        self._ending = True
        if not self._answered and not self._stopped_by:
            self._stopped_by = reason
            interrupt = {"subtype": "interrupt", "cancel_queued": True}  # else it begins with the next message
            self._tell({"type": "control_request", "request_id": "herald-interrupt", "request": interrupt})
        self._end_by(_PATIENCE[reason])

    def _end_by(self, patience: tuple[float, float]) -> None:
        terminate = time.monotonic() + patience[0]
        self._signals = [(terminate, signal.SIGTERM), (terminate + patience[1], signal.SIGKILL)]
