"""Fixtures of the agent's tests: a place to work, and the real CLI against a peer that plays the API."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.place import Place
from tests.support import anthropic

_INSTALLED = Path(__file__).parents[2] / ".tools/claude/node_modules/.bin/claude"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A project with an own workspace, with the stand-in."""
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.fixture(scope="session")
def cli() -> str:
    """The real Claude Code CLI."""
    for path in (os.environ.get("HERALD_TEST_CLAUDE"), str(_INSTALLED), shutil.which("claude")):
        if path and Path(path).is_file():
            return path
    pytest.skip("Claude Code is not installed; `./install.sh test` installs it, or name it in HERALD_TEST_CLAUDE")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[anthropic.Api]:
    """The peer that plays the API."""
    with anthropic.serve(tmp_path) as running:
        yield running


@pytest.fixture
def real(place: Place, cli: str, api: anthropic.Api) -> Place:
    """A project with an own workspace, with the real CLI."""
    place.environment |= api.environment() | {"HERALD_AGENT": "claude", "HERALD_CLAUDE": cli}
    return place
