"""One run's files, and what they say about it after a crash.

The folder belongs to the worker; the agent's unit gets the files as open descriptors. `lock` is the truth about
life: it is held until the last process of the run is gone, and its content, the cell, says how far it came.

| lock | cell    | result         | verdict                                               |
|------|---------|----------------|-------------------------------------------------------|
| held | any     | any            | alive                                                 |
| free | empty   |                | unbegun: `void` is written, a late instance gives way |
| free | void    |                | unbegun                                               |
| free | started | ends with end  | finished                                              |
| free | started | anything else  | died                                                  |
"""

import asyncio
import contextlib
import fcntl
import json
import math
import os
import shutil
import threading
from typing import Any, Literal, NamedTuple

from herald import names
from herald.durable import read_limited, sync_folder

Verdict = Literal["alive", "unbegun", "finished", "died"]

_EMPTY_FILES = ("lock", "result", "pack", "log", "control", "base", "fetched", "attachments")
_VOID = "void\n"
_MOST_RESULT = 64 << 20
_MOST_USAGE = 64 << 10


class End(NamedTuple):
    """How a run ended; everything but `outcome` may be empty when the run died."""

    outcome: str
    message: str
    text: str
    head: str
    base: str
    branch: str
    commits: int
    uncommitted: bool
    session: str
    cost_usd: float
    usage: dict[str, Any]
    denials: list[str]
    resets_at: float


class RunFolder:
    """The files of one run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.path = os.path.join(names.state_folder(names.WORKER), "runs", run)

    def file(self, name: str) -> str:
        """Path of one file."""
        return os.path.join(self.path, name)

    def open(self, name: str, flags: int) -> int:
        """Open one file. Raises OSError."""
        return os.open(self.file(name), flags | os.O_CLOEXEC)

    def create(self, prompt: bytes) -> None:
        """Make the folder and its files. Raises OSError."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(self.path, mode=0o700)
        for name in _EMPTY_FILES:
            self._make(name, b"")
        os.chmod(self.file("control"), 0o644)  # the agent's unit has it open, and may watch what it may read
        self._make("prompt", prompt)

    def sync(self) -> None:
        """Have their names on the disk, before the agent can begin: what the lock says must not be lost by itself.

        Not before the row of the run is: without files it never began, which is so.
        """
        sync_folder(self.path)
        sync_folder(os.path.dirname(self.path))

    def _make(self, name: str, data: bytes) -> None:
        fd = os.open(self.file(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if data:  # of an empty file only the name has to be on the disk, and the folder holds that
                _write_all(fd, data)
                os.fsync(fd)
        finally:
            os.close(fd)

    def remove(self) -> None:
        """Delete the folder; what is worth keeping is in the database and the mirror."""
        shutil.rmtree(self.path, ignore_errors=True)

    def examine(self) -> tuple[Verdict, str]:
        """What became of the run, and the boot id under which it started. Decided under the lock."""
        try:
            fd = os.open(self.file("lock"), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return "unbegun", ""
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return "alive", ""
            cell = os.pread(fd, 256, 0).decode("utf-8", "replace")
            if not cell:
                os.pwrite(fd, _VOID.encode(), 0)
                os.fsync(fd)
            if not cell or cell == _VOID:
                return "unbegun", ""
        finally:
            os.close(fd)
        words = cell.split()
        boot = words[1] if len(words) > 1 and words[0] == "started" else ""
        return ("finished" if self.end() is not None else "died"), boot

    async def until_gone(self) -> None:
        """Return when the last process of the run is gone: then, and only then, the lock can be had."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not gone.done():
                gone.set_result(None)

        def wait() -> None:
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(self.file("lock"), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_SH)
                finally:
                    os.close(fd)
            with contextlib.suppress(RuntimeError):  # the service has stopped meanwhile
                loop.call_soon_threadsafe(tell)

        threading.Thread(target=wait, name=f"run {self.run}", daemon=True).start()
        await gone

    def cancel(self) -> None:
        """Ask the run to end."""
        self._append_to_control(b"cancel\n")

    def tell(self, message: dict[str, Any]) -> None:
        """Hand a message to the agent at work; durable when this returns. Raises OSError."""
        self._append_to_control(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    def tell_progress(self, text: str) -> None:
        """What is done before the agent's unit has the run, in the log in which it will write. Raises OSError."""
        fd = os.open(self.file("log"), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            _write_all(fd, json.dumps({"type": "progress", "text": text}).encode() + b"\n")
        finally:
            os.close(fd)

    def told(self) -> set[str]:
        """The keys of the messages that were handed to the agent."""
        return {text_of(line, "key") for line in self._lines("control")}

    def taken(self) -> frozenset[str]:
        """The keys of the messages that the agent has taken up."""
        return frozenset(text_of(line, "key") for line in self._lines("result") if line.get("type") == "taken")

    def _append_to_control(self, line: bytes) -> None:
        fd = os.open(self.file("control"), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                line = b"\n" + line  # a kill left half a line
            _write_all(fd, line)
            os.fsync(fd)
        finally:
            os.close(fd)

    def end(self) -> End | None:
        """The result, if it is complete. What the agent's side wrote is not trusted to have any shape."""
        texts: list[str] = []
        last: dict[str, Any] = {}
        for line in self._lines("result"):
            if line.get("type") == "text":
                texts.append(text_of(line, "text"))
            last = line
        if last.get("type") != "end":
            return None
        return _end(last, "".join(texts))

    def partial_text(self) -> str:
        """What was said by a run that died."""
        return "".join(text_of(line, "text") for line in self._lines("result") if line.get("type") == "text")

    def _lines(self, name: str) -> list[dict[str, Any]]:
        try:
            data = read_limited(self.file(name), _MOST_RESULT)
        except (OSError, ValueError):
            return []
        return parse_lines(data)


def parse_lines(data: bytes) -> list[dict[str, Any]]:
    """The JSON objects in these lines; anything else, also an unfinished last line, is passed over."""
    found = []
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict):
                found.append(value)
    return found


def text_of(line: dict[str, Any], name: str) -> str:
    """A field as text that can be kept: half surrogate pairs, which JSON can carry and UTF-8 can't, are replaced."""
    value = line.get(name)
    return "" if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def number_of(line: dict[str, Any], name: str) -> float:
    """A field as a finite number, 0 when it is none."""
    value = line.get(name)
    with contextlib.suppress(OverflowError):
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return 0.0


def _usage_of(line: dict[str, Any]) -> dict[str, Any]:
    usage = line.get("usage")
    try:
        return usage if isinstance(usage, dict) and len(json.dumps(usage)) <= _MOST_USAGE else {}
    except RecursionError:  # nested just as deep as it could be read
        return {}


def _end(line: dict[str, Any], text: str) -> End:
    denials = line.get("denials")
    return End(
        outcome=text_of(line, "outcome") or "failed",
        message=text_of(line, "message"),
        text=text,
        head=text_of(line, "head"),
        base=text_of(line, "base"),
        branch=text_of(line, "branch"),
        commits=int(number_of(line, "commits")),
        uncommitted=line.get("uncommitted") is True,
        session=text_of(line, "session"),
        cost_usd=number_of(line, "cost_usd"),
        usage=_usage_of(line),
        denials=[str(each) for each in denials] if isinstance(denials, list) else [],
        resets_at=number_of(line, "resets_at"),
    )


def died(text: str, message: str) -> End:
    """The end of a run that left no result."""
    return End("crash", message, text, "", "", "", 0, False, "", 0.0, {}, [], 0.0)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
