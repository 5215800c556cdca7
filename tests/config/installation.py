"""A configuration folder and a state folder, and the real program that works on them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from herald import snapshot
from herald.interfaces.config import Compiled, Problem
from herald.snapshot import Snapshot

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "name: {name}\npath: {path}\n"


class Installation:
    """Folders of one Herald. `reload` and `check` run herald-config as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "etc"
        self.state = folder / "state"
        (self.config / "projects").mkdir(parents=True)
        self.home = folder / "home"
        """Of whoever runs it: without a git configuration."""
        self.home.mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "XDG_"))},
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "HERALD_MODE": "try",  # what a server needs besides is looked at in test_server.py
            "HERALD_CONFIG": str(self.config),
            "HERALD_STATE": str(self.state),
            "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT / 'services'}",
        }

    def server(self, text: str) -> Path:
        """Write herald.yaml."""
        path = self.config / "herald.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def project(self, name: str, more: str = "", path: Path | str | None = None) -> Path:
        """Write a project file: name and path, and what else is given."""
        file = self.config / "projects" / f"{name}.yaml"
        file.write_text(PROJECT.format(name=name, path=path or f"/nowhere/{name}") + more, encoding="utf-8")
        return file

    def clone(self, name: str, origin: str = "git@example.org:o/r.git") -> Path:
        """A git repository with that origin."""
        path = self.folder / "repos" / name
        git("init", "--quiet", str(path))
        if origin:
            git("-C", str(path), "remote", "add", "origin", origin)
        return path

    def start(
        self, *arguments: str, without_privileges: bool = False, limit: Callable[[], object] | None = None
    ) -> subprocess.Popen[str]:
        """herald-config with these arguments; `without_privileges`: file modes hold for it even if it is root."""
        drop: list[str] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        return subprocess.Popen(
            [*(drop if without_privileges else []), sys.executable, "-m", "herald_config", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,
        )

    def run(
        self, *arguments: str, without_privileges: bool = False, limit: Callable[[], object] | None = None
    ) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        with self.start(*arguments, without_privileges=without_privileges, limit=limit) as process:
            output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def reload(self) -> Compiled:
        """herald-config --reload."""
        return compiled_of(*self.run("--reload", "--json"))

    def check(self) -> Compiled:
        """herald-config --check."""
        return compiled_of(*self.run("--check", "--json"))

    def snapshot(self) -> Snapshot:
        """The snapshot in force."""
        return snapshot.read(str(self.state / "config" / "snapshot.json"))

    @contextmanager
    def reloader(self) -> Iterator[Callable[[], Compiled]]:
        """One process that reloads each time it is asked, for tests that do so often."""
        code = "import json, sys\nfrom herald_config import compiler\n"
        code += "for _ in sys.stdin: print(json.dumps(compiler.reload()), flush=True)"
        with subprocess.Popen(
            [sys.executable, "-c", code],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            ask, answers = process.stdin, process.stdout

            def reload() -> Compiled:
                ask.write("\n")
                compiled: Compiled = json.loads(answers.readline())
                return compiled

            yield reload
            ask.close()
        assert process.returncode == 0

    @contextmanager
    def forks(self, code: str) -> Iterator[Callable[..., str]]:
        """One process with everything loaded; each call runs the code in a child, `given` in hand: its output, else how
        it ended."""
        server = (
            "import ctypes, json, os, sys\nfrom herald_config import changing, compiler\nfor line in sys.stdin:\n"
            "    if os.fork() == 0:\n        exec(sys.argv[1], {'given': json.loads(line)})\n        os._exit(0)\n"
            "    print('' if (end := os.waitstatus_to_exitcode(os.wait()[1])) == 0 else end, flush=True)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", server, code],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            ask, answers = process.stdin, process.stdout

            def run(*given: Any) -> str:
                ask.write(json.dumps(given) + "\n")
                return answers.readline().strip()

            yield run
            ask.close()
        assert process.returncode == 0

    def call(self, method: str) -> Any:
        """What an instance of its own replies."""
        with self.connection() as connection:
            return connection.call(method)

    @contextmanager
    def connection(self) -> Iterator["Connection"]:
        """An instance as systemd would start it: the connection is its standard input."""
        ours, theirs = socket.socketpair()
        with (
            ours,
            subprocess.Popen(
                [sys.executable, "-m", "herald_config"],
                env=self.environment,
                stdin=theirs.fileno(),
                stderr=subprocess.PIPE,
            ) as process,
        ):
            theirs.close()
            ours.settimeout(30)
            yield Connection(ours)
            ours.close()
            process.communicate(timeout=30)
        assert process.returncode == 0


class Connection:
    """Speaks Varlink: JSON and a NUL."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection

    def send(self, method: str, **parameters: Any) -> None:
        """Send a call."""
        message = {"method": f"io.herald.Config.{method}", "parameters": parameters}
        self.socket.sendall(json.dumps(message).encode() + b"\0")

    def receive(self) -> dict[str, Any]:
        """The next message."""
        data = bytearray()
        while not data.endswith(b"\0"):
            part = self.socket.recv(65536)
            if not part:
                raise EOFError
            data += part
        message: dict[str, Any] = json.loads(data[:-1])
        return message

    def call(self, method: str, **parameters: Any) -> Any:
        """The parameters of the reply."""
        self.send(method, **parameters)
        message = self.receive()
        assert "error" not in message, message
        return message["parameters"]


def compiled_of(code: int, output: str, errors: str) -> Compiled:
    """The answer that --json printed."""
    assert code in (0, 1), errors
    compiled: Compiled = json.loads(output)
    assert code == (1 if compiled["problems"] else 0)
    return compiled


def places(problems: list[Problem]) -> list[tuple[str, int, str]]:
    """Base name of the file, line and field of each problem."""
    return [(os.path.basename(each["file"]), each["line"], each["field"]) for each in problems]


def git(*arguments: str) -> str:
    """Run git without anybody's configuration."""
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout
