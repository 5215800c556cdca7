"""The terminal as a chat: whoever follows it sees the posts; each follower keeps its own cursor.

A slow follower costs nothing: posts are read from the log when it is ready for them, and of progress only the
newest line of each task is held.
"""

import asyncio
from collections.abc import AsyncIterator

from herald.interfaces.gateway import Progress, Watched
from herald_gateway.outbox import Outbox

_BATCH = 100
_MOST_TASKS = 32
"""Tasks whose progress is held for one follower."""


class _Follower:
    def __init__(self) -> None:
        self.bell = asyncio.Event()
        self.progress: dict[str, Progress] = {}

    def hold(self, progress: Progress) -> None:
        self.progress.pop(progress["task"], None)
        if len(self.progress) < _MOST_TASKS:
            self.progress[progress["task"]] = progress
        self.bell.set()


class Terminal:
    """A chat whose channels are read by following the log."""

    name = "terminal"

    def __init__(self, log: Outbox) -> None:
        self._log = log
        self._followers: set[_Follower] = set()

    def posted(self) -> None:
        """Wake the followers: the log has grown."""
        for follower in self._followers:
            follower.bell.set()

    def progressed(self, progress: Progress) -> None:
        """Hold this line for each follower until it is ready."""
        for follower in self._followers:
            follower.hold(progress)

    async def follow(self, since: int) -> AsyncIterator[Watched]:
        """Posts with an id above `since`, then new ones and progress, without end; -1: only new ones.

        A cursor beyond the newest post belongs to a log that is gone: then everything is told.
        """
        follower = _Follower()
        self._followers.add(follower)
        try:
            newest = await self._log.newest()
            cursor = newest if since < 0 else since if since <= newest else 0
            while True:
                follower.bell.clear()
                posts = await self._log.after(cursor, _BATCH)
                for post in posts:
                    yield Watched(post=post, progress=None)
                    cursor = post["id"]
                if posts:
                    continue
                while follower.progress:
                    yield Watched(post=None, progress=follower.progress.pop(next(iter(follower.progress))))
                await follower.bell.wait()
        finally:
            self._followers.discard(follower)
