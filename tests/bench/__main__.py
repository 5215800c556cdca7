"""Measures Herald against floors and peers, interleaved in one run, and says which aims are met.

    python -m tests.bench [--quick] [--only GROUP] [--json FILE]

Groups: message (a message until the agent's first request), queue, bus, memory, start, discord (memory when connected,
an event until its task starts), system (memory and start inside booted machines, for which it takes root). Needs the
virtual environment of `./install.sh test`; `message` also Claude Code (HERALD_TEST_CLAUDE names another than the
installed one), which talks to a peer on the loopback. Everything is made in a temporary folder. Exits 0 when it
measured, whatever the figures are.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import bus, discord, figures, memory, message, queue, start, system
from tests.bench.figures import Figure
from tests.bench.stage import Stage, Unfit

GROUPS: dict[str, tuple[str, Callable[[Stage, int], list[Figure]]]] = {
    "message": ("message to first API call", message.measure),
    "queue": ("durable enqueue", queue.measure),
    "bus": ("bus round trip", bus.measure),
    "memory": ("resident memory", memory.measure),
    "start": ("start", start.measure),
    "discord": ("in Discord", discord.measure),
    "system": ("installed under systemd", system.measure),
}
_ROUNDS = 10
_QUICK = 2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it works, not how fast")
    parser.add_argument("--only", choices=GROUPS, action="append", help="this group; may be given several times")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples to this file")
    options = parser.parse_args()
    entries: list[dict[str, Any]] = []
    for name in options.only or GROUPS:
        title, measure = GROUPS[name]
        environment = dict(os.environ)
        try:
            with Stage() as stage:
                found = measure(stage, _QUICK if options.quick else _ROUNDS)
        except Unfit as reason:
            print(f"{title}\n  not measured: {reason}\n", flush=True)
            continue
        finally:
            os.environ.clear()
            os.environ.update(environment)
        print(figures.table(title, found) + "\n", flush=True)
        entries += figures.record(title, found)
    if options.json:
        options.json.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    sys.exit(0)


if __name__ == "__main__":
    main()
