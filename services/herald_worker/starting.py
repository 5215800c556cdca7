"""The start of a run: fetch, decide branch and base, hand everything to the agent's unit."""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator
from typing import NamedTuple

from asyncvarlink import FileDescriptor

from herald import journal
from herald.bus import client
from herald.database import Database
from herald.errors import Failed
from herald.interfaces.agent import Agent, Begun
from herald.interfaces.git import Fetched
from herald.snapshot import Current, Project
from herald_worker import ancestry, branches, outlook, prompt, proposals, tasks, workspaces
from herald_worker.attachments import path_of
from herald_worker.fetching import Fetcher
from herald_worker.largefiles import LargeFiles, absence
from herald_worker.mirror import Mirror
from herald_worker.preparing import Preparer
from herald_worker.runfolder import RunFolder
from herald_worker.submodules import Submodules

_START_DEADLINE = 90.0

_PASSED = {
    "prompt": os.O_RDONLY,
    "base": os.O_RDONLY,
    "control": os.O_RDONLY,
    "attachments": os.O_RDONLY,
    "lock": os.O_RDWR,
    "result": os.O_RDWR | os.O_APPEND,
    "log": os.O_RDWR | os.O_APPEND,
    "pack": os.O_RDWR,
}
"""Files of a run that the agent's unit gets, and how far it may use them."""


class Going(NamedTuple):
    """A run under way."""

    run: RunFolder
    task: tasks.Due
    project: Project


class Starter:
    """Brings a run from its files to the moment where the agent has its locks."""

    def __init__(self, database: Database, snapshot: Current, fetcher: Fetcher, preparer: Preparer) -> None:
        self._database = database
        self._snapshot = snapshot
        self._fetcher = fetcher
        self._preparer = preparer
        self._submodules = Submodules()
        self._agent = client.peer(Agent, _START_DEADLINE)
        self._large_files = LargeFiles()

    async def start(self, going: Going) -> None:
        """Return when the agent has its locks and works. Raises HeraldError; Lost: it may or may not have begun."""
        known = await self._known(going)
        if not known:
            await asyncio.to_thread(going.run.tell_progress, "preparing the workspace, which takes long the first time")
            await self._preparer.prepare(going.project, going.task.workspace)
        needed = (self._agent,) if going.task.base else (self._fetcher.git, self._agent)
        async with client.connected_ahead(*needed):
            await self._start(going)

    async def _known(self, going: Going) -> str:
        return await self._database.read(
            lambda connection: workspaces.known(connection, going.task.workspace, going.project)
        )

    async def _start(self, going: Going) -> None:
        run, task, project = going
        branch, base = task.branch, task.base
        fetched: Fetched | None = None
        if not base:
            branch, base, fetched = await self._branch_and_base(project, task, run)
        journal.debug("base known", run=run.run)
        await self._submodules.bring(project, task.workspace, base, run.file("fetched"))
        session = task.session or str(uuid.uuid4())
        had = await self._known(going)
        if had != base:
            await Mirror(project.name).export(base, had, run.file("base"))
        if absent := await self._large_files.bring(project, task.workspace, base):
            await outlook.post_once(self._database, project, absence(project, absent))
        words = prompt.compose(project, branch, task.author, task.history, task.text)
        await asyncio.gather(
            asyncio.to_thread(_write_prompt, run, words),
            self._database.write(lambda connection: tasks.place(connection, task.id, branch, base, session)),
        )
        journal.debug("handed over", run=run.run)
        with contextlib.ExitStack() as stack:
            fds: dict[str, FileDescriptor] = {}
            for name, flags in _PASSED.items():
                fd = _open_attachments(task) if name == "attachments" and task.attachments else run.open(name, flags)
                stack.callback(os.close, fd)
                fds["base_pack" if name == "base" else name] = FileDescriptor(fd)
            stream = self._agent.Run(
                run=run.run,
                project=project.name,
                workspace=task.workspace,
                branch=branch,
                base=base,
                session=session,
                resume=bool(task.session),
                deadline=self._snapshot.get().task_limit,
                title=prompt.message_of(task.text),
                bootstrap=task.bootstrap,
                default_branch=fetched["branch"] if fetched else "",
                default_head=fetched["head"] if fetched else "",
                **fds,
            )
            await _first_answer(stream)

    async def _branch_and_base(self, project: Project, task: tasks.Due, run: RunFolder) -> tuple[str, str, Fetched]:
        """The open card's branch is continued; else a new one begins at the remote's default branch, fetched now."""
        fetched = await self._fetcher.fetch_default(project, run.file("fetched"))
        await outlook.tell(self._database, project, fetched)
        card = await self._database.read(lambda connection: proposals.open_of(connection, task.workspace))
        if card is not None:
            branch, head = str(card["branch"]), str(card["head"])
            if not await Mirror(project.name).has(head):
                raise Failed(
                    f"Herald's mirror lost the commits of the open card {card['id']}, {branch}: `!push` takes them out"
                    " of the workspace again, then send the task again; or vote against the card (`-1`)"
                )
            if not await ancestry.meet(Mirror(project.name), head, fetched["head"]):
                raise Failed(
                    f"the remote's branch {fetched['branch']} was rewritten since and has no commit in common with"
                    f" {branch}, which the open card proposes: vote against it (`-1`), then send the task again"
                )
            return branches.below(project.branch_prefix, branch), head, fetched
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        return f"{project.branch_prefix}-{stamp}", fetched["head"], fetched


async def _first_answer(stream: AsyncIterator[Begun]) -> None:
    try:
        async with asyncio.timeout(_START_DEADLINE):
            await anext(stream)
    except (TimeoutError, StopAsyncIteration) as error:
        raise client.Lost("the agent's unit did not say that it began") from error
    finally:
        await stream.aclose()  # type: ignore[attr-defined]


def _open_attachments(task: tasks.Due) -> int:
    try:
        return os.open(path_of(task.attachments), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Failed("its attachments were removed by hand; send the message again with them") from None


def _write_prompt(run: RunFolder, data: bytes) -> None:
    """Its content is not fsynced: after a power cut nobody reads it, the task gets another run."""
    with open(run.file("prompt"), "wb") as file:
        file.write(data)
    run.sync()
