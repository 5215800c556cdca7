"""A bus in a temporary folder with real processes on it."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from herald import names, snapshot
from herald.bus.blocking import call, stream

ROOT = Path(__file__).resolve().parents[2]
TASK = {
    "id": "7",
    "key": "k",
    "project": "demo",
    "kind": "operator",
    "state": "cancelled",
    "text": "make it so",
    "author": {"id": "unix:ada", "name": "Ada"},
    "attempt": 0,
    "created_at": "2026-01-31T09:12:00.000Z",
    "not_before": None,
    "started_at": None,
    "ended_at": None,
    "kind_of_failure": "",
    "summary": "",
}
PROPOSAL = {
    "id": "3",
    "project": "demo",
    "task": "7",
    "branch": "agent/demo-20260131-091200",
    "base": "0" * 40,
    "head": "1" * 40,
    "commits": 2,
    "summary": "make it so",
    "state": "approved",
    "reason": "",
    "created_at": "2026-01-31T09:12:00.000Z",
}
STATUS = {
    "duty": "idle",
    "queued": 2,
    "running": [{**TASK, "state": "running", "started_at": "2026-01-31T09:12:00.000Z"}],
    "open_proposals": 1,
    "max_active": 1,
    "config_generation": 4,
    "config_errors": [],
    "deployments": 0,
    "gateway_backlog": 0,
    "missing": [],
    "not_held": [],
}
SURVEYED = {
    "project": "demo",
    "folder": "",
    "made": True,
    "bytes": 1_234_567,
    "files": 1200,
    "untracked": 3,
    "uncommitted": 0,
    "branches": [{"branch": "agent/demo-1", "head": "1" * 40, "commits": 2, "proposal": "3"}],
    "problem": "",
    "unkept": [],
}
RESET = {
    "project": "demo",
    "kept": [{"branch": "agent/demo-1", "head": "1" * 40, "ref": "refs/kept/20260131-091200/agent/demo-1", "file": ""}],
    "set_aside": "",
    "notes": [],
}
WORKER = {
    "Survey": {"reply": SURVEYED},
    "Reset": {"reply": RESET},
    "Stash": {"reply": {"stashed": True}},
    "Enqueue": {"reply": {"task": "7", "created": True, "ahead": 0, "steered": False}},
    "Vote": {"reply": PROPOSAL},
    "GetStatus": {"reply": STATUS},
    "ListTasks": {"reply": {"tasks": [TASK]}},
    "GetTask": {"reply": {**TASK, "state": "done", "summary": "made it so"}},
    "Cancel": {"reply": TASK},
    "Propose": {"reply": {"proposals": []}},
    "ListProposals": {"reply": {"proposals": [{**PROPOSAL, "state": "open"}]}},
    "ListProjects": {"reply": {"projects": []}},
}


class Bus:
    """Sockets in a folder, as the service manager holds them: they outlive the processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            **os.environ,
            "HERALD_MODE": "try",
            "HERALD_BUS": str(root / "bus"),
            "HERALD_STATE": str(root / "state"),
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "shared", ROOT / "services"))),
        }
        self._listening: dict[str, socket.socket] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (root / "bus").mkdir(mode=0o700)

    def start(self, service: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a module on the socket of a service."""
        descriptor = self.listen(service).fileno()
        command = [sys.executable, "-m", "tests.gateway.launch", str(descriptor), *arguments]
        with (self.root / f"{service}.journal").open("ab") as journal:
            process = subprocess.Popen(
                command,
                env=self.environment,
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                stderr=journal,
                cwd=ROOT,
            )
        self._processes[service] = process
        return process

    def listen(self, service: str) -> socket.socket:
        """The listening socket of a service, whether or not somebody serves it."""
        if service not in self._listening:
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listening.bind(str(self.root / "bus" / names.interface_of(service)))
            listening.listen(64)
            self._listening[service] = listening
        return self._listening[service]

    def pid(self, service: str) -> int:
        """The process of a service."""
        return self._processes[service].pid

    def end(self, service: str, *, kill: bool = False) -> None:
        """Stop a process, or kill it."""
        process = self._processes.pop(service)
        process.kill() if kill else process.terminate()
        process.wait(20)

    def close(self) -> None:
        for service in list(self._processes):
            self.end(service)
        for listening in self._listening.values():
            listening.close()

    def gateway(self) -> subprocess.Popen[bytes]:
        return self.start(names.GATEWAY, "herald_gateway")

    def peer(self, service: str, script: dict[str, Any]) -> subprocess.Popen[bytes]:
        """Start a stand-in for a service."""
        self.script(service, script)
        return self.start(service, "tests.gateway.peer", names.interface_of(service), str(self.root / service))

    def script(self, service: str, script: dict[str, Any]) -> None:
        folder = self.root / service
        folder.mkdir(exist_ok=True)
        (folder / "script.new").write_text(json.dumps(script))
        (folder / "script.new").rename(folder / "script.json")

    def calls(self, service: str, method: str) -> list[dict[str, Any]]:
        """The calls of a method that a stand-in got."""
        ledger = self.root / service / "calls.jsonl"
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [each for line in lines if (each := json.loads(line))["method"] == method]

    def configure(self, *operators: snapshot.Operator, projects: tuple[str, ...] = ("demo", "other")) -> None:
        """Put a snapshot in force."""
        known = {
            name: snapshot.Project(
                name=name,
                display_name=name.title(),
                path=f"/srv/{name}",
                channel="",
                agent_name=name.title(),
                enabled=True,
                workspace="own",
                auto_commit=True,
                push_requires_approval=True,
                branch_prefix=f"agent/{name}",
                remote="",
            )
            for name in projects
        }
        folder = self.root / "state" / "config"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "new").write_bytes(snapshot.encode(snapshot.Snapshot(1, "s", "", 1, 60.0, operators, known)))
        (folder / "new").rename(folder / "snapshot.json")

    def journal(self, service: str = names.GATEWAY) -> str:
        return (self.root / f"{service}.journal").read_text()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the gateway's database holds."""
        connection = sqlite3.connect(self.root / "state" / "gateway" / "gateway.sqlite")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    """A configured bus, nothing running on it yet."""
    root = Path(tempfile.mkdtemp(prefix="hg"))  # short: the path of a socket has at most 107 bytes
    made = Bus(root)
    monkeypatch.setenv("HERALD_BUS", made.environment["HERALD_BUS"])
    made.configure()
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(root)


@pytest.fixture
def chat(bus: Bus) -> Bus:
    """A gateway and a worker that takes everything."""
    bus.peer(names.WORKER, WORKER)
    bus.gateway()
    return bus


def say(text: str, key: str = "m1", project: str = "demo") -> str:
    """Say something; returns what it was taken for."""
    said = call(names.GATEWAY, "Say", {"key": key, "project": project, "text": text}, deadline=20)
    assert said["message"] == key
    return str(said["kind"])


def post(text: str, key: str = "p1", kind: str = "answer", **rest: Any) -> None:
    parameters = {"key": key, "project": "demo", "kind": kind, "text": text, **rest}
    call(names.GATEWAY, "Post", parameters, deadline=20)


def posts(since: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(names.GATEWAY, "ListPosts", {"since": since, "limit": 500})["posts"]
    return found


def reply_to(key: str) -> dict[str, Any]:
    """The one last post that answers a message, waited for."""
    wait_for(lambda: any(each["answers"] == key and each["last"] for each in posts()))
    (found,) = [each for each in posts() if each["answers"] == key and each["last"]]
    return found


def wait_for(condition: Callable[[], object], seconds: float = 40.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)


class Reader:
    """Follows the posts in a thread."""

    def __init__(self, since: int = 0) -> None:
        self.posts: list[dict[str, Any]] = []
        self.progress: list[dict[str, Any]] = []
        threading.Thread(target=self._read, args=(since,), daemon=True).start()

    def _read(self, since: int) -> None:
        try:
            for watched in stream(names.GATEWAY, "Watch", {"since": since}):
                if watched["post"]:
                    self.posts.append(watched["post"])
                else:
                    self.progress.append(watched["progress"])
        except Exception:  # noqa: BLE001 - the gateway ended: what was read is what counts
            return
