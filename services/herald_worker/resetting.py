"""What lies in a workspace, and how it is cleared: nothing that is not pushed is lost for 30 days.

A reset keeps the commits first, then has the agent's unit clear the workspace, then forgets what was known of it, so
that it is prepared anew. Killed anywhere it may be made again.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from typing import NamedTuple, cast

from asyncvarlink import FileDescriptor

from herald import clock, events, journal, names
from herald.bus import client
from herald.database import Database
from herald.durable import with_no_trace
from herald.errors import Busy, Conflict, Failed, Invalid
from herald.interfaces.agent import Agent
from herald.interfaces.worker import Author, KeptBranch, Stashed, Surveyed, UnpushedBranch, WorkspaceReset
from herald.snapshot import Project
from herald_worker import kept, proposals, unkept, workspaces
from herald_worker.kept import Unpushed
from herald_worker.mirror import Mirror
from herald_worker.preparing import Preparer

_DEADLINE = 950.0
"""Seconds for the agent's unit, which walks through everything in the workspace."""

_LOOK_EVERY = 86400.0


class _Held(NamedTuple):
    """Branches of a workspace that are not pushed. `pack`: a file with their objects, made for who has `have`."""

    branches: list[Unpushed]
    pack: str
    have: list[str]
    submodules: list[str]
    """what is in submodules alone, in sentences"""
    large_files: bool
    """whether the workspace has any"""


class Resetter:
    """Surveys and resets workspaces."""

    def __init__(self, database: Database, preparer: Preparer) -> None:
        self._database = database
        self._preparer = preparer
        self._agent = client.peer(Agent, _DEADLINE)

    async def survey(self, project: Project) -> Surveyed:
        """How much there is, and what nobody else has. Raises Busy, Unavailable."""
        made, problem = None, ""
        branches: list[UnpushedBranch] = []
        lost: list[str] = []
        async with self._preparer.held(project.name):
            await self._demand_idle(project)
            try:
                async with self._held(project) as held:
                    branches = [await self._shown(project, each) for each in held.branches]
                lost = held.submodules
                if held.large_files:
                    lost = lost + await unkept.large_files(project, [(each.name, each.head) for each in held.branches])
                made = await self._agent.Survey(project=project.name, workspace=project.name)
            except (Conflict, Failed, Invalid) as error:
                problem = error.message
        return Surveyed(
            project=project.name,
            folder=project.path if project.workspace == "path" else "",
            made=made is None or made["made"],
            bytes=made["bytes"] if made else 0,
            files=made["files"] if made else 0,
            untracked=made["untracked"] if made else 0,
            uncommitted=made["uncommitted"] if made else 0,
            branches=branches,
            problem=problem,
            unkept=lost,
        )

    async def reset(self, key: str, project: Project, author: Author) -> WorkspaceReset:
        """Keep what is unpushed, then clear the workspace. The same key again: the answer of before. Raises
        HeraldError."""
        name = project.name
        try:
            async with self._preparer.held(name):
                done = await self._database.read(lambda connection: _answer_of(connection, key))
                if done is not None:
                    return done
                await self._database.write(lambda connection: _take(connection, name))
                answer = await self._reset(project)
                await self._database.write(lambda connection: _record(connection, key, author, answer))
        finally:
            self._preparer.look_again()
        journal.notice(f"the workspace {name} was reset by {author['id']}", project=name)
        with contextlib.suppress(Conflict, Failed):
            await kept.drop_old(Mirror(name))
        return answer

    async def stash(self, project: Project) -> Stashed:
        """Put aside what is uncommitted in a person's folder. Raises HeraldError."""
        async with self._preparer.held(project.name):
            await self._demand_idle(project)
            stashed = await self._agent.Stash(project=project.name, workspace=project.name)
        return Stashed(stashed=stashed["stashed"])

    async def tidy(self) -> None:
        """Drop for ever what was kept long enough."""
        while True:
            await kept.drop_all_old()
            await asyncio.sleep(_LOOK_EVERY)

    async def _reset(self, project: Project) -> WorkspaceReset:
        answer = WorkspaceReset(project=project.name, kept=[], set_aside="", notes=[])
        keep = False
        try:
            async with self._held(project) as held:
                for each in await kept.keep(
                    Mirror(project.name), held.pack, held.branches, held.have, project.fsck_accept
                ):
                    answer["kept"].append(
                        KeptBranch(branch=each.branch, head=each.head, ref=each.ref, file=each.bundle)
                    )
                    if each.bundle:
                        answer["notes"].append(f"{each.branch} is not in the mirror but in a file: {each.reason}")
            lost = held.submodules + (await self._large_files(project, answer["kept"]) if held.large_files else [])
            answer["notes"] += lost
            keep = bool(lost)
        except (Conflict, Failed, Invalid) as error:
            keep = True
            answer["notes"].append(f"its branches could not be read: {error.message}")
        done = await self._agent.Reset(project=project.name, workspace=project.name, keep=keep)
        answer["set_aside"] = done["set_aside"]
        return answer

    async def _large_files(self, project: Project, branches: list[KeptBranch]) -> list[str]:
        said = await unkept.large_files(project, [(each["branch"], each["head"]) for each in branches if each["ref"]])
        return said + [
            f"{each['branch']} may name large files that are in the workspace." for each in branches if each["file"]
        ]

    @contextlib.asynccontextmanager
    async def _held(self, project: Project) -> AsyncIterator[_Held]:
        """What the workspace has that is not pushed; the pack is gone afterwards. Raises HeraldError."""
        mirror = Mirror(project.name)
        folder = os.path.join(names.state_folder(names.WORKER), "resetting")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        pack = os.path.join(folder, f"{project.name}.pack")
        try:
            have = await kept.have_of(mirror)
            fd = os.open(pack, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                prepared = await self._agent.Prepare(
                    project=project.name,
                    workspace=project.name,
                    have=have,
                    pack=FileDescriptor(fd),
                    every=project.workspace != "path",  # a person's branches stay, and are nobody else's concern
                )
            finally:
                os.close(fd)
            pushed = await self._database.read(lambda connection: _pushed(connection, project.name))
            found = await kept.unpushed(mirror, pack, prepared["branches"], pushed)
            inside = await unkept.in_submodules(project, prepared["submodules"])
            yield _Held(found, pack, have, inside, prepared["large_files"])
        finally:
            with_no_trace(pack)

    async def _shown(self, project: Project, branch: Unpushed) -> UnpushedBranch:
        card = await self._database.read(
            lambda connection: proposals.open_card(connection, project.name, branch.name, branch.head)
        )
        return UnpushedBranch(branch=branch.name, head=branch.head, commits=branch.commits, proposal=card)

    async def _demand_idle(self, project: Project) -> None:
        if await self._database.read(lambda connection: workspaces.is_in_use(connection, project.name)):
            raise _busy(project.name)


def _busy(name: str) -> Busy:
    return Busy(f"a task is running in {name}; wait for it or cancel it with `!cancel --running`, then try again")


def _take(connection: sqlite3.Connection, name: str) -> None:
    """A run that begins from here on finds the workspace unprepared, and waits. Raises Busy."""
    if workspaces.is_in_use(connection, name):
        raise _busy(name)
    workspaces.forget(connection, name)


def _pushed(connection: sqlite3.Connection, project: str) -> dict[str, str]:
    rows = connection.execute("SELECT branch, head FROM pushed WHERE project = ? ORDER BY at", (project,))
    return {row["branch"]: row["head"] for row in rows}


def _answer_of(connection: sqlite3.Connection, key: str) -> WorkspaceReset | None:
    row = connection.execute("SELECT answer FROM resets WHERE key = ?", (key,)).fetchone()
    return None if row is None else cast(WorkspaceReset, json.loads(row["answer"]))


def _record(connection: sqlite3.Connection, key: str, author: Author, answer: WorkspaceReset) -> None:
    connection.execute(
        "INSERT INTO resets (key, project, answer, at) VALUES (?, ?, ?, ?)",
        (key, answer["project"], json.dumps(answer), clock.now()),
    )
    refs = [each["ref"] or each["file"] for each in answer["kept"]]
    events.append(connection, "workspace.reset", project=answer["project"], by=author["id"], kept=refs)
