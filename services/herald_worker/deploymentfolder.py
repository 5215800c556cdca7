"""One deployment's files, and what they say about it after a crash. The lock means what it means for a run."""

import os
import re
import shutil
from typing import NamedTuple

from herald import durable, names
from herald.durable import sync_folder
from herald.masking import mask
from herald_worker.runfolder import RunFolder, text_of

_FILES = ("lock", "result", "log", "tree")
_MOST_LOG = 1 << 20
_SHOWN = 16 << 10
_STEERING = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


class Result(NamedTuple):
    """How it ended, by the word of the deploy unit: ok, nothing, failed or stopped."""

    outcome: str
    message: str
    seconds: float


class DeploymentFolder(RunFolder):
    """The files of one deployment."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.path = os.path.join(names.state_folder(names.WORKER), "deployments", name)

    def prepare(self) -> None:
        """Make the folder and its files anew, on the disk before anyone is told. Raises OSError."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(self.path, mode=0o700)
        for name in _FILES:
            self._make(name, b"")
        sync_folder(self.path)
        sync_folder(os.path.dirname(self.path))

    def result(self) -> Result | None:
        """The result, if it is complete."""
        lines = self._lines("result")
        if not lines or lines[-1].get("type") != "end":
            return None
        last = lines[-1]
        seconds = last.get("seconds")
        return Result(
            text_of(last, "outcome"), text_of(last, "message"), seconds if isinstance(seconds, int | float) else 0.0
        )

    def output(self) -> str:
        """The end of what the compose command said, fit to be shown."""
        try:
            data = durable.read_limited(self.file("log"), _MOST_LOG)
        except (OSError, ValueError):
            return ""
        return shown(data)


def shown(data: bytes) -> str:
    """The last lines, without what steers a terminal, and masked before they are cut: half a secret would be seen."""
    text = _STEERING.sub("", data.decode("utf-8", "replace")).replace("\r\n", "\n")
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    text = mask("\n".join(lines)).strip("\n")
    if len(text) <= _SHOWN:
        return text
    end = text[-_SHOWN:]
    _, line_end, whole = end.partition("\n")
    return f"…\n{whole if line_end else end}"
