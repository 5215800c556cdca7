"""`!push`: branches of agents in the clone that nobody proposed, or not in a way that could be pushed.

A branch that Herald made below another prefix than that of now is proposed under a new name.
"""

import asyncio
import os
import sqlite3
import uuid

from asyncvarlink import FileDescriptor

from herald import names
from herald.bus import client
from herald.database import Database
from herald.durable import with_no_trace
from herald.errors import Conflict
from herald.interfaces.agent import Agent, Branch
from herald.interfaces.worker import Proposal
from herald.snapshot import Project
from herald_worker import branches, proposals
from herald_worker.card import word
from herald_worker.mirror import Mirror
from herald_worker.runfolder import died
from herald_worker.runner import Runner

_PREPARE_DEADLINE = 120.0
_MOST_PACK = 512 << 20


class Proposer:
    """Imports and proposes what lies in a project's clone."""

    def __init__(self, database: Database, runner: Runner) -> None:
        self._database = database
        self._runner = runner
        self._agent = client.peer(Agent, _PREPARE_DEADLINE)
        self._turns: dict[str, asyncio.Lock] = {}

    async def propose(self, project: Project) -> list[Proposal]:
        """Propose every branch of the agent whose head nobody was asked about. Raises HeraldError."""
        async with self._turns.setdefault(project.name, asyncio.Lock()):
            return await self._propose(project)

    async def _propose(self, project: Project) -> list[Proposal]:
        folder = os.path.join(names.state_folder(names.WORKER), "proposing")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        pack = os.path.join(folder, f"{project.name}.pack")
        try:
            base = await self._runner.fetcher.fetch(project, pack)
            mirror = Mirror(project.name)
            known = await mirror.known()
            before = await self._database.read(
                lambda connection: branches.of_before(connection, project.name, project.branch_prefix)
            )
            fd = os.open(pack, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                prepared = await self._agent.Prepare(
                    project=project.name, workspace=project.name, have=known, pack=FileDescriptor(fd), also=before
                )
            finally:
                os.close(fd)
            made = []
            for branch in prepared["branches"]:
                if branch["name"] not in before and not branches.is_below(project.branch_prefix, branch["name"]):
                    continue
                there = branch["head"] in known or await mirror.has(branch["head"])
                taken = None if there else pack
                proposal = await self._propose_one(project, mirror, branch, base, taken)
                made += [proposal] if proposal is not None else []
        finally:
            with_no_trace(pack)
        self._runner.committed()
        if not made and project.push_problem:
            raise Conflict(f"{project.name} cannot be pushed: {project.push_problem}")
        return made

    async def _propose_one(
        self, project: Project, mirror: Mirror, branch: Branch, base: str, pack: str | None
    ) -> Proposal | None:
        """Propose one branch; `pack` is None when the mirror has its head already: taken over before, or merged."""
        name, head = branches.below(project.branch_prefix, branch["name"]), branch["head"]
        former = branch["name"] if branch["name"] != name else ""

        def was_proposed(connection: sqlite3.Connection) -> bool:
            if former and proposals.settled(connection, project.name, former, head):
                return True
            return proposals.proposed(connection, project.name, name, head)

        if await self._database.read(was_proposed):
            card = await self._database.read(lambda connection: _run_of_card(connection, project, branch))
            if pack is not None and card:  # the mirror lost what an open card proposes
                await mirror.import_run(card, pack, head, base, _MOST_PACK, project.fsck_accept)
            return None
        run = f"found-{head[:12]}-{uuid.uuid4().hex[:6]}"
        if pack is not None:
            await mirror.import_run(run, pack, head, base, _MOST_PACK, project.fsck_accept)
        if await mirror.is_ancestor(head, base):
            return None
        end = died("", "")._replace(outcome="ok", head=head, base=base, branch=name)
        new = (await self._runner.submodules.completed(project, await word(mirror, project, run, None, end)))._replace(
            former=former
        )

        def write(connection: sqlite3.Connection) -> Proposal | None:
            if was_proposed(connection):
                return None
            proposals.create(connection, new)
            return proposals.shown(connection.execute("SELECT * FROM proposals WHERE run = ?", (run,)).fetchone())

        return await self._database.write(write)


def _run_of_card(connection: sqlite3.Connection, project: Project, branch: Branch) -> str:
    """The run of the open card of this very commit; empty if there is none."""
    row = connection.execute(
        "SELECT run FROM proposals WHERE project = ? AND head = ? AND state = 'open' AND ? IN (branch, former)",
        (project.name, branch["head"], branch["name"]),
    ).fetchone()
    return "" if row is None else str(row["run"])
