"""A unit that is started for each connection, as the service manager does it (Accept=yes)."""

import contextlib
import subprocess
import sys
import threading
from typing import Literal

from tests.gateway.running import ROOT, Bus

Act = Literal["serve", "lose", "serve when let go"]


class OneShots:
    """Serves the socket of a service until it is closed.

    `acts` says what becomes of the next connections, in their order; `lose` closes one unheard. `reached` is set when
    one arrives that is lost or kept waiting, `go` lets those that wait be served, whether or not their caller is there.
    """

    def __init__(self, bus: Bus, service: str) -> None:
        self.acts: list[Act] = []
        self.reached = threading.Event()
        self.go = threading.Event()
        self._bus = bus
        self._service = service
        self._listening = bus.listen(service)
        self._listening.settimeout(0.05)
        self._closed = threading.Event()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listening.accept()
                with connection:
                    act = self.acts.pop(0) if self.acts else "serve"
                    if act != "serve":
                        self.reached.set()
                    if act == "serve when let go":
                        assert self.go.wait(30)
                    if act != "lose":
                        self._serve(connection.fileno())

    def _serve(self, connection: int) -> None:
        with (self._bus.root / f"{self._service}.journal").open("ab") as journal:
            command = [sys.executable, "-m", f"herald_{self._service}"]
            environment = self._bus.environment
            self._processes.append(
                subprocess.Popen(command, stdin=connection, stderr=journal, env=environment, cwd=ROOT)
            )

    def close(self) -> None:
        """Serve nobody any more; returns when the last one has ended."""
        self._closed.set()
        self._thread.join(20)
        for process in self._processes:
            process.wait(20)
