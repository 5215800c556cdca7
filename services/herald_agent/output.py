"""What a run writes into the files of its caller: the log while it works, the result when it has ended."""

import json
import os
import time
from typing import Any

from herald.masking import mask

_PIECE = 1 << 18
_MOST_TEXT = 8 << 20
_CUT_HERE = f"\n[cut here: of an answer at most {_MOST_TEXT >> 20} MiB are handed on]"
_PROGRESS_PAUSE = 0.5


class Log:
    """One JSON object in each line; progress at most twice a second, the newest counts."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: dict[str, Any] = {}
        self._not_before = 0.0

    def session(self, session: str) -> None:
        """Which session of the agent this is."""
        self._write({"type": "session", "session": session})

    def credential(self, text: str) -> None:
        """Which credential is in use."""
        self._write({"type": "credential", "text": text})

    def progress(self, text: str, tokens: int = 0, cost_usd: float = 0.0) -> None:
        """What the agent is doing, and what it has used so far as far as that is known."""
        self._waiting = {"text": mask(text), "tokens": tokens, "cost_usd": round(cost_usd, 6)}
        self.flush()

    def flush(self) -> None:
        """Write the newest progress, if its time has come."""
        now = time.monotonic()
        if self._waiting and now >= self._not_before:
            self._write({"type": "progress", **self._waiting})
            self._waiting = {}
            self._not_before = now + _PROGRESS_PAUSE

    def _write(self, entry: dict[str, Any]) -> None:
        try:
            _write_all(self._fd, json.dumps(entry).encode() + b"\n")
        except OSError:
            pass  # a full disk: the work is worth more than news of it


def note_taken(fd: int, key: str) -> None:
    """Note in the result that the agent has a further message, durably. What cannot be noted is worked on again."""
    before = os.lseek(fd, 0, os.SEEK_END)
    try:
        _write_all(fd, json.dumps({"type": "taken", "key": key}).encode() + b"\n")
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, before)  # half a line would spoil the next one


def write_result(fd: int, text: str, end: dict[str, Any]) -> None:
    """Write what the agent said and how it ended, durably; the last line is whole or the run has no result."""
    text = mask(text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - len(_CUT_HERE)] + _CUT_HERE)
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
