"""Workspaces are made before somebody waits for them: as soon as a project is known, and before a run that finds none.

Fetched, imported into the mirror, handed to the agent's unit as a pack of what it lacks. Every step can be made again.
"""

import asyncio
import contextlib
import os

from asyncvarlink import FileDescriptor

from herald import journal, names
from herald.bus import client
from herald.database import Database
from herald.durable import with_no_trace
from herald.errors import Conflict, HeraldError, Unavailable
from herald.interfaces.agent import Agent
from herald.interfaces.git import Fetched
from herald.snapshot import Current, Project
from herald_worker import workspaces
from herald_worker.ancestry import ancestors
from herald_worker.fetching import Fetcher
from herald_worker.mirror import Mirror

_DEADLINE = 1100.0
"""Seconds for the agent's unit, which takes and checks out the whole repository."""

_FIRST, _LONGEST = 5.0, 600.0
"""Seconds between two tries to prepare in the background."""


class Preparer:
    """Brings workspaces up to the remote's default branch, each one by one."""

    def __init__(self, database: Database, snapshot: Current, fetcher: Fetcher) -> None:
        self._database = database
        self._snapshot = snapshot
        self._fetcher = fetcher
        self._agent = client.peer(Agent, _DEADLINE)
        self._turns: dict[str, asyncio.Lock] = {}
        self._look = asyncio.Event()

    def look_again(self) -> None:
        """The configuration has changed."""
        self._look.set()

    async def watch(self) -> None:
        """Prepare what is not there, for ever; what fails is tried again, and told by its first task."""
        pause: float | None = 0.0
        failures = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()
                    failures = 0
            self._look.clear()
            projects = [each for each in self._snapshot.get().projects.values() if each.enabled and each.remote]
            done = [await self._tried(project) for project in projects]
            failures = 0 if all(done) else failures + 1
            pause = None if all(done) else min(_FIRST * 2 ** (failures - 1), _LONGEST)

    async def _tried(self, project: Project) -> bool:
        if await self._known(project.name):
            return True
        try:
            await self.prepare(project, project.name)
        except HeraldError as error:
            journal.info(f"the workspace cannot be prepared yet: {error.message}", project=project.name)
            return isinstance(error, Conflict)
        return True

    async def prepare(self, project: Project, name: str, fetched: Fetched | None = None) -> None:
        """Bring a workspace up to the remote's default branch, unless it has been. Raises HeraldError."""
        async with self._turns.setdefault(name, asyncio.Lock()):
            if await self._known(name):
                return
            folder = os.path.join(names.state_folder(names.WORKER), "preparing")
            os.makedirs(folder, mode=0o700, exist_ok=True)
            pack = os.path.join(folder, f"{name}.pack")
            try:
                found = fetched or await self._fetcher.fetch_default(project, pack)
                await self._bring_up(project, name, found, pack)
            finally:
                with_no_trace(pack)
            await self._database.write(
                lambda connection: workspaces.note(connection, name, project.name, found["head"])
            )

    async def _bring_up(self, project: Project, name: str, fetched: Fetched, pack: str) -> None:
        head = fetched["head"]
        mirror = Mirror(project.name)
        have = await ancestors(mirror, head)
        fd = os.open(pack, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(2):
                updated = await self._agent.Update(
                    project=project.name,
                    workspace=name,
                    base=head,
                    default_branch=fetched["branch"],
                    default_head=head,
                    have=have,
                    pack=FileDescriptor(fd),
                )
                if updated["complete"]:
                    return
                held = [each for each in have if each in updated["held"]]
                await mirror.export(head, held[0] if held else "", pack)
        finally:
            os.close(fd)
        raise Unavailable(f"the workspace {name} did not take the commit {head[:12]}")

    async def _known(self, name: str) -> bool:
        return bool(await self._database.read(lambda connection: workspaces.known(connection, name)))
