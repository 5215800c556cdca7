"""Watching the configuration: level-triggered, so that no edit is lost.

The signature of the files is compared with the one in the snapshot at start, on every change that inotify tells,
and every two seconds besides; where they differ herald-config compiles. What it finds wrong is told once.
"""

import asyncio
import hashlib
import os

import watchfiles

from herald import journal, names
from herald.bus import client
from herald.database import Database
from herald.errors import HeraldError, Unavailable
from herald.interfaces.config import Compiled, Config, Problem
from herald.signature import PROJECTS_FOLDER, signature_of
from herald.snapshot import Current
from herald_worker import posts
from herald_worker.damage import Damage
from herald_worker.readiness import Readied
from herald_worker.runner import Runner

_DEADLINE = 60.0
_LOOK_EVERY = 2.0
"""Seconds. A change between the first look and the moment from which inotify tells of changes waits as long."""

_LOOK_MS = 300
"""watchfiles looks for what inotify brought this often, and waits this long for a burst of edits to end: a shorter time
would only wake an idle service more often."""


class Watcher:
    """Keeps the snapshot true to the files."""

    def __init__(self, database: Database, snapshot: Current, runner: Runner, readied: Readied) -> None:
        self._database = database
        self._snapshot = snapshot
        self._runner = runner
        self._readied = readied
        self._damage = Damage()
        self._generation = -1
        self._config = client.peer(Config, _DEADLINE)
        self._told = ""
        self._tried = ""
        self.errors: list[str] = []

    async def watch(self) -> None:
        """Compile now if need be, and after every change, for ever."""
        folder = names.config_folder()
        while True:
            if not os.path.isdir(folder):
                self.errors = [f"{folder} is missing; create it with herald.yaml and projects/"]
                await asyncio.sleep(_LOOK_EVERY)
                continue
            await self._look()
            watched = _folders(folder)
            async for _ in watchfiles.awatch(
                *watched,
                watch_filter=None,
                debounce=_LOOK_MS * 3,
                step=_LOOK_MS,
                rust_timeout=int(_LOOK_EVERY * 1000),
                yield_on_timeout=True,
                recursive=False,
                ignore_permission_denied=True,
            ):
                await self._look()
                if _folders(folder) != watched:
                    break

    async def begin(self) -> None:
        """See that there is a snapshot that can be read: a damaged one is compiled anew. Raises Unavailable."""
        try:
            self._snapshot.get()
        except Unavailable as error:
            journal.error(error.message)
            await self.reload()

    async def _look(self) -> None:
        """Everything that a change, or the passing of time, may have made due."""
        await self._compare()
        self._readied.look_if_credentials_changed()
        generation = self._snapshot.get().generation
        if generation != self._generation:  # whoever had it compiled
            self._generation = generation
            self._readied.look_again()
            self._runner.preparer.look_again()

    async def _compare(self) -> None:
        """Compile when the files differ from the snapshot, unless exactly these were found wrong already."""
        if await asyncio.to_thread(self._damage.found_anew):
            try:
                await self.reload()
            except HeraldError as error:
                self._damage.forget()
                journal.error(f"the snapshot is damaged and could not be compiled: {error.message}")
        while True:
            found = await asyncio.to_thread(signature_of, names.config_folder())
            if found == self._snapshot.get().signature:
                self.errors = []  # somebody else may have had it compiled
                return
            if found == self._tried:
                return
            try:
                await self.reload()
            except HeraldError as error:
                journal.error(f"the configuration could not be compiled: {error.message}")
                return
            self._tried = found

    async def reload(self) -> Compiled:
        """Compile and tell what is wrong. Raises Unavailable when herald-config does not answer."""
        compiled = await self._config.Reload()
        self.errors = [line_of(problem) for problem in compiled["problems"]]
        await self._tell(compiled)
        self._runner.wake()
        return compiled

    async def _tell(self, compiled: Compiled) -> None:
        """Say once what is wrong or worth knowing, in the system channel and the journal."""
        lines = [*self.errors, *compiled["notices"]]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] if lines else ""
        if digest == self._told:
            return
        self._told = digest
        for line in lines:
            (journal.error if line in self.errors else journal.notice)(line)
        if not self.errors:
            return
        text = "The configuration is broken, the last good one stays in force:\n" + "\n".join(self.errors[:20])
        files = await asyncio.to_thread(signature_of, names.config_folder())  # once for these, over restarts too
        post = posts.NewPost(key=f"configuration-{files[:16]}-{digest}", project="", kind="notice", text=text)
        await self._database.write(lambda connection: posts.add(connection, post))
        self._runner.committed()


def _folders(folder: str) -> dict[str, int]:
    """What is watched, with the inodes. Not the credentials: closed to this user, they would end the watching."""
    paths = (folder, os.path.join(folder, PROJECTS_FOLDER))
    return {path: os.stat(path).st_ino for path in paths if os.path.isdir(path)}


def line_of(problem: Problem) -> str:
    """One problem as one line: file, line, field, what is wrong."""
    place = f"{problem['file']}:{problem['line']}" if problem["line"] else problem["file"]
    field = f" {problem['field']}:" if problem["field"] else ""
    return f"{place}:{field} {problem['message']}"
