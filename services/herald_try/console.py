"""The terminal as the chat: lines of stdin become messages."""

import sys
import time
from typing import Any, BinaryIO

from herald.bus import blocking
from herald.errors import HeraldError, Unavailable
from herald_try.posts import Follower

_PATIENCE = 60.0
"""Seconds for which a service may be away before a message counts as not delivered."""


class Console:
    """Hands in messages of one project's channel."""

    def __init__(self, project: str, boot_id: str, follower: Follower) -> None:
        self._project = project
        self._boot_id = boot_id
        self._follower = follower
        self._count = 0
        self.undelivered = 0

    def take_lines(self, source: BinaryIO) -> None:
        """Each line is a message; the next is taken when the one before is answered."""
        for line in source:
            message = self._say(line)
            if message:
                self._follower.wait_for_answer(message)

    def chat(self, source: BinaryIO, prompt: str) -> None:
        """Each line is a message, taken at once."""
        sys.stderr.write(prompt)
        sys.stderr.flush()
        for line in source:
            if self._say(line) == "":
                sys.stderr.write(prompt)
                sys.stderr.flush()

    def _say(self, line: bytes) -> str:
        """Hand in a line; returns the message that answers will refer to, empty if none will come."""
        text = line.decode(errors="replace").rstrip("\r\n")
        if not text.strip():
            return ""
        self._count += 1
        key = f"try:{self._boot_id}:{self._count}"
        try:
            said = patiently("gateway", "Say", {"key": key, "project": self._project, "text": text})
        except HeraldError as error:
            self.undelivered += 1
            sys.stderr.write(f"not delivered: {error.message}\n")
            return ""
        return "" if said["kind"] == "ignored" else str(said["message"])


def patiently(service: str, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """A call that may be made again safely, while the service restarts. Raises HeraldError."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return blocking.call(service, method, parameters)
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
