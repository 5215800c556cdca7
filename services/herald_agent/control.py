"""What the caller of a run says while it goes on: lines that it appends to a file.

`cancel`, or a further message as a JSON object. A message counts as taken when the agent says that it begins with it,
which it does before it asks the model, or echoes it. That is noted in the result file, so that the caller knows of each
other one that it has still to be worked on.
"""

import ctypes
import json
import os
import uuid
from typing import Any, NamedTuple

from herald_agent import prompt
from herald_agent.output import note_taken
from herald_agent.stream import as_text

_IN_MODIFY = 2
_MOST_EVENTS = 4096
_PIECE = 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


class Further(NamedTuple):
    """A message to an agent at work. `key` is the caller's name of it."""

    key: str
    author: str
    name: str
    text: str


class Control:
    """The control file of a run, and what became of the messages in it."""

    def __init__(self, control: int, result: int) -> None:
        self.cancelled = False
        self._control = control
        self._result = result
        self._offset = 0
        self._unfinished = b""
        self._heard: list[Further] = []
        self._known: set[str] = set()
        self._given: dict[str, Further] = {}
        """Messages that the agent has not taken up yet, by the id that the echo will carry."""
        self._watch = _watch(control)

    def fileno(self) -> int:
        """Readable when the file has grown; -1 where that cannot be had."""
        return self._watch

    def look(self) -> None:
        """Read what is new in the file."""
        if self._watch >= 0:
            try:
                os.read(self._watch, _MOST_EVENTS)
            except BlockingIOError:
                pass
        while data := os.pread(self._control, _PIECE, self._offset):
            self._offset += len(data)
            *lines, self._unfinished = (self._unfinished + data).split(b"\n")
            for line in lines:
                self._understand(line)

    def _understand(self, line: bytes) -> None:
        if line == b"cancel":
            self.cancelled = True
            return
        try:
            said = json.loads(line)
            author = said["author"]
            words = (said["key"], author["id"], author["name"], said["text"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        further = Further(*map(as_text, words))
        if further.key not in self._known:
            self._known.add(further.key)
            self._heard.append(further)

    @property
    def waiting(self) -> bool:
        """Whether the agent has been given a message that it has neither taken up nor dropped."""
        return bool(self._given)

    def give(self) -> list[dict[str, Any]]:
        """What is to be written to the agent now: each message once."""
        messages = []
        for further in self._heard:
            name = str(uuid.uuid4())
            self._given[name] = further
            words = prompt.further(further.name, further.author, further.text)
            messages.append({"type": "user", "uuid": name, "message": {"role": "user", "content": words}})
        self._heard = []
        return messages

    def echoed(self, name: str) -> str:
        """The agent has taken up a message: note it durably. Returns whose it is, empty if it is none of these."""
        further = self._given.pop(name, None)
        if further is None:
            return ""
        note_taken(self._result, further.key)
        return further.name or further.author

    def withdrawn(self, name: str) -> None:
        """The agent will not take up a message; it is left to the caller, unless it was noted before."""
        self._given.pop(name, None)

    def again(self) -> None:
        """The agent that was given messages was no use: the next one gets them."""
        self._heard = [*self._given.values(), *self._heard]
        self._given = {}


def _watch(fd: int) -> int:
    """A descriptor that becomes readable when a file grows, -1 where the file may not be watched."""
    watch = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if watch >= 0 and _libc.inotify_add_watch(watch, f"/proc/self/fd/{fd}".encode(), _IN_MODIFY) < 0:
        os.close(watch)
        return -1
    return watch
