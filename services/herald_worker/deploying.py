"""Carrying out deployments: export the commit, hand it to the deploy unit, say what came of it.

Each is started at most once: its files and its row are on the disk before the deploy unit hears of it, and its lock
says afterwards what became of it, whoever was killed meanwhile. What may have begun is never repeated.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from functools import partial

from asyncvarlink import FileDescriptor

from herald import clock, durable, journal, names
from herald.bus import client
from herald.database import Database
from herald.errors import Busy, Conflict, Failed, HeraldError, Unavailable
from herald.interfaces.deploy import Begun, Deploy
from herald.interfaces.worker import DeploymentState
from herald.snapshot import Current, Project
from herald_worker import deployments
from herald_worker.deploymentfolder import DeploymentFolder, Result
from herald_worker.deployments import Due
from herald_worker.exporting import export_tree
from herald_worker.mirror import Mirror
from herald_worker.runner import Runner

_START_DEADLINE = 60.0
_AT_ONCE = 4
"""Of different projects; the socket of the deploy unit has more places."""
_TRIES = 5
_FIRST_PAUSE = 0.5
"""Seconds before the next try, doubled each time."""
_BUSY_PAUSE = 2.0
_LAST_GASP = 1.0
"""Seconds before a death without a result is told: what kills everything kills this process by then."""

_PASSED = {"tree": os.O_RDONLY, "lock": os.O_RDWR, "result": os.O_RDWR, "log": os.O_RDWR}
"""Files that the deploy unit gets, and how far it may use them."""

_AGAIN = "`!deploy` starts it again"


class Deployer:
    """Starts what is due, follows what goes on, tells what has ended."""

    def __init__(self, database: Database, snapshot: Current, runner: Runner) -> None:
        self._database = database
        self._snapshot = snapshot
        self._runner = runner
        self._unit = client.peer(Deploy, _START_DEADLINE)
        self._held: set[str] = set()

    async def work(self) -> None:
        """Take up what goes on, then carry out what is due, for ever."""
        async with asyncio.TaskGroup() as acts:
            for due in await self._database.read(deployments.going):
                self._held.add(due.project)
                acts.create_task(self._adopt(due), name=f"deployment {due.folder}")
            await self._remove_leftovers()
            while True:
                self._runner.deploying.clear()
                while len(self._held) < _AT_ONCE and (new := await self._next()):
                    self._held.add(new.project)
                    acts.create_task(self._carry_out(new), name=f"deployment {new.folder}")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(await self._until_next()):
                        await self._runner.deploying.wait()

    async def _next(self) -> Due | None:
        return await self._database.read(partial(deployments.next_due, held=frozenset(self._held)))

    async def _until_next(self) -> float | None:
        due = await self._database.read(deployments.next_delay)
        return None if due is None else max(0.05, clock.seconds(due) - time.time())

    async def _carry_out(self, due: Due) -> None:
        folder = DeploymentFolder(due.folder)
        try:
            begun = await self._handed_over(due, folder)
            if begun is not None:
                await self._follow(begun, folder)
        finally:
            self._release(due)

    async def _handed_over(self, due: Due, folder: DeploymentFolder) -> Due | None:
        """Bring it to the deploy unit; None when it ended before it began, or goes back to wait."""
        try:
            due = await self._prepared(due, folder)
            await self._begin(due)
            return due if await self._started(due, folder) else None
        except HeraldError as error:
            await self._end(due, "failed", error.message, "")
        except OSError as error:
            await self._end(due, "failed", f"herald-worker's disk: {error.strerror}", "")
        return None

    async def _adopt(self, due: Due) -> None:
        """One that was handed over when the worker ended."""
        folder = DeploymentFolder(due.folder)
        try:
            verdict, _ = await asyncio.to_thread(folder.examine)
            journal.notice(f"found a deployment after a restart: {verdict}", project=due.project, run=due.folder)
            await self._follow(due, folder)
        finally:
            self._release(due)

    def _release(self, due: Due) -> None:
        self._held.discard(due.project)
        self._runner.deploying.set()

    async def _prepared(self, due: Due, folder: DeploymentFolder) -> Due:
        """Decide on the commit, and export it. Nothing of that can be seen from outside. Raises HeraldError."""
        project = self._project(due.project)
        await asyncio.to_thread(folder.prepare)
        mirror = Mirror(project.name)
        head = due.head or await self._runner.fetcher.fetch(project, folder.file("tree"))
        if not await mirror.has(head):
            raise Failed(
                f"commit {head[:12]} is not in the worker's mirror any more, which was damaged and made anew; what is"
                " pushed next can be deployed"
            )
        await export_tree(mirror, head, folder.file("tree"))
        return due._replace(head=head)

    def _project(self, name: str) -> Project:
        project = self._snapshot.get().projects.get(name)
        if project is None or not project.enabled:
            raise Conflict(f"the project {name} is {'not configured any more' if project is None else 'disabled'}")
        return project

    async def _begin(self, due: Due) -> None:
        command = self._snapshot.get().deploy.command
        text = f"Deploying {due.project} at {due.head[:12]}: `{command} up --build -d`"
        await self._database.write(lambda connection: deployments.begin(connection, due, due.head, text))
        self._runner.committed()

    async def _started(self, due: Due, folder: DeploymentFolder) -> bool:
        """Hand it to the deploy unit; false when it goes back to wait. Raises HeraldError: it was refused."""
        with contextlib.ExitStack() as stack:
            fds: dict[str, FileDescriptor] = {}
            for name, flags in _PASSED.items():
                fd = os.open(folder.file(name), flags | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                fds[name] = FileDescriptor(fd)
            try:
                await _first_answer(self._unit.Start(deployment=due.folder, project=due.project, head=due.head, **fds))
            except Busy as error:
                await self._back(due, folder, error.message, _BUSY_PAUSE, counts=False)
                return False
            except Unavailable as error:  # it may have begun all the same
                problem = error
            else:
                return True
        verdict, _ = await asyncio.to_thread(folder.examine)
        if verdict != "unbegun":
            return True
        if due.tries + 1 >= _TRIES:
            raise Failed(f"{problem.message}; `journalctl -u 'herald-deploy@*'` says more")
        await self._back(due, folder, problem.message, _FIRST_PAUSE * 2**due.tries, counts=True)
        return False

    async def _back(self, due: Due, folder: DeploymentFolder, reason: str, pause: float, *, counts: bool) -> None:
        journal.info(f"deployment waits: {reason}", project=due.project, run=due.folder)
        until = clock.text(time.time() + pause)
        await self._database.write(lambda connection: deployments.back(connection, due, until, counts=counts))
        await asyncio.to_thread(folder.remove)
        self._runner.committed()

    async def _follow(self, due: Due, folder: DeploymentFolder) -> None:
        """Wait until its last process is gone, then say what came of it."""
        await folder.until_gone()
        verdict, boot = await asyncio.to_thread(folder.examine)
        if verdict == "unbegun":
            await self._back(due, folder, "it never began", 0.0, counts=True)
            return
        result, output = await asyncio.to_thread(folder.result), await asyncio.to_thread(folder.output)
        if result is None:
            await asyncio.sleep(_LAST_GASP)
            stopped = boot and boot != names.boot_id()
            reason = "Herald or the machine was stopped" if stopped else "the deploy unit ended without a result"
            await self._end(due, "unknown", reason, output)
        elif result.outcome == "stopped":
            await self._end(due, "unknown", result.message, output)
        else:
            await self._end_with(due, result, output)

    async def _end_with(self, due: Due, result: Result, output: str) -> None:
        states: dict[str, DeploymentState] = {"ok": "deployed", "nothing": "nothing"}
        state = states.get(result.outcome, "failed")
        await self._end(due, state, result.message, output, result.seconds)

    async def _end(self, due: Due, state: DeploymentState, reason: str, output: str, seconds: float = 0.0) -> None:
        """Everything that follows from the end, in one transaction; the output is on the disk before."""
        text = wording(due, state, reason, seconds)
        file = ""
        if output:
            try:
                file = await asyncio.to_thread(_output_file, due.folder, output)
            except OSError as error:
                text += f"\nIts output could not be kept: {error.strerror}."

        def write(connection: sqlite3.Connection) -> None:
            deployments.end(connection, due, state, reason, text, file)

        await self._database.write(write)
        journal.notice(f"deployment {state}: {reason}", project=due.project, run=due.folder, head=due.head)
        await asyncio.to_thread(DeploymentFolder(due.folder).remove)
        self._runner.committed()

    async def _remove_leftovers(self) -> None:
        """Folders of deployments that had just ended, or not yet begun, when the worker was killed."""
        live = {due.folder for due in await self._database.read(deployments.going)}
        parent = os.path.join(names.state_folder(names.WORKER), "deployments")
        for name in await asyncio.to_thread(lambda: os.listdir(parent) if os.path.isdir(parent) else []):
            if name not in live:
                await asyncio.to_thread(DeploymentFolder(name).remove)


def wording(due: Due, state: DeploymentState, reason: str, seconds: float) -> str:
    """What is said about the end of a deployment, with the next step."""
    what = f"{due.project} at {due.head[:12]}" if due.head else due.project
    reason = reason.rstrip(".")
    if state == "deployed":
        return f"Deployed — {what}, in {seconds:.0f} s." + (f"\n{reason}." if reason else "")
    if state == "nothing":
        return f"Nothing to deploy — {what}: {reason}; `deploy.compose_path` of the project names another file."
    if state == "unknown":
        return (
            f"It is not known how the deployment of {what} ended: {reason}. `docker compose -p {due.project} ps` shows"
            f" what runs; {_AGAIN}."
        )
    return f"Not deployed — {what}: {reason}. When that is mended, {_AGAIN}."


async def _first_answer(stream: AsyncIterator[Begun]) -> None:
    try:
        async with asyncio.timeout(_START_DEADLINE):
            await anext(stream)
    except (TimeoutError, StopAsyncIteration) as error:
        raise client.Lost("the deploy unit did not say that it began") from error
    finally:
        await stream.aclose()  # type: ignore[attr-defined]


def _output_file(name: str, text: str) -> str:
    folder = os.path.join(names.state_folder(names.WORKER), "outputs")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, f"{name}.txt")
    durable.write_atomic(path, text.encode("utf-8", "replace"), 0o600)
    return path
