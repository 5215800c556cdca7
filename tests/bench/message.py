"""From a message on the bus to the agent's first request, beside the CLI started by hand with the same words.

The project is a sample with a bare remote on this machine; one message is worked on before anything is measured.
"""

import itertools
import json
import os
import queue
import re
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from herald import names, snapshot
from herald.bus import blocking
from herald_agent import claude, environment
from herald_agent.process import stay_free
from herald_agent.prompt import plain
from herald_agent.workspace import workspace_of
from herald_worker import prompt
from tests.bench.figures import Aim, Figure, interleaved
from tests.bench.stage import ROOT, Stage, Unfit
from tests.support import anthropic
from tests.support.herald import Herald
from tests.support.processes import PATIENCE

_BARE = "bare claude -p, spawn to request"
_STEP = re.compile(r"^herald-(\w+): (.*?) \[.*?\bat=([\d.]+)", re.MULTILINE)
_TEXT = "[[text done]] Look at README.md and say whether it is any good. Message {}."


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Milliseconds."""
    program = _cli()
    with _recorder() as recorder:
        herald = stage.herald(HERALD_CLAUDE=program, HERALD_DEBUG="1", **recorder.environment())
        path = _Path(herald, recorder, program)
        path.by_herald()
        path.by_hand()
        path.steps.clear()
        samples = interleaved({"herald": path.by_herald, "bare": path.by_hand}, rounds)
    steps = [Figure(f"  {name}", "ms", values) for name, values in path.steps.items()]
    aim = Aim("more by at most", 50.0, _BARE)
    whole = Figure("Gateway.Say to request", "ms", samples["herald"], aim)
    return [Figure(_BARE, "ms", samples["bare"]), whole, *steps]


def _cli() -> str:
    installed = str(ROOT / ".tools/claude/node_modules/.bin/claude")
    for path in (os.environ.get("HERALD_TEST_CLAUDE"), installed, shutil.which("claude")):
        if path and os.access(path, os.X_OK):
            return path
    raise Unfit("Claude Code is not installed; `./install.sh test` installs it, or name it in HERALD_TEST_CLAUDE")


class _Recorder(anthropic.Api):
    """The peer of the API in this process, because nobody else's clock and log may come between."""

    def __init__(self, url: str) -> None:
        super().__init__(url, Path(os.devnull))
        self.arrivals: queue.SimpleQueue[float] = queue.SimpleQueue()


@contextmanager
def _recorder() -> Iterator[_Recorder]:
    class Handler(anthropic._Handler):
        log_path = Path(os.devnull)

        def do_POST(self) -> None:
            recorder.arrivals.put(time.monotonic())
            super().do_POST()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorder = _Recorder(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()


class _Path:
    """The two ways to a first request."""

    def __init__(self, herald: Herald, recorder: _Recorder, program: str) -> None:
        self._herald = herald
        self._recorder = recorder
        self._numbers = itertools.count(1)
        self.steps: dict[str, list[float]] = {}
        bound = dict(word.split("=", 1) for word in herald.heraldctl if word.startswith("HERALD_"))
        os.environ.update(bound | recorder.environment(HERALD_CLAUDE=program))
        project = snapshot.read().project("sample")
        branch = f"{project.branch_prefix}-20260131-091200"
        self._words = lambda text: prompt.compose(project, branch, {"id": "unix:root", "name": "root"}, [], text)
        self._environment = environment.build(workspace_of(project, ""), str(herald.runtime))
        self._folder = project.path

    def by_herald(self) -> float:
        """Milliseconds from the call of Gateway.Say until the request is here."""
        seen = len(self._herald.stderr)
        said = time.monotonic()
        key = uuid.uuid4().hex
        text = _TEXT.format(next(self._numbers))
        blocking.call(names.GATEWAY, "Say", {"key": key, "project": "sample", "text": text})
        arrived = self._recorder.arrivals.get(timeout=PATIENCE)
        self._herald.idle()
        self._note_steps(self._herald.stderr[seen:], said, arrived)
        return (arrived - said) * 1e3

    def _note_steps(self, journal: str, said: float, arrived: float) -> None:
        """The times that Herald itself noted, each as the milliseconds since the one before."""
        noted = [(float(at), f"{name} ({service})") for service, name, at in _STEP.findall(journal)]
        before = said
        for at, name in sorted([*noted, (arrived, "request is here")]):
            if said <= at <= arrived:
                self.steps.setdefault(name, []).append((at - before) * 1e3)
                before = at

    def by_hand(self) -> float:
        """Milliseconds from the start of the CLI, with the arguments and words of a run, until the request is here."""
        order = claude.Order(
            command=claude.command(),
            folder=self._folder,
            environment=self._environment,
            prompt=plain(self._words(_TEXT.format(next(self._numbers))).decode()),
            session=str(uuid.uuid4()),
            resume=False,
            may_commit=True,
            until=0.0,
            confine=stay_free,
        )
        message = {"type": "user", "message": {"role": "user", "content": order.prompt}}
        arguments = claude._arguments(order)
        begun = time.monotonic()
        with subprocess.Popen(
            arguments,
            cwd=order.folder,
            env=order.environment.agent,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            process.communicate(json.dumps(message).encode() + b"\n")
        arrived = self._recorder.arrivals.get(timeout=PATIENCE)
        return (arrived - begun) * 1e3
