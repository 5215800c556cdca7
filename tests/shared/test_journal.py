"""What a unit writes where systemd-python is not installed, or stderr is not the journal; tests/system has the rest."""

import os
import subprocess
import sys
from pathlib import Path

from tests.shared.staging import SOURCES

SCRIPT = """
import sys
from herald import journal
journal.error(sys.stdin.read(), project="demo", task="7", unit="x.service")
"""


def written(folder: Path, text: str, *, is_journal: bool) -> str:
    """What a process writes to its stderr."""
    path = folder / "stream"
    with path.open("wb") as stream:
        status = os.fstat(stream.fileno())
        where = f"{status.st_dev}:{status.st_ino}" if is_journal else "8:15"
        environment = {"PYTHONPATH": SOURCES, "JOURNAL_STREAM": where, "INVOCATION_ID": "abc"}
        command = [sys.executable, "-c", SCRIPT]
        subprocess.run(command, check=True, input=text, text=True, stderr=stream, env=environment)
    return path.read_text(encoding="utf-8")


def test_stderr_that_is_not_the_journal_gets_plain_lines(tmp_path: Path) -> None:
    assert written(tmp_path, "one\ntwo", is_journal=False) == "one [project=demo task=7 unit=x.service]\ntwo\n"


def test_without_the_library_the_journal_gets_lines_with_their_priority(tmp_path: Path) -> None:
    assert written(tmp_path, "one\ntwo", is_journal=True) == "<3>one [project=demo task=7 unit=x.service]\n<3>two\n"
