"""Times to start: of a service until READY=1, of a killed one until it serves again, of `heraldctl status`."""

import subprocess
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path

from herald import names
from herald.bus import blocking
from herald.errors import HeraldError
from tests.bench.figures import Aim, Figure, interleaved
from tests.bench.stage import Stage
from tests.support.herald import PROGRAMS, Herald

_SLOWEST = 10.0


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Milliseconds."""
    herald = stage.herald()
    command = [str(PROGRAMS / "heraldctl"), "status"]
    acts = {
        "python -c pass": partial(_run, [sys.executable, "-c", "pass"]),
        "heraldctl status": partial(_run, herald.heraldctl[:-1] + command),
    }
    figures = _figures(interleaved(acts, rounds * 2), 150.0)
    kills = {f"herald-{name}, kill -9 to serving": partial(_kill_to_serving, herald, name) for name in names.LONG_RUNNING}
    figures += _figures(interleaved(kills, max(2, rounds // 2)), 1000.0)
    state = stage.configured(max_active=1)
    starts = {f"herald-{name}, exec to READY": partial(_start, stage, name, state) for name in names.LONG_RUNNING}
    return figures + _figures(interleaved(starts, rounds), 300.0)


def _figures(samples: dict[str, list[float]], aim: float) -> list[Figure]:
    return [
        Figure(name, "ms", values, None if name == "python -c pass" else Aim("at most", aim))
        for name, values in samples.items()
    ]


def _run(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - begun) * 1e3


def _start(stage: Stage, name: str, state: Path) -> float:
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
