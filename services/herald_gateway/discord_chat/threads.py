"""Threads of tasks: each is made from the message that asked for it, when there is something to say in it."""

import time
from functools import partial

from herald import journal
from herald.database import Database
from herald_gateway import deliveries
from herald_gateway.discord_chat.rest import Refused
from herald_gateway.discord_chat.sending import Wire
from herald_gateway.outbox import Draft, Outbox

_HAS_ONE = 160004
_AGAIN_AFTER = 600.0
_LONGEST_NAME = 80
_MOST_KNOWN = 1000


class Threads:
    """Which threads are there."""

    def __init__(self, database: Database, wire: Wire, outbox: Outbox) -> None:
        self._database = database
        self._wire = wire
        self._outbox = outbox
        self._there: set[str] = set()
        self._refused: dict[str, float] = {}

    async def ready(self, channel: str, project: str) -> bool:
        """Whether this channel may be posted to: a thread that is to be made from a message is made now.

        False when it can't be made: then the post belongs into the project's channel. Raises Unavailable, Ambiguous.
        """
        if channel in self._there:
            return True
        if time.monotonic() < self._refused.get(channel, 0.0):
            return False
        to_make = await self._database.read(partial(deliveries.thread_to_make, lane=channel))
        if to_make is not None:
            parent, text = to_make
            try:
                await self._wire.start_thread(parent, channel, name_of(text))
            except Refused as refusal:
                if refusal.code != _HAS_ONE:
                    await self._note(channel, parent, project, refusal)
                    return False
        if len(self._there) >= _MOST_KNOWN:
            self._there.clear()
        self._there.add(channel)
        return True

    def forget(self, channel: str) -> None:
        """Discord refused a post to it: it is not used for a while."""
        self._there.discard(channel)
        self._refused[channel] = time.monotonic() + _AGAIN_AFTER

    async def _note(self, channel: str, parent: str, project: str, refusal: Refused) -> None:
        """Go on without this thread; a permission that is missing is told, once for each channel."""
        self.forget(channel)
        journal.warning(f"no thread for message {channel} in channel {parent}: {refusal}", project=project)
        if refusal.status == 403:
            text = (
                f"Herald may not make threads for the tasks of {project}, so it posts in the channel itself: give it"
                " Create Public Threads and Send Messages in Threads there (`heraldctl discord check`), or set"
                " `threads: off`."
            )
            await self._outbox.post(Draft(key=f"threads:{parent}", project=project, kind="notice", text=text))


def name_of(text: str) -> str:
    """The first words of a text, as a thread's name."""
    line = " ".join(text.split())
    if len(line) <= _LONGEST_NAME:
        return line or "Task"
    kept = line[:_LONGEST_NAME]
    words = kept.rpartition(" ")[0]
    return f"{words if len(words) > _LONGEST_NAME // 2 else kept}…"
