"""What is measured: a whole Herald in try mode, single services, and peers, each a process of its own that ends here."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from herald import names
from herald.bus import blocking
from herald.errors import HeraldError

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "sample"
_PATIENCE = 60.0
_PROGRAMS = Path(sys.executable).parent


class Unfit(Exception):
    """A group cannot be measured here; the text says what is missing."""


class Stage:
    """A temporary folder and the processes that were started in it."""

    def __init__(self) -> None:
        self._ends = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="hb", dir="/tmp"))  # short: sockets are made below
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._herald: Herald | None = None

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_problem: object) -> None:
        self._ends.close()

    def herald(self, **environment: str) -> "Herald":
        """The whole of Herald in try mode, started at the first call."""
        if self._herald is None:
            self._herald = Herald(self.folder / "herald", environment)
            self._ends.callback(self._herald.end)
            self._herald.begin()
        return self._herald

    def end_herald(self) -> None:
        """Stop it; its state stays."""
        if self._herald is not None:
            self._herald.end()
            self._herald = None

    def peer(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a peer, which says with one byte on its stdout that it is ready."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        self._ends.callback(_kill, process)
        assert process.stdout is not None
        if not process.stdout.read(1):
            raise Unfit(f"{module} did not start")
        return process

    def place(self, name: str) -> Path:
        """An empty folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


class Herald:
    """`herald-try` with the sample project, its stdin kept open."""

    def __init__(self, state: Path, environment: dict[str, str]) -> None:
        self._state = state
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._told = threading.Condition()

    def begin(self) -> None:
        """Start it and wait until its services answer. From here on this process is a caller of its bus."""
        program = _PROGRAMS / "herald-try"
        if not program.exists():
            raise Unfit(f"{program} is missing; run this with the Python of Herald's virtual environment")
        agent = "claude" if "HERALD_CLAUDE" in self._environment else "standin"
        self._process = subprocess.Popen(
            [program, "--agent", agent, "--state", self._state],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "HERALD_DEBUG": "1", **self._environment},
            text=True,
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        variables = dict(re.findall(r"(HERALD_\w+)=(\S+)", self.wait_for_line("heraldctl: ")))
        os.environ |= {**variables, **self._environment}
        for service in names.LONG_RUNNING:
            until_serving(service)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            with self._told:
                self._lines.append(line)
                self._told.notify_all()

    def lines(self) -> list[str]:
        """What it has written to stderr so far."""
        with self._told:
            return list(self._lines)

    def wait_for_line(self, beginning: str) -> str:
        """The first line of stderr that begins so."""

        def found() -> str:
            return next((line for line in self._lines if line.startswith(beginning)), "")

        with self._told:
            if not self._told.wait_for(found, _PATIENCE):
                raise Unfit(f"herald-try did not begin:\n{''.join(self._lines)}")
            return found()

    def process_of(self, service: str) -> int:
        """The process id of a service of this Herald."""
        mark = f"HERALD_BUS={os.environ['HERALD_BUS']}".encode()
        for folder in Path("/proc").iterdir():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                ours = mark in (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if ours and any(word.endswith(f"/herald-{service}".encode()) for word in words[:2]):
                return int(folder.name)
        raise Unfit(f"herald-{service} is not running")

    def end(self) -> None:
        """Stop it as a person would."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None


class Alone:
    """One long-running service by itself, started as a service manager does."""

    def __init__(self, service: str, folder: Path, state: Path) -> None:
        """`folder` gets the sockets, `state` is $HERALD_STATE. The process is forked here and has executed."""
        self.service = service
        self._environment = {
            "HERALD_MODE": "try",
            "HERALD_BUS": str(folder),
            "HERALD_STATE": str(state),
            "HERALD_CONFIG": str(state / "etc"),
            "PATH": os.environ["PATH"],
            "NOTIFY_SOCKET": str(folder / f"notify.{service}"),
        }
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(self._environment["NOTIFY_SOCKET"])
        self._notified.settimeout(_PATIENCE)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(folder / names.interface_of(service)))
        self._listening.listen(64)
        self.begun = time.monotonic()
        self.process = os.fork()
        if self.process == 0:
            self._become()

    def _become(self) -> None:
        try:
            os.dup2(self._listening.fileno(), 3)
            os.set_inheritable(3, True)
            os.dup2(os.open(os.devnull, os.O_RDWR), 2)
            program = str(_PROGRAMS / f"herald-{self.service}")
            variables = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
            os.execve(program, [program], self._environment | variables)
        finally:
            os._exit(127)

    def until_ready(self) -> float:
        """Seconds from its start to READY=1."""
        while b"READY=1" not in self._notified.recv(4096):
            pass
        return time.monotonic() - self.begun

    def end(self) -> None:
        """Stop it and wait for its end."""
        os.kill(self.process, signal.SIGTERM)
        os.waitpid(self.process, 0)
        for each in (self._notified, self._listening):
            path = each.getsockname()
            each.close()
            os.unlink(path)


def until_serving(service: str, patience: float = _PATIENCE) -> None:
    """Return when a service answers."""
    wait_until(lambda: _answers(service), patience)


def _answers(service: str) -> bool:
    try:
        blocking.call(service, "GetStatus", deadline=5.0)
    except HeraldError:
        return False
    return True


def wait_until(condition: Callable[[], object], patience: float = _PATIENCE) -> None:
    """Look again and again; raises TimeoutError."""
    until = time.monotonic() + patience
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("it did not come to pass")
        time.sleep(0.005)


def call(service: str, method: str, **parameters: Any) -> dict[str, Any]:
    """One call on the bus of the Herald that was started last."""
    return blocking.call(service, method, parameters)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


