"""Calls to a real herald-git process, started as systemd starts it: the connection is its standard input."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from herald.bus.frames import Frames
from herald.errors import of_code

_ANSWER_WITHIN = 60.0


class Unit:
    """One instance of herald-git. It leads a process group of its own, which stands for its cgroup."""

    def __init__(self, state: Path, **variables: str) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(_ANSWER_WITHIN)
        self._frames = Frames(self._ours, 1 << 20)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        environment |= {"HERALD_STATE": str(state), "HERALD_MODE": "try", "HOME": str(state)} | variables
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "herald_git"], stdin=theirs.fileno(), stderr=subprocess.PIPE, env=environment
            )

    def send(self, method: str, parameters: dict[str, Any], *fds: int) -> None:
        """Send a call without waiting for its answer."""
        self._frames.send({"method": f"io.herald.Git.{method}", "parameters": parameters}, fds)

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._ours.sendall(data)

    def answer(self) -> dict[str, Any]:
        """The answer to the call; raises its HeraldError, and EOFError when the instance is gone."""
        received = self._frames.receive()
        if received is None:
            raise EOFError("herald-git is gone")
        message, _fds = received
        parameters: dict[str, Any] = message["parameters"]
        if "error" in message:
            raise of_code(message["error"].rpartition(".")[2], parameters.get("message", str(message)))
        return parameters

    def hang_up(self) -> None:
        """The caller goes away; the instance goes on or not."""
        self._ours.close()

    def kill(self) -> None:
        """kill -9 of the instance and all it started, as systemd does with the cgroup."""
        for pid in [*_descendants(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def end(self) -> str:
        """Close the connection and wait for the end of the instance; returns its journal."""
        self._ours.close()
        try:
            _out, journal = self.process.communicate(timeout=_ANSWER_WITHIN)
        finally:
            self.process.kill()
        return str(journal, "utf-8", "replace")

    def __enter__(self) -> "Unit":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.end()


def _descendants(pid: int) -> list[int]:
    found = []
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    for child in map(int, children):
        found += [*_descendants(child), child]
    return found


def call(state: Path, method: str, parameters: dict[str, Any], *fds: int, **variables: str) -> dict[str, Any]:
    """One call to an instance of its own."""
    with Unit(state, **variables) as unit:
        unit.send(method, parameters, *fds)
        return unit.answer()


def fetch(state: Path, have: list[str], project: str = "sample", **variables: str) -> tuple[dict[str, Any], bytes]:
    """Fetch; returns the answer and the pack."""
    with tempfile.TemporaryFile() as pack:
        parameters = {"project": project, "have": have, "pack": 0}
        answer = call(state, "Fetch", parameters, pack.fileno(), **variables)
        pack.seek(0)
        data = pack.read()
    assert len(data) == answer["pack_bytes"]
    return answer, data


def push(
    state: Path, branch: str, head: str, expected: str = "", project: str = "sample", **variables: str
) -> dict[str, Any]:
    """Push; returns the answer."""
    parameters = {"project": project, "branch": branch, "head": head, "expected": expected}
    return call(state, "Push", parameters, **variables)
