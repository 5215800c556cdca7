"""The inetd: listens, starts, watches and restarts what the unit files say, until SIGTERM.

The contract towards services is systemd's: sockets are listened to before anything runs, a call waits while a
service restarts, and a connection of an Accept=yes unit, its place and its stored descriptors are given up only when
the last process of its instance is gone.
"""

import contextlib
import functools
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from herald_try import processes
from herald_try.instance import Instance, Surroundings
from herald_try.output import Output
from herald_try.units import Service, Socket, Units

_BACKLOG = 4096
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)

Environment = Callable[[str], Mapping[str, str]]
"""Gives the environment of a service by name."""


class Inetd:
    """One loop over sockets, notifications, signals and times that are due."""

    def __init__(
        self,
        units: Units,
        *,
        runtime: str,
        state: str,
        environment: Environment,
        kept: Sequence[int] = (),
        stop_within: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """`kept` are descriptors that must stay open while anything runs; `stop_within` bounds the time to stop."""
        self._units = units
        self._state = state
        self._environment = environment
        self._stop_within = stop_within
        self._selector = selectors.PollSelector()
        self.output = Output(self._selector)
        self._around = Surroundings(self._selector, self.output, runtime, kept)
        self._listening: dict[str, socket.socket] = {}
        self._instances: list[Instance] = []
        self._keeper_lost: list[Instance] = []
        self._restarts: dict[str, float] = {}
        self._child_ended = False
        self._stopping = False

    def listen(self) -> None:
        """Make all sockets. Raises OSError."""
        for unit in self._units.sockets:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            listener.bind(unit.path)
            os.chmod(unit.path, unit.mode)
            listener.listen(_BACKLOG)
            self._listening[unit.name] = listener
            if unit.accept:  # the others are handed over as systemd does, in blocking mode
                listener.setblocking(False)
                self._selector.register(listener, selectors.EVENT_READ, functools.partial(self._accept, unit, listener))

    def run(self) -> None:
        """Serve until SIGTERM, then stop everything; returns when no process is left."""
        processes.adopt_orphans()
        wakeup = self._wake_on_signals()
        for name in self._units.started:
            self._start(name)
        while self._instances or self._keeper_lost or not self._stopping:
            for key, _ in self._selector.select(self._patience()):
                key.data()
            if self._child_ended:  # after all events: they may concern what is let go of now
                self._child_ended = False
                self._reap()
            self._act()
        processes.end_children()
        self.output.flush(1.0)
        wakeup.close()

    def stop(self, within: float = math.inf) -> None:
        """Stop listening and stop all instances, in the time of their units or `within` if that is less."""
        self._stopping = True
        self._restarts.clear()
        for unit in self._units.sockets:
            listener = self._listening.pop(unit.name, None)
            if listener is not None:
                if unit.accept:
                    self._selector.unregister(listener)
                listener.close()
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(unit.path)
        for instance in self._instances:
            instance.stop(within)

    def _wake_on_signals(self) -> socket.socket:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)  # what counts is the byte in the wakeup socket

        def read() -> None:
            received = reader.recv(4096)
            self._child_ended = self._child_ended or signal.SIGCHLD in received
            if signal.SIGTERM in received or signal.SIGINT in received:
                self.stop(self._stop_within())

        self._selector.register(reader, selectors.EVENT_READ, read)
        return writer

    def _patience(self) -> float | None:
        soonest = min(
            [instance.next_due() for instance in self._instances] + list(self._restarts.values()), default=math.inf
        )
        return None if soonest == math.inf else max(0.0, soonest - time.monotonic())

    def _accept(self, unit: Socket, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:  # the caller has gone again, or descriptors are short for a moment
            time.sleep(0.01)
            return
        taken = [each for each in self._instances + self._keeper_lost if each.service.name == unit.name]
        if len(taken) >= unit.max_connections:
            self.output.line("inetd", f"{unit.name}: all {unit.max_connections} places are taken, connection refused")
            connection.close()
            return
        connection.setblocking(True)
        if not self._start(unit.name, connection):
            connection.close()

    def _start(self, name: str, connection: socket.socket | None = None) -> bool:
        service = self._units.services[name]
        listening = {
            unit.descriptor_name: self._listening[unit.name]
            for unit in self._units.sockets
            if unit.name == name and not unit.accept
        }
        try:
            self._make_state_folder(service)
            self._instances.append(Instance(service, self._around, self._environment(name), listening, connection))
        except OSError as error:
            self.output.line(name, f"cannot be started: {error}")
            if connection is None:
                self._restarts[name] = time.monotonic() + service.restart_delay
            return False
        return True

    def _make_state_folder(self, service: Service) -> None:
        if service.state_folder:
            os.makedirs(os.path.join(self._state, service.state_folder), service.state_mode, exist_ok=True)

    def _reap(self) -> None:
        for pid, code in processes.reap():
            for instance in [each for each in self._instances if each.keeper == pid]:
                self._instances.remove(instance)
                instance.receive()
                if code < 0:  # the keeper itself was killed: what it kept has become ours
                    self._keeper_lost.append(instance)
                else:
                    self._ended(instance, code)
        self._end_strangers()

    def _end_strangers(self) -> None:
        """Kill what a killed keeper left; its instances have ended when nothing of it remains."""
        keepers = {instance.keeper for instance in self._instances}
        strangers = [pid for pid in processes.children() if pid not in keepers]
        for pid in strangers:
            os.kill(pid, signal.SIGKILL)
        if not strangers:
            for instance in self._keeper_lost:
                self._ended(instance, 128 + signal.SIGKILL)
            self._keeper_lost.clear()

    def _ended(self, instance: Instance, code: int) -> None:
        service = instance.service
        instance.release()
        how = processes.ended_how(128 - code if 128 < code <= 128 + signal.SIGRTMAX else code)
        if service.restarts and not self._stopping:
            self.output.line(service.name, f"ended ({how}), starts again in {service.restart_delay:g} s")
            self._restarts[service.name] = time.monotonic() + service.restart_delay
        elif code and not self._stopping:
            self.output.line(service.name, f"ended ({how})")

    def _act(self) -> None:
        now = time.monotonic()
        for instance in self._instances:
            if instance.next_due() <= now:
                instance.act()
        for name in [name for name, at in self._restarts.items() if at <= now]:
            del self._restarts[name]
            self._start(name)
