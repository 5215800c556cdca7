"""What is measured: a whole Herald in try mode, single services, and peers. All of it ends with the stage."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from herald import names, snapshot
from tests.support.herald import PROGRAMS, Herald, Site
from tests.support.processes import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


class Unfit(Exception):
    """A group cannot be measured here; the text says what is missing."""


class Stage:
    """A temporary folder and the processes that were started in it."""

    def __init__(self) -> None:
        self._ends = ExitStack()
        self._numbers = itertools.count(1)
        self.folder = Path(tempfile.mkdtemp(prefix="hb", dir="/tmp"))  # short: sockets are made below
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_problem: object) -> None:
        self._ends.close()

    def place(self, name: str) -> Path:
        """An empty folder."""
        folder = self.folder / name
        folder.mkdir()
        return folder

    def herald(self, **environment: str) -> Herald:
        """The whole of Herald in try mode over a state of its own, with the CLI when HERALD_CLAUDE is given."""
        agent = "claude" if "HERALD_CLAUDE" in environment else "standin"
        site = self._ends.enter_context(Site(self.place("site"), agent=agent, environment=environment))
        return site.start()

    def configured(self, *, max_active: int) -> Path:
        """A state folder with one project, as herald-config leaves it."""
        state = self.place("configured")
        project = snapshot.Project(
            name="sample",
            display_name="Sample",
            path=str(state / "sample"),
            channel="",
            agent_name="Sample",
            enabled=True,
            workspace="own",
            auto_commit=True,
            push_requires_approval=True,
            branch_prefix="agent/sample",
            remote="",
        )
        compiled = snapshot.Snapshot(1, "", "", max_active, 60.0, (), {"sample": project})
        (state / "config").mkdir()
        (state / "config" / "snapshot.json").write_bytes(snapshot.encode(compiled))
        return state

    def service(self, name: str, state: Path) -> "Alone":
        """One long-running service by itself."""
        alone = Alone(name, self.place(f"bus-{next(self._numbers)}"), state)
        self._ends.callback(alone.end)
        return alone

    def peer(self, module: str, *arguments: str) -> int:
        """Start a peer, which says with a line on its stdout that it is ready; returns its process id."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "shared", ROOT / "services")))},
        )
        self._ends.callback(_end, process)
        assert process.stdout is not None
        if not process.stdout.readline():
            raise Unfit(f"{module} did not start")
        return process.pid


class Alone:
    """One long-running service, started as a service manager does."""

    def __init__(self, service: str, bus: Path, state: Path) -> None:
        """`bus` gets the sockets, `state` is $HERALD_STATE. The service is forked here and has executed."""
        self.bus = bus
        self._service = service
        self._environment = {
            "HERALD_MODE": "try",
            "HERALD_BUS": str(bus),
            "HERALD_STATE": str(state),
            "HERALD_CONFIG": str(state / "etc"),
            "PATH": os.environ["PATH"],
            "NOTIFY_SOCKET": str(bus / "notify"),
        }
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(self._environment["NOTIFY_SOCKET"])
        self._notified.settimeout(PATIENCE)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(bus / names.interface_of(service)))
        self._listening.listen(64)
        self._begun = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._become()

    def _become(self) -> None:
        try:
            os.dup2(self._listening.fileno(), 3)
            os.set_inheritable(3, True)
            os.dup2(os.open(os.devnull, os.O_RDWR), 2)
            program = str(PROGRAMS / f"herald-{self._service}")
            handed_over = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
            os.execve(program, [program], self._environment | handed_over)
        finally:
            os._exit(127)

    def until_ready(self) -> float:
        """Seconds from its start to READY=1."""
        while b"READY=1" not in self._notified.recv(4096):
            pass
        return time.monotonic() - self._begun

    def end(self) -> None:
        """Stop it and wait for its end."""
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)
            self.pid = 0
            self._notified.close()
            self._listening.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
