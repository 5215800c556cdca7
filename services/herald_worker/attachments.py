"""Files that came with tasks: a tar each, on the disk before the task is, removed when it is over.

Which are needed is a question to the queue; whatever else lies in the folder goes. So a kill at any point leaves
nothing that stays.
"""

import asyncio
import os
import uuid

from herald import attachments, names
from herald.database import Database
from herald.durable import sync_folder, with_no_trace
from herald_worker import tasks


def path_of(name: str) -> str:
    """Where a tar is."""
    return os.path.join(_folder(), name)


def _folder() -> str:
    return os.path.join(names.state_folder(names.WORKER), "attachments")


class Attachments:
    """The tars of all tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: set[str] = set()
        self._coming: set[str] = set()
        """Those whose task is not in the queue yet."""
        self._wake = asyncio.Event()

    async def keep(self, fd: int) -> str:
        """Check and store what a caller hands over; returns its name, empty if there is no file in it.

        To be settled when its task is in the queue, or refused. Raises Invalid.
        """
        name = f"{uuid.uuid4().hex}.tar"
        self._coming.add(name)
        try:
            if not await asyncio.to_thread(_store, fd, path_of(name)):
                self._coming.discard(name)
                return ""
        except BaseException:
            self.settled(name)
            raise
        return name

    def settled(self, name: str) -> None:
        """The tar belongs to a task now, or to none."""
        self._coming.discard(name)
        self._kept.add(name)
        self._wake.set()

    def committed(self) -> None:
        """A task may be over."""
        if self._kept:
            self._wake.set()

    async def tidy(self) -> None:
        """Remove for ever what no task needs."""
        os.makedirs(_folder(), mode=0o700, exist_ok=True)
        self._kept |= set(os.listdir(_folder())) - self._coming
        while True:
            self._wake.clear()
            needed = await self._database.read(tasks.attachments_needed) if self._kept else set()
            for name in self._kept - needed:
                with_no_trace(path_of(name))
            self._kept &= needed
            await self._wake.wait()


def _store(fd: int, path: str) -> int:
    """Write the tar anew from its files, which are checked one by one; returns how many there are."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        count = attachments.write(attachments.read(fd), file)
        file.flush()
        os.fsync(file.fileno())
    if count:
        sync_folder(os.path.dirname(path))
    else:
        os.unlink(path)
    return count
