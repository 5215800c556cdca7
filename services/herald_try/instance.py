"""One start of a service, from its keeper's fork to the end of its last process."""

import contextlib
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from herald_try import keeper
from herald_try.notifications import NotifySocket
from herald_try.output import Lines, Output
from herald_try.units import Service


class Surroundings(NamedTuple):
    """What every start needs: the loop, stderr, a folder for sockets, descriptors that each keeper holds open."""

    selector: selectors.BaseSelector
    output: Output
    runtime: str
    kept: Sequence[int]


class Instance:
    """A service that runs. While it exists its connection and its stored descriptors are held open."""

    _count = 0

    def __init__(
        self,
        service: Service,
        around: Surroundings,
        environment: Mapping[str, str],
        listening: Mapping[str, socket.socket],
        connection: socket.socket | None = None,
    ) -> None:
        """Start it. Raises OSError when that fails; `connection` is then still the caller's."""
        Instance._count += 1
        self.service = service
        self.ready = False
        self.stopping = False
        self._around = around
        self._status = ""
        self._stored: list[int] = []
        self._due: dict[str, float] = {}
        self._notify = NotifySocket(os.path.join(around.runtime, f"notify.{Instance._count}"))
        self._lines = Lines(around.selector, around.output, service.name)
        around.selector.register(self._notify, selectors.EVENT_READ, self.receive)
        self.connection: socket.socket | None = None
        try:
            self.keeper, self._main = self._start(environment, listening, connection)
        except OSError:
            self.release()
            raise
        self._lines.started()
        self.connection = connection
        self._set("start", service.start_timeout)
        self._set("run", service.run_max)

    def _start(
        self, environment: Mapping[str, str], listening: Mapping[str, socket.socket], connection: socket.socket | None
    ) -> tuple[int, int]:
        full = {**environment, "NOTIFY_SOCKET": self._notify.path}
        if self.service.watchdog < math.inf:
            full["WATCHDOG_USEC"] = str(int(self.service.watchdog * 1e6))
        nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            main = keeper.Main(
                arguments=self.service.arguments,
                environment=full,
                stdin=connection.fileno() if connection and self.service.connection_on_stdin else nothing,
                output=self._lines.writer,
                listening=[each.fileno() for each in listening.values()],
                listening_names=list(listening),
                umask=self.service.umask,
                cores=self.service.cores,
            )
            return keeper.start(main, self._around.kept)
        finally:
            os.close(nothing)

    def receive(self) -> None:
        """Take what the main process notified; anybody else is not heard."""
        while (notification := self._notify.receive()) is not None:
            fields, descriptors = notification.fields, notification.descriptors
            if notification.sender == self._main:
                self._obey(fields)
                if "FDSTORE" in fields:
                    descriptors = self._store(descriptors)
            for fd in descriptors:
                os.close(fd)

    def _obey(self, fields: Mapping[str, str]) -> None:
        if "READY" in fields:
            self.ready = True
            self._due.pop("start", None)
        status = fields.get("STATUS", self._status)
        if status != self._status:
            self._status = status
            self._say(status)
        if "STOPPING" in fields:
            self._due.pop("watchdog", None)
        elif "READY" in fields or ("WATCHDOG" in fields and self.ready):
            self._set("watchdog", self.service.watchdog)

    def _store(self, descriptors: Sequence[int]) -> tuple[int, ...]:
        """Keep as many as the unit allows; returns the rest."""
        places = max(0, self.service.stored_max - len(self._stored))
        self._stored += descriptors[:places]
        if descriptors[places:]:
            self._say(f"cannot store more than {self.service.stored_max} descriptors (FileDescriptorStoreMax=)")
        return tuple(descriptors[places:])

    def stop(self, within: float = math.inf) -> None:
        """SIGTERM to the main process; what is left after the unit's time to stop, or `within`, is killed."""
        if not self.stopping:
            self.stopping = True
            self._due.clear()
            self._signal(signal.SIGTERM)
        until = time.monotonic() + min(self.service.stop_timeout, within)
        self._due["kill"] = min(until, self._due.get("kill", math.inf))

    def next_due(self) -> float:
        """The monotonic time at which `act` has something to do."""
        return min(self._due.values(), default=math.inf)

    def act(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for what in [what for what, at in self._due.items() if at <= now]:
            self._due.pop(what, None)
            if what == "kill":
                self._say("did not stop in time: killed")
                self._signal(keeper.KILL)
            elif what == "watchdog":
                self._say(f"no sign of life for {self.service.watchdog:g} s: aborted")
                self._set("kill", self.service.abort_timeout)
                self._signal(signal.SIGABRT)
            else:
                limit = self.service.start_timeout if what == "start" else self.service.run_max
                self._say(f"{'not ready' if what == 'start' else 'not done'} within {limit:g} s: stopped")
                self.stop()

    def release(self) -> None:
        """Let go of everything; for when the last process is gone."""
        self._around.selector.unregister(self._notify)
        self._notify.close()
        self._lines.close()
        for fd in self._stored:
            os.close(fd)
        self._stored.clear()
        if self.connection is not None:
            self.connection.close()

    def _set(self, what: str, seconds: float) -> None:
        if seconds < math.inf:
            self._due[what] = time.monotonic() + seconds

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.keeper, number)

    def _say(self, text: str) -> None:
        self._around.output.line(self.service.name, text)
