"""What a run writes into the files of its caller: the log while it works, the result when it has ended."""

import json
import os
import time
from typing import Any

from herald.masking import mask

_PIECE = 1 << 18
_MOST_TEXT = 8 << 20
_PROGRESS_PAUSE = 0.5


class Log:
    """One JSON object in each line; progress at most twice a second, the newest counts."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting = ""
        self._not_before = 0.0

    def session(self, session: str) -> None:
        """Which session of the agent this is."""
        self._write({"type": "session", "session": session})

    def credential(self, text: str) -> None:
        """Which credential is in use."""
        self._write({"type": "credential", "text": text})

    def progress(self, text: str) -> None:
        """What the agent is doing."""
        self._waiting = text
        self.flush()

    def flush(self) -> None:
        """Write the newest progress, if its time has come."""
        now = time.monotonic()
        if self._waiting and now >= self._not_before:
            self._write({"type": "progress", "text": mask(self._waiting)})
            self._waiting = ""
            self._not_before = now + _PROGRESS_PAUSE

    def _write(self, entry: dict[str, str]) -> None:
        try:
            _write_all(self._fd, json.dumps(entry).encode() + b"\n")
        except OSError:
            pass  # a full disk: the work is worth more than news of it


def write_result(fd: int, text: str, end: dict[str, Any]) -> None:
    """Write what the agent said and how it ended, durably; the last line is whole or the run has no result."""
    text = mask(text[:_MOST_TEXT])
    entries: list[dict[str, Any]] = [
        {"type": "text", "text": text[start : start + _PIECE]} for start in range(0, len(text), _PIECE)
    ]
    entries.append({"type": "end", **end, "message": mask(end["message"])})
    os.lseek(fd, 0, os.SEEK_END)
    _write_all(fd, b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
    os.fsync(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
