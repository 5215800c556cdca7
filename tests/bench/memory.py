"""Resident memory of each long-running service, idle, beside a bare process of the same libraries."""

import re
import time
from pathlib import Path

from herald import names
from tests.bench.figures import Aim, Figure
from tests.bench.stage import Stage

_SETTLED = 2.0
"""Seconds after which a service that just started counts as idle."""


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """MiB, of services that have done one task."""
    herald = stage.herald()
    herald.ended(herald.enqueue("say hello"))
    processes = {f"herald-{service}": herald.pid(service) for service in names.LONG_RUNNING}
    processes = {"bare": stage.peer("tests.bench.peers.bare", str(stage.place("bare")))} | processes
    samples: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        time.sleep(_SETTLED / rounds)
        for name, pid in processes.items():
            for kind, value in resident(pid).items():
                samples.setdefault((name, kind), []).append(value)
    figures = []
    for (name, kind), values in samples.items():
        aim = None if name == "bare" else Aim("times at most", 1.2, f"bare process, {kind}")
        figures.append(Figure(f"{name}{' process' if aim is None else ''}, {kind}", "MiB", values, aim))
    return sorted(figures, key=lambda figure: figure.name.rpartition(" ")[2], reverse=True)


def resident(pid: int) -> dict[str, float]:
    """RSS, and PSS, which divides what several processes share."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.MULTILINE))
    return {kind.upper(): int(value) / 1024 for kind, value in found.items()}
