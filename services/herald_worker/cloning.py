"""Clone: what herald-git fetched from the remote becomes the clone in which the project's agent will work.

Every step can be made again: a fetch of what is here already brings nothing, a clone that is there stays as it is.
"""

import asyncio
import os

from asyncvarlink import FileDescriptor

from herald import journal, names
from herald.bus import client
from herald.database import Database
from herald.durable import with_no_trace
from herald.errors import Denied
from herald.interfaces.agent import Agent
from herald.interfaces.worker import Author, Cloned
from herald.people import may, role_of
from herald.snapshot import Project, Snapshot
from herald_worker import workspaces
from herald_worker.fetching import Fetcher
from herald_worker.mirror import Mirror

DEADLINE = 1100.0
"""Seconds for the agent's unit, which checks out the whole repository."""

_EVERY_PROJECT = "*"
"""No project has this name: a right in it is one that is not limited to some projects."""


def check_right(snapshot: Snapshot, author: Author) -> None:
    """Raises Denied unless the author is an operator of all projects, of those that are still to come too."""
    if author["id"].startswith("herald:"):
        return  # a service within its row of the table
    if not may(role_of(snapshot, author["id"], _EVERY_PROJECT), "operator"):
        raise Denied(
            f"{author['name']} may not add projects: that needs the role operator, not limited to some projects"
            " (`operators` in herald.yaml)"
        )


class Cloner:
    """Clones projects, each one by one."""

    def __init__(self, database: Database, fetcher: Fetcher) -> None:
        self._database = database
        self._fetcher = fetcher
        self._agent = client.peer(Agent, DEADLINE)
        self._turns: dict[str, asyncio.Lock] = {}

    async def clone(self, project: Project) -> Cloned:
        """Fetch the remote and have its default branch checked out at the project's path. Raises HeraldError."""
        async with self._turns.setdefault(project.name, asyncio.Lock()):
            return await self._clone(project)

    async def _clone(self, project: Project) -> Cloned:
        folder = os.path.join(names.state_folder(names.WORKER), "cloning")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        pack = os.path.join(folder, f"{project.name}.pack")
        try:
            fetched = await self._fetcher.fetch_default(project, pack)
            branch, head = fetched["branch"], fetched["head"]
            await Mirror(project.name).export(head, "", pack)
            fd = os.open(pack, os.O_RDONLY | os.O_CLOEXEC)
            try:
                cloned = await self._agent.Clone(
                    project=project.name, branch=branch, head=head, pack=FileDescriptor(fd)
                )
            finally:
                os.close(fd)
        finally:
            with_no_trace(pack)
        if cloned["created"]:
            if project.workspace == "path":
                await self._database.write(lambda connection: workspaces.note(connection, project.name, project, head))
            journal.notice(f"cloned {branch} at {head[:12]} to {project.path}", project=project.name)
        return Cloned(path=project.path, branch=branch, head=head, created=cloned["created"])
