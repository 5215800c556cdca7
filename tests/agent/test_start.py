"""The instance starts lean: what it imports before its first answer is counted, not timed."""

import subprocess
import sys

from tests.agent.place import Place

HEAVY = {"asyncio", "asyncvarlink", "subprocess", "dataclasses", "logging", "pydantic", "threading"}


def test_nothing_heavy_is_loaded_before_the_first_answer(place: Place) -> None:
    code = "import herald_agent.acts, herald_agent.run, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=place.environment, capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.split()) == set()


def test_help_is_the_man_page(place: Place) -> None:
    command = [sys.executable, "-m", "herald_agent", "--help"]
    done = subprocess.run(command, env=place.environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("herald-agent - one act")
