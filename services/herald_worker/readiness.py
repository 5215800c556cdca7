"""Whether the agent could work: which CLI, which credential, what of its sandbox does not hold.

The agent's unit is asked (it alone sees its credentials and its sandbox): at the start, whenever the configuration or
a credential has changed, when a person asks, and every five minutes while something is missing.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable

from herald import journal, names
from herald.bus import client
from herald.errors import HeraldError, Unavailable
from herald.interfaces.agent import Agent
from herald.interfaces.worker import Readiness

_DEADLINE = 30.0
_AGAIN_WHILE_MISSING = 300.0
_FIRST = 1.0
"""Seconds after the start, in which whatever was queued may begin first, and after the first failure to ask."""

_CREDENTIALS = ("anthropic_api_key", "claude_oauth_token")


class Readied:
    """What the agent's unit said last."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._agent = client.peer(Agent, _DEADLINE)
        self._look = asyncio.Event()
        self._turn = asyncio.Lock()
        self._credentials = _trace()
        self.missing: list[str] = []
        self.not_held: list[str] = []

    def look_again(self) -> None:
        """The configuration has changed."""
        self._look.set()

    def look_if_credentials_changed(self) -> None:
        """Cheap, so that whoever puts a credential in place need not wait or tell anybody."""
        trace = _trace()
        if trace != self._credentials:
            self._credentials = trace
            self._look.set()

    async def watch(self) -> None:
        """Ask whenever there is a reason, for ever. Not in try mode, which looks for an agent before it begins."""
        if names.mode() == "try":
            return
        pause: float | None = _FIRST
        failures = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()
            self._look.clear()
            try:
                await self.check()
            except HeraldError as error:
                self._unheard(error)
                pause = min(_FIRST * 2**failures, _AGAIN_WHILE_MISSING)
                failures += 1
            else:
                pause = _AGAIN_WHILE_MISSING if self.missing else None
                failures = 0

    def _unheard(self, error: HeraldError) -> None:
        """That it has no place now says nothing about it; that it does not come up does."""
        if isinstance(error, Unavailable):
            self.missing = [
                f"the agent's unit cannot be asked: {error.message}; `journalctl -u 'herald-agent@*'` says why"
            ]
        journal.debug(f"the agent's unit could not be asked: {error.message}")

    async def check(self) -> Readiness:
        """Ask now. Raises Unavailable or Busy when the agent's unit does not answer."""
        async with self._turn:
            checked = await self._agent.Check()
            before = {*self.missing, *self.not_held}
            self.missing, self.not_held = list(checked["missing"]), list(checked["not_held"])
        self._changed()
        for line in self.missing + self.not_held:
            if line not in before:
                journal.warning(line)
        return Readiness(
            agent=checked["agent"], credential=checked["credential"], missing=self.missing, not_held=self.not_held
        )


def _trace() -> list[tuple[int, int, int]]:
    """What changes with the credentials of the agent; their content is not for this user."""
    found = []
    for name in _CREDENTIALS:
        try:
            status = os.stat(names.credential_path(name))
        except OSError:
            continue
        found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return found
