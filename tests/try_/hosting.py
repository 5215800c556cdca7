"""An inetd over units of the test's own, and what a test wants to know about it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import marked, wait_for

_ROOT = Path(__file__).parents[2]
_PATIENCE = 20.0


class Host:
    """Runs the inetd as a process of its own, in a session of its own."""

    def __init__(self, folder: Path) -> None:
        self.units = folder / "units"
        self.units.mkdir()
        self.mark = str(uuid.uuid4())
        self._wanted: list[str] = []
        self._log = folder / "stderr"
        self._stack = contextlib.ExitStack()
        # Paths of sockets must be short, which those of pytest's folders are not.
        self.runtime = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="t-")))
        self.process: subprocess.Popen[bytes] | None = None

    def long_running(self, name: str, program: str, **service: str) -> None:
        """A service that is kept running, with a socket of its own."""
        self._write(f"{name}.socket", Socket=self._socket(name))
        keys = {"Type": "notify", "ExecStart": self._program(name, program), "Restart": "always", "RestartSec": "100ms"}
        self._write(f"{name}.service", Service={**keys, **service})
        self._wanted += [f"{name}.socket", f"{name}.service"]

    def on_connect(self, name: str, program: str, *, places: int = 8, **service: str) -> None:
        """A service of which each connection starts an instance."""
        self._write(f"{name}.socket", Socket={**self._socket(name), "Accept": "yes", "MaxConnections": str(places)})
        keys = {"Type": "notify", "ExecStart": self._program(name, program), "StandardInput": "socket"}
        self._write(f"{name}@.service", Service={**keys, "FileDescriptorStoreMax": "4", **service})
        self._wanted.append(f"{name}.socket")

    def _socket(self, name: str) -> dict[str, str]:
        return {"ListenStream": str(self.runtime / name), "SocketMode": "0600"}

    def _program(self, name: str, text: str) -> str:
        path = self.units / f"{name}.py"
        path.write_text(f"#!{sys.executable} -SE\nimport sys\nsys.path.insert(0, {str(_ROOT)!r})\n{text}", "utf-8")
        path.chmod(0o755)
        return str(path)

    def _write(self, name: str, **sections: dict[str, str]) -> None:
        lines = []
        for section, keys in sections.items():
            lines += [f"[{section}]", *(f"{key}={value}" for key, value in keys.items())]
        (self.units / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self, *, read_stderr: bool = True) -> Self:
        """Start it; all sockets are listened to when this returns. Unread, its stderr is a pipe that fills up."""
        self._write("herald.target", Unit={"Wants": " ".join(self._wanted)})
        environment = {
            "PATH": os.environ["PATH"],
            "MARK": self.mark,
            "PYTHONPATH": os.pathsep.join(str(_ROOT / part) for part in ("", "shared", "services")),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.try_.host", str(self.units), str(self.runtime)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stderr=log if read_stderr else subprocess.PIPE,
                start_new_session=True,
            )
        if read_stderr:
            wait_for(lambda: "inetd " in self.stderr, "the inetd listens")
        else:
            wait_for(lambda: all((self.runtime / name).exists() for name in self._names()), "the sockets")
        return self

    def _names(self) -> list[str]:
        return [name.removesuffix(".socket") for name in self._wanted if name.endswith(".socket")]

    @property
    def stderr(self) -> str:
        """What the inetd and its services have written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def command(self) -> int:
        """The process number of the command."""
        assert self.process is not None
        return self.process.pid

    @property
    def inetd(self) -> int:
        """The process number of the inetd."""
        return int(self.stderr.partition("inetd ")[2].split()[0])

    def connect(self, name: str) -> socket.socket:
        """A connection to a unit; reading from it gives up after a while."""
        connection = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        connection.settimeout(_PATIENCE)
        connection.connect(str(self.runtime / name))
        return connection

    def ask(self, name: str, text: str = "?") -> str:
        """What a unit answers to one line until it closes the connection or the line ends."""
        with self.connect(name) as connection:
            connection.sendall(text.encode() + b"\n")
            with connection.makefile("r", encoding="utf-8") as answer:
                return answer.readline().strip()

    def left(self) -> set[int]:
        """The processes that live."""
        return set(marked(self.mark))

    def wait(self) -> int:
        """The exit code of the command, when it and all its processes are gone."""
        assert self.process is not None
        code = self.process.wait(_PATIENCE)
        wait_for(lambda: not self.left(), f"all processes are gone, {self.left()} are left")
        return code

    def stop(self) -> int:
        """Stop it in order."""
        assert self.process is not None
        self.process.terminate()
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(AssertionError):
                self.stop()
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None and self.process.stderr is not None:
            self.process.stderr.close()
        self._stack.close()


def hosting(folder: Path) -> Iterator[Host]:
    """For a fixture."""
    with Host(folder) as host:
        yield host
