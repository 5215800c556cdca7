"""The real Claude Code CLI, where it is installed."""

import os
import shutil
from pathlib import Path

import pytest

_INSTALLED = Path(__file__).parents[2] / ".tools/claude/node_modules/.bin/claude"


def installed() -> str:
    """The path of the CLI; skips the test where there is none."""
    for path in (os.environ.get("HERALD_TEST_CLAUDE"), str(_INSTALLED), shutil.which("claude")):
        if path and Path(path).is_file():
            return path
    pytest.skip("Claude Code is not installed; `./install.sh test` installs it, or name it in HERALD_TEST_CLAUDE")
