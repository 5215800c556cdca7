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
from herald.errors import Conflict, Failed, Unavailable
from herald.interfaces.agent import Agent, Begun
from herald.interfaces.git import Fetched, Git
from herald.snapshot import Current, Project
from herald_worker import outlook, prompt, proposals, tasks
from herald_worker.attachments import path_of
from herald_worker.mirror import Mirror
from herald_worker.runfolder import RunFolder

_START_DEADLINE = 90.0
_FETCH_DEADLINE = 1000.0
"""A first fetch clones the whole repository; herald-git itself ends one that takes longer."""

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

    def __init__(self, database: Database, snapshot: Current) -> None:
        self._database = database
        self._snapshot = snapshot
        self._agent = client.peer(Agent, _START_DEADLINE)
        self._git = client.peer(Git, _FETCH_DEADLINE)
        self._mirrors: dict[str, Mirror] = {}
        """Kept, and with them what this process knows of each."""

    async def start(self, going: Going) -> None:
        """Return when the agent has its locks and works. Raises HeraldError; Lost: it may or may not have begun."""
        needed = (self._agent,) if going.task.base else (self._git, self._agent)
        async with client.connected_ahead(*needed):
            await self._start(going)

    async def _start(self, going: Going) -> None:
        run, task, project = going
        branch, base = task.branch, task.base
        if not base:
            branch, base = await self._branch_and_base(project, run)
        journal.debug("base known", run=run.run)
        session = task.session or str(uuid.uuid4())
        had = await self._database.read(lambda connection: tasks.known_to_clone(connection, project.name))
        if had != base:
            await Mirror(project.name).export(base, had, run.file("base"))
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
                branch=branch,
                base=base,
                session=session,
                resume=bool(task.session),
                deadline=self._snapshot.get().task_limit,
                title=prompt.title_of(task.text),
                bootstrap=task.bootstrap,
                **fds,
            )
            await _first_answer(stream)

    async def _branch_and_base(self, project: Project, run: RunFolder) -> tuple[str, str]:
        """The open card's branch is continued; else a new one begins at the remote's default branch, fetched now."""
        fetched = await self.fetch_default(project, run.file("fetched"))
        await outlook.tell(self._database, project, fetched)
        head = fetched["head"]
        card = await self._database.read(lambda connection: proposals.open_of(connection, project.name))
        if card is not None:
            return str(card["branch"]), str(card["head"])
        return f"{project.branch_prefix}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}", head

    async def fetch(self, project: Project, pack: str) -> str:
        """Bring the mirror up to the remote's default branch; returns its head. Raises HeraldError."""
        return (await self.fetch_default(project, pack))["head"]

    async def fetch_default(self, project: Project, pack: str) -> Fetched:
        """The same; returns the default branch, too."""
        if not project.remote:
            raise Conflict(
                f"{project.name} has no remote: set `git.remote` in its file, or `git remote add origin URL` in"
                f" {project.path} and reload"
            )
        mirror = self._mirrors.setdefault(project.name, Mirror(project.name))
        for known in (await mirror.known(), []):
            fd = os.open(pack, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                fetched = await self._git.Fetch(project=project.name, have=known, pack=FileDescriptor(fd))
            finally:
                os.close(fd)
            try:
                await mirror.import_base(pack, fetched["head"])
            except Unavailable as error:
                if not known:
                    raise
                journal.warning(f"the mirror is built anew: {error.message}", project=project.name)
                continue
            break
        return fetched


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
