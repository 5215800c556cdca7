"""Times to start: of a service until READY=1, of a killed one until it serves again, of `heraldctl status`."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from herald import names
from herald.bus import blocking
from herald.errors import HeraldError
from tests.bench.figures import Aim, Figure, interleaved
from tests.bench.stage import Stage
from tests.support.herald import Herald

_SLOWEST = 10.0
T = TypeVar("T")


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Milliseconds."""
    herald = stage.herald()
    commands = {"python -c pass": [sys.executable, "-c", "pass"], "heraldctl status": [*herald.heraldctl, "status"]}
    state = stage.configured(max_active=1)
    return [
        *_figures(commands, _run, rounds * 2, 150.0),
        *_figures(_services("exec to READY"), partial(_start, stage, state), rounds, 300.0),
        *_figures(_services("kill -9 to serving"), partial(_kill_to_serving, herald), max(2, rounds // 2), 1000.0),
    ]


def _services(what: str) -> dict[str, str]:
    return {f"herald-{name}, {what}": name for name in names.LONG_RUNNING}


def _figures(cases: dict[str, T], act: Callable[[T], float], rounds: int, aim: float) -> list[Figure]:
    samples = interleaved({name: partial(act, case) for name, case in cases.items()}, rounds)
    return [
        Figure(name, "ms", values, None if name.startswith("python") else Aim("at most", aim))
        for name, values in samples.items()
    ]


def _run(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - begun) * 1e3


def _start(stage: Stage, state: Path, name: str) -> float:
    service = stage.service(name, state)
    seconds = service.until_ready()
    service.end()
    return seconds * 1e3


def _kill_to_serving(herald: Herald, name: str) -> float:
    herald.kill(name)
    begun = time.perf_counter()
    while True:
        try:
            blocking.call(name, "GetStatus", deadline=_SLOWEST)
        except HeraldError:
            if time.perf_counter() - begun > _SLOWEST:
                raise
        else:
            return (time.perf_counter() - begun) * 1e3
