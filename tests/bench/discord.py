"""The gateway in Discord: its memory beside a bare bot's, and the time from an event to the start of its task beside
that of the writes which must be on the disk by then.

The server is the tests' own on the loopback; worker, config, git and agent are Herald's own, the agent is the stand-in.
"""

import json
import os
import queue
import shutil
import sqlite3
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from herald import names
from herald.bus.blocking import call, stream
from herald.errors import HeraldError
from tests.bench.figures import Aim, Figure, interleaved
from tests.bench.memory import resident
from tests.bench.stage import Stage
from tests.discord.herald import Herald
from tests.fake_discord.client import Discord
from tests.fake_discord.process import start, stop
from tests.gateway.adding import Adding
from tests.gateway.oneshots import OneShots
from tests.gateway.running import Bus
from tests.support.processes import PATIENCE
from tests.support.repositories import clone, remote_with_commit

_SETTLED = 2.0
_BOT = "bare discord.py bot, RSS"
_FLOOR = "the writes that it needs, by hand"
_COMMITS = 3
"""The message, the task, its start: one transaction each."""
_FILES = ("lock", "result", "pack", "log", "control", "base", "fetched", "prompt")
"""Of a run; the folder that holds them is synced, and the one above it."""


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """MiB and milliseconds."""
    with ExitStack() as stack:
        process, addresses = start()
        stack.callback(stop, process)
        discord = Discord(addresses)
        herald = _running(stack, discord)
        path = _Path(herald, stage.place("floor"))
        path.to_start()
        samples = interleaved({"herald": path.to_start, "floor": path.by_hand}, rounds)
        bot = stage.peer("tests.bench.peers.bot", discord.api, discord.gateway_url, discord.token)
        processes = {_BOT: bot, "herald-gateway in Discord, RSS": herald.bus.pid(names.GATEWAY)}
        memory: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(rounds):
            time.sleep(_SETTLED / rounds)
            for name, pid in processes.items():
                memory[name].append(resident(pid)["RSS"])
    aim = Aim("more by at most", 15.0, _BOT)
    return [
        *(Figure(name, "MiB", values, None if name == _BOT else aim) for name, values in memory.items()),
        Figure(_FLOOR, "ms", samples["floor"]),
        Figure("event to state starting", "ms", samples["herald"], Aim("more by at most", 20.0, _FLOOR)),
    ]


def _running(stack: ExitStack, discord: Discord) -> Herald:
    """All of Herald, connected, with a clone for the project demo."""
    root = Path(tempfile.mkdtemp(prefix="hb"))
    stack.callback(shutil.rmtree, root, ignore_errors=True)
    bus = Bus(root)
    stack.callback(bus.close)
    bus.environment["HERALD_AGENT"] = "standin"
    os.environ["HERALD_BUS"] = bus.environment["HERALD_BUS"]
    herald = Herald(bus, discord)
    remote = remote_with_commit(root)
    clone(remote, root / "demo")
    adding = Adding(herald)
    stack.enter_context(closing(adding.config))
    keys = {
        "name": "demo", "path": str(root / "demo"), "discord_channel_id": herald.demo, "workspace": "own",
        "git": {"remote": str(remote.path)},
    }  # fmt: skip
    (adding.folder / "projects" / "demo.yaml").write_text(json.dumps(keys))
    assert call(names.CONFIG, "Reload", {}, deadline=30)["applied"]
    for service in (names.AGENT, names.GIT):
        stack.enter_context(closing(OneShots(bus, service)))
    bus.start(names.WORKER, "herald_worker")
    bus.gateway()
    herald.connected()
    return herald


class _Path:
    """From what was said in Discord to a task in state starting."""

    def __init__(self, herald: Herald, folder: Path) -> None:
        self._herald = herald
        self._folder = folder
        self._seen: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        threading.Thread(target=self._watch, daemon=True).start()
        self._database = sqlite3.connect(folder / "floor.sqlite", isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE said (text TEXT)")

    def _watch(self) -> None:
        with suppress(HeraldError):  # the worker has ended
            for event in stream(names.WORKER, "Watch", {"since": 0}):
                self._seen.put((event["kind"], time.time()))

    def _until(self, kind: str) -> float:
        while True:
            seen, at = self._seen.get(timeout=PATIENCE)
            if seen == kind:
                return at

    def to_start(self) -> float:
        """Milliseconds from the event on the socket until the worker's log has the start."""
        discord = self._herald.discord
        before = discord.now()
        discord.say(self._herald.operator, self._herald.demo, "say that it is so")
        begun = self._until("task.starting")
        sent = next(each.at for each in discord.changes("message", before))
        self._until("task.done")
        return (begun - sent) * 1e3

    def by_hand(self) -> float:
        """Milliseconds for the same writes, one after the other."""
        begun = time.perf_counter()
        for _ in range(_COMMITS):
            self._database.execute("INSERT INTO said VALUES (?)", ("say that it is so" * 20,))
        run = self._folder / uuid.uuid4().hex
        run.mkdir()
        for name in _FILES:
            (run / name).touch()
        for folder in (run, self._folder):
            handle = os.open(folder, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        return (time.perf_counter() - begun) * 1e3
