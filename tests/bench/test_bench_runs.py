"""The bench itself: every group measures what it says, in few rounds. Its figures are for people to judge."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.stage import ROOT


@pytest.mark.parametrize("group", ["queue", "bus", "memory", "start", "discord"])
def test_a_group_measures_everything_against_its_aims(group: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--only", group, "--json", str(file)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "shared", ROOT / "services")))}

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    assert all(each["samples"] and all(math.isfinite(s) and s > 0 for s in each["samples"]) for each in figures)
    judged = [each for each in figures if each["aim"]]
    assert judged
    assert all(done.stdout.count(each["name"]) and each["met"] in (True, False) for each in judged)


def test_a_group_that_lacks_something_says_what(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench", "--quick", "--only", "message"]
    environment = {"PATH": "/usr/bin:/bin", "HERALD_TEST_CLAUDE": str(tmp_path / "none")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not measured: Claude Code is not installed" in done.stdout or "Gateway.Say to request" in done.stdout
