"""Calls to a real herald-deploy process, started as systemd starts it: the connection is its standard input."""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import psutil

from herald.bus.frames import Frames
from herald.errors import of_code
from herald.snapshot import EMPTY, Deploy, Project, encode
from tests.deploy.standin import Docker
from tests.support import processes, repositories

COMMIT = "1" * 40
_ANSWER_WITHIN = 30.0
COMPOSE = "services: {web: {build: .}}\n"


class Instance:
    """One instance of herald-deploy with the files that were handed to it."""

    def __init__(
        self, place: "Place", tar: bytes, commit: str, *, project: str = "sample", cell: str = "", **variables: str
    ) -> None:
        self.folder = place.folder / f"files-{place.count}"
        place.count += 1
        self.folder.mkdir()
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(_ANSWER_WITHIN)
        self._frames = Frames(self._ours, 1 << 20)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        environment |= {"HERALD_STATE": str(place.state), "HERALD_MODE": place.mode, "SECRET": "of the caller"}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "herald_deploy"], stdin=theirs.fileno(), stderr=subprocess.PIPE,
                env=environment | variables, umask=0o077,
            )  # fmt: skip
        content = {"tree": tar, "lock": cell.encode(), "result": b"", "log": b""}
        fds = [self._file(name, data) for name, data in content.items()]
        given = {"deployment": "d1", "project": project, "head": commit, "tree": 0, "lock": 1, "result": 2, "log": 3}
        self._frames.send({"method": "io.herald.Deploy.Start", "parameters": given, "more": True}, tuple(fds))
        for fd in fds:
            os.close(fd)

    def _file(self, name: str, data: bytes) -> int:
        (self.folder / name).write_bytes(data)
        return os.open(self.folder / name, os.O_RDWR)

    def answer(self) -> str:
        """The next answer: `started` or `ended`; raises its HeraldError, and EOFError when the instance is gone."""
        received = self._frames.receive()
        if received is None:
            raise EOFError("herald-deploy is gone")
        message, _fds = received
        parameters: dict[str, Any] = message["parameters"]
        if "error" in message:
            raise of_code(message["error"].rpartition(".")[2], parameters.get("message", str(message)))
        return str(parameters["state"])

    def leave(self) -> None:
        """The caller goes away."""
        self._ours.close()

    def read(self, name: str) -> str:
        """What one of the files holds."""
        return (self.folder / name).read_text(errors="replace")

    def result(self) -> dict[str, Any]:
        """The result, when the instance has ended."""
        self.journal = str(self.process.communicate(timeout=_ANSWER_WITHIN)[1], "utf-8", "replace")
        lines = self.read("result").splitlines()
        assert len(lines) == 1, (lines, self.journal)
        found: dict[str, Any] = json.loads(lines[0])
        assert found.pop("type") == "end"
        return found

    def is_locked(self) -> bool:
        """Whether somebody holds the lock."""
        return processes.is_locked(self.folder / "lock")

    def __enter__(self) -> "Instance":
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        if self.process.poll() is None:
            self.kill()

    def kill(self) -> None:
        """kill -9 of the instance and all it started, as systemd does with the cgroup."""
        started: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):  # it may be ending by itself
            started = psutil.Process(self.process.pid).children(recursive=True)
        for each in [self.process, *started]:  # itself first: it would tell of the others' end
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.communicate()


class Place:
    """State folder, configuration and stand-in of the project `sample`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.own = self.state / "deploy" / "sample"
        self.docker = Docker(folder / "docker-stand-in")
        self.mode = "try"
        self.count = 0
        self.time_limit = 30.0
        self.socket = str(folder / "docker.sock")
        self.configure()

    def configure(self, *, compose_path: str = "", command: str = "", others: tuple[Project, ...] = ()) -> None:
        """Put a configuration into force."""
        own = repositories.project()._replace(compose_path=compose_path, path=str(self.folder / "workspace"))
        settings = Deploy(command or self.docker.command, self.socket, self.time_limit)
        projects = {each.name: each for each in (own, *others)}
        root = str(self.folder / "repos")
        snapshot = EMPTY._replace(generation=1, projects=projects, deploy=settings, projects_root=root)
        (self.state / "config").mkdir(parents=True, exist_ok=True)
        (self.state / "config" / "snapshot.json").write_bytes(encode(snapshot))

    def start(self, files: "dict[str, str] | bytes", commit: str = COMMIT, project: str = "sample") -> Instance:
        """Start an instance with a tree, or with a tar as it is."""
        return Instance(self, files if isinstance(files, bytes) else tar_of(files), commit, project=project)

    def deploy(self, files: "dict[str, str] | bytes", commit: str = COMMIT) -> dict[str, Any]:
        """Deploy to the end; returns the result."""
        with self.start(files, commit) as instance:
            assert [instance.answer(), instance.answer()] == ["started", "ended"]
            return instance.result()

    def trees(self) -> set[str]:
        """What there is of trees, with their marks."""
        return {path.name for path in (self.own / "trees").iterdir()}


def tar_of(files: dict[str, str]) -> bytes:
    """A tar of these files; `-> target` is a symbolic link."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if content.startswith("-> "):
                member.type, member.linkname = tarfile.SYMTYPE, content[3:]
            else:
                member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return data.getvalue()


def special(name: str, kind: bytes) -> bytes:
    """A tar with one member of another kind."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "compose.yaml"
        archive.addfile(member)
    return data.getvalue()
