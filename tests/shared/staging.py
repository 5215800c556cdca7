"""Real services on real sockets in a folder of the test's own, handed over as the service manager does it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from herald import names
from herald.bus.frames import Frames
from tests.support import processes
from tests.support.processes import wait_for

ROOT = Path(__file__).resolve().parents[2]
SOURCES = os.pathsep.join(str(ROOT / part) for part in ("", "shared", "services"))


class Process:
    """One running program of a test."""

    def __init__(self, command: list[str], environment: dict[str, str], journal: Path, **options: Any) -> None:
        self._journal = journal
        with journal.open("ab") as stderr:
            self._popen = subprocess.Popen(
                command, env=environment, cwd=ROOT, stderr=stderr, **{"stdin": subprocess.DEVNULL, **options}
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def journal(self) -> str:
        """What it wrote to stderr."""
        return self._journal.read_text(errors="replace")

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(Path("/proc", str(self.pid), "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def descriptors(self) -> int:
        """Open descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def send(self, number: signal.Signals) -> None:
        processes.send(self.pid, number)

    def wait(self) -> int:
        """The exit code."""
        return self._popen.wait(processes.PATIENCE)

    def ends_within(self, seconds: float) -> bool:
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> int:
        """Ask it to end; the exit code."""
        self._popen.terminate()
        return self.wait()

    def kill(self) -> None:
        self._popen.kill()
        self.wait()

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None


class Manager:
    """The service manager's ear: what units say through NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.descriptors: list[int] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def hear(self, word: str, patience: float = processes.PATIENCE) -> str:
        """Wait for a line that begins so; returns it."""
        until = time.monotonic() + patience
        while True:
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            data, fds, _flags, _address = socket.recv_fds(self._socket, 4096, 8)
            self.descriptors += fds
            lines = data.decode().split("\n")
            self.said += lines
            for line in lines:
                if line.startswith(word):
                    return line

    def silent(self, word: str, seconds: float) -> bool:
        """Whether no such line comes for so long."""
        try:
            self.hear(word, seconds)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()
        for fd in self.descriptors:
            os.close(fd)


class Stage:
    """A bus folder, a state folder, the listening sockets, and the processes that serve them."""

    def __init__(self) -> None:
        # Paths of sockets must be short, which those of pytest's folders are not.
        self._folder = tempfile.TemporaryDirectory(prefix="hs-")
        self.root = Path(self._folder.name)
        self.state = self.root / "state"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": SOURCES,
            "HERALD_MODE": "try",
            "HERALD_BUS": str(self.root),
            "HERALD_STATE": str(self.state),
        }
        self._listening: dict[str, socket.socket] = {}
        self._processes: list[Process] = []
        self._open: list[socket.socket] = []
        self._managers: list[Manager] = []

    def socket_path(self, service: str = names.WORKER) -> str:
        return str(self.root / names.interface_of(service))

    def listen(self, service: str = names.WORKER) -> socket.socket:
        """The listening socket of a service; it outlives the processes that serve it."""
        if service not in self._listening:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(self.socket_path(service))
            listening.listen(128)
            self._listening[service] = listening
        return self._listening[service]

    def serve(self, *arguments: str, service: str = names.WORKER, **variables: str) -> Process:
        """Start the trial service on the socket of a service; its calls wait until it is there."""
        descriptor = self.listen(service).fileno()
        command = ("tests.gateway.launch", str(descriptor), "tests.shared.trial", *arguments)
        return self.run(*command, pass_fds=[descriptor], **variables)

    def run(self, module: str, *arguments: str, pass_fds: list[int] | None = None, **variables: Any) -> Process:
        """Start a module. Variables in capitals go into its environment, others are options of the process."""
        environment = {**self.environment, **{name: value for name, value in variables.items() if name.isupper()}}
        options = {name: value for name, value in variables.items() if not name.isupper()}
        process = Process(
            [sys.executable, "-m", module, *arguments],
            environment,
            self.root / f"journal-{len(self._processes)}",
            pass_fds=pass_fds or [],
            **options,
        )
        self._processes.append(process)
        return process

    def serve_one(self, **variables: str) -> tuple["Wire", Process]:
        """Start the trial unit that serves one connection; the caller's end, and the process."""
        ours, theirs = socket.socketpair()
        options: dict[str, Any] = {"stdin": theirs, **variables}
        process = self.run("tests.shared.trial_unit", **options)
        theirs.close()
        return self._wire(ours), process

    def manager(self) -> Manager:
        """A service manager; give its path as NOTIFY_SOCKET."""
        manager = Manager(self.root / f"notify-{len(self._managers)}")
        self._managers.append(manager)
        return manager

    def connect(self, service: str = names.WORKER) -> "Wire":
        """A bare connection."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(processes.PATIENCE)
        connection.connect(self.socket_path(service))
        return self._wire(connection)

    def _wire(self, connection: socket.socket) -> "Wire":
        connection.settimeout(processes.PATIENCE)
        self._open.append(connection)
        return Wire(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._open:
            connection.close()
        for process in self._processes:
            if process.alive:
                process.kill()
        for manager in self._managers:
            manager.close()
        for listening in self._listening.values():
            listening.close()
        if kind is not None:
            for process in self._processes:
                print(process.journal)
        self._folder.cleanup()


class Wire:
    """A bare connection that speaks bytes and messages."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._frames = Frames(connection, 64 << 20)

    def send(self, method: str, descriptors: tuple[int, ...] = (), more: bool = False, **parameters: Any) -> None:
        full_name = method if "." in method else f"io.herald.Worker.{method}"
        message: dict[str, Any] = {"method": full_name, "parameters": parameters}
        self._frames.send({**message, "more": True} if more else message, descriptors)

    def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end."""
        try:
            received = self._frames.receive()
        except ConnectionError:
            return None
        return received[0] if received else None

    def receive_or_none(self) -> dict[str, Any] | None:
        """The answer to a question that every service answers; None when nobody does."""
        self.send("org.varlink.service.GetInfo")
        self.socket.settimeout(10.0)
        try:
            return self.receive()
        except TimeoutError:
            return None

    def answer(self) -> dict[str, Any]:
        message = self.receive()
        assert message is not None, "the connection was ended"
        return message

    def call(self, method: str, descriptors: tuple[int, ...] = (), **parameters: Any) -> dict[str, Any]:
        """Send and receive one message."""
        self.send(method, descriptors, **parameters)
        return self.answer()

    def close(self) -> None:
        self.socket.close()


def staged() -> Iterator[Stage]:
    """For a fixture."""
    with Stage() as stage:
        yield stage


def settles(measure: Any, at_most: int, what: str) -> None:
    """Wait until a number has come down."""
    wait_for(lambda: measure() <= at_most, f"{what}: {measure()}, wanted at most {at_most}")
