"""Watching the configuration: level-triggered, so that no edit is lost.

The signature of the files is compared with the one in the snapshot at start, on every change that inotify tells,
and every 30 seconds; where they differ herald-config compiles. What it finds wrong is told once.
"""

import asyncio
import hashlib
import os

import watchfiles

from herald import journal, names
from herald.bus import client
from herald.database import Database
from herald.errors import HeraldError
from herald.interfaces.config import Compiled, Config, Problem
from herald.signature import signature_of
from herald.snapshot import Current
from herald_worker import posts
from herald_worker.runner import Runner

_DEADLINE = 60.0
_LOOK_EVERY = 30.0
_SETTLE_MS = 50


class Watcher:
    """Keeps the snapshot true to the files."""

    def __init__(self, database: Database, snapshot: Current, runner: Runner) -> None:
        self._database = database
        self._snapshot = snapshot
        self._runner = runner
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
            await self._compare()
            async for _ in watchfiles.awatch(
                folder,
                watch_filter=None,
                debounce=_SETTLE_MS * 4,
                step=_SETTLE_MS,
                rust_timeout=int(_LOOK_EVERY * 1000),
                yield_on_timeout=True,
                recursive=True,
            ):
                await self._compare()
                if not os.path.isdir(folder):
                    break

    async def _compare(self) -> None:
        """Compile when the files differ from the snapshot, unless exactly these were found wrong already."""
        while True:
            found = await asyncio.to_thread(signature_of, names.config_folder())
            if found in (self._snapshot.get().signature, self._tried):
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
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
        if not lines or digest == self._told:
            return
        self._told = digest
        for line in lines:
            (journal.error if line in self.errors else journal.notice)(line)
        if not self.errors:
            return
        text = "The configuration is broken, the last good one stays in force:\n" + "\n".join(self.errors[:20])
        generation = compiled["generation"]
        post = posts.NewPost(key=f"configuration-{generation}-{digest}", project="", kind="notice", text=text)
        await self._database.write(lambda connection: posts.add(connection, post))
        self._runner.committed()


def line_of(problem: Problem) -> str:
    """One problem as one line: file, line, field, what is wrong."""
    place = f"{problem['file']}:{problem['line']}" if problem["line"] else problem["file"]
    field = f" {problem['field']}:" if problem["field"] else ""
    return f"{place}:{field} {problem['message']}"
