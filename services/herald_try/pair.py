"""The command and its inetd, two processes of which neither outlives the other.

The inetd runs in a session of its own. When the command is killed, the kernel tells the inetd, which stops
everything; when the inetd is killed, everything below it becomes a child of the command, which kills it.
"""

import contextlib
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable

from herald_try import processes

_GRACE = 2.0
"""Seconds that services get to stop when the command was killed."""


class InetdEnded(Exception):
    """The inetd ended although nobody asked it to."""


Serve = Callable[[Callable[[], None], int], None]
"""What runs in the inetd's process. It calls its first argument when all sockets are listened to, and writes nothing
to stderr until the other end of the pipe, its second argument, is closed."""


class InetdProcess:
    """The inetd as the command sees it."""

    def __init__(self, serve: Serve) -> None:
        """Fork it. Raises InetdEnded when it ends before its sockets are listened to."""
        processes.adopt_orphans()
        self._stopping = False
        reader, writer = os.pipe()
        silence, self._silence = os.pipe()
        command = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reader)
            os.close(self._silence)
            _be_inetd(command, serve, writer, silence)
        os.close(writer)
        os.close(silence)
        with os.fdopen(reader, "rb") as report:
            listening = report.read(1)
        signal.signal(signal.SIGCHLD, self._on_child)
        if listening:
            self._on_child()  # it may have ended before anybody listened to the signal
        else:
            self.stop()
            raise InetdEnded

    def _on_child(self, *_: object) -> None:
        if not self._stopping and os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            self._stopping = True
            raise InetdEnded

    def speak(self) -> None:
        """The command has said what it had to say first: the services may write to stderr."""
        os.close(self._silence)

    def stop(self) -> None:
        """Stop it and everything below it; returns when no process is left."""
        self._stopping = True
        os.kill(self._pid, signal.SIGTERM)
        os.waitpid(self._pid, 0)
        processes.end_children()

    def kill(self) -> None:
        """End it without grace; `stop` then finishes at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)


def _be_inetd(command: int, serve: Serve, report: int, silence: int) -> None:
    code = 1

    def listening() -> None:
        os.write(report, b"1")
        os.close(report)

    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        processes.die_with(command, signal.SIGTERM)
        nothing = os.open("/dev/null", os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        serve(listening, silence)
        code = 0
    except BaseException:  # noqa: BLE001 the boundary of a process: what is unknown is told once, with its place
        traceback.print_exc(file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def stop_within() -> Callable[[], float]:
    """How long services may take to stop: without a bound of ours while the command lives."""
    command = os.getppid()
    return lambda: math.inf if os.getppid() == command else _GRACE
