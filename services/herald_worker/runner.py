"""From the queue to a settled run, and back into the thread after a restart.

A run is a process tree of its own that outlives the worker. Started or adopted, it is followed in the same way: the
lock says when its last process is gone, its files say what it did.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
import uuid
from functools import partial

from herald import clock, events, journal, names
from herald.bus import client
from herald.database import Database
from herald.errors import Busy, Conflict, HeraldError, Unavailable
from herald.interfaces.worker import Task
from herald.snapshot import Current, Project
from herald_worker import posts, tasks
from herald_worker.attachments import Attachments
from herald_worker.card import propose
from herald_worker.damage import is_damaged
from herald_worker.fetching import Fetcher
from herald_worker.mirror import Mirror
from herald_worker.preparing import Preparer
from herald_worker.progress import Showing, ending
from herald_worker.runfolder import End, RunFolder, died
from herald_worker.settling import Settlement, back_to_queue, settle
from herald_worker.starting import Going, Starter
from herald_worker.steering import Steering
from herald_worker.submodule_cards import SubmoduleCards

_BUSY_PAUSE = 1.0
_LAST_GASP = 1.0
"""Seconds before a death without a result counts as a crash: what kills everything kills this process by then. The
first retry waits as long anyway."""


class Runner:
    """Starts what is due, follows what is going, settles what has ended."""

    def __init__(
        self,
        database: Database,
        log: events.EventLog,
        outbox: posts.Outbox,
        snapshot: Current,
        attachments: Attachments,
    ) -> None:
        self._database = database
        self._log = log
        self._outbox = outbox
        self._snapshot = snapshot
        self._attachments = attachments
        self._showing = Showing(database, log, outbox)
        self.steering = Steering(database)
        self.fetcher = Fetcher()
        self.preparer = Preparer(database, snapshot, self.fetcher)
        self._starter = Starter(database, snapshot, self.fetcher, self.preparer)
        self.submodules = SubmoduleCards()
        self._wake = asyncio.Event()
        self._going: dict[str, Going] = {}
        self.proposed = asyncio.Event()
        self.deploying = asyncio.Event()

    def wake(self) -> None:
        """Something is queued, or a place has become free."""
        self._wake.set()

    def queued(self) -> None:
        """A task was queued: tell followers and the dispatcher. Nothing else waits for that."""
        self._log.committed()
        self._wake.set()

    def committed(self) -> None:
        """Rows were committed: tell followers, the outbox, the dispatcher, and whoever carries out votes or deploys."""
        self._log.committed()
        self._outbox.committed()
        self._attachments.committed()
        self._wake.set()
        self.proposed.set()
        self.deploying.set()

    async def work(self) -> None:
        """Adopt what is going, then start what is due, for ever."""
        async with asyncio.TaskGroup() as followers:
            await self._adopt(followers)
            while True:
                self._wake.clear()
                while (free := self._has_place()) and (started := await self._start()):
                    followers.create_task(self._follow_new(started), name=f"run {started.run.run}")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(await self._until_next_delay() if free else None):
                        await self._wake.wait()

    def _has_place(self) -> bool:
        return len(self._going) < self._snapshot.get().max_active

    async def drain(self) -> None:
        """Return when nothing is queued or going."""
        while self._going or await self._database.read(tasks.count_queued) > 0:
            changed = self._log.newest()
            async for _ in self._log.follow(await changed):
                break

    async def _until_next_delay(self) -> float | None:
        due = await self._database.read(tasks.next_delay)
        return None if due is None else max(0.05, clock.seconds(due) - time.time())

    async def cancel_running(self, project: str | None, task: str | None, by: str) -> Task:
        """Ask a going run to end. Raises NotFound, Conflict."""
        shown, run = await self._database.write(lambda connection: tasks.mark_cancelled(connection, project, task, by))
        with contextlib.suppress(FileNotFoundError):  # it has ended in this very moment
            await asyncio.to_thread(RunFolder(run).cancel)
        return shown

    async def _start(self) -> Going | None:
        """Give the next due task a run: files first, then the row, then the start."""
        while task := await self._database.read(tasks.next_due):
            project = self._snapshot.get().projects.get(task.project)
            if project is None or not project.enabled:
                reason = "is not configured any more" if project is None else "is disabled"
                await self._refuse(
                    task, f"the project {task.project} {reason}; bring it back and send the message again"
                )
                continue
            run = RunFolder(f"{task.id}-{task.attempt + 1}-{uuid.uuid4().hex[:6]}")
            await asyncio.to_thread(run.create, b"")
            if not (started_at := await self._database.write(partial(tasks.begin, task=task, run=run.run))):
                await asyncio.to_thread(run.remove)
                continue
            self.committed()
            going = Going(run, task._replace(started_at=started_at), project)
            self._going[run.run] = going
            return going
        return None

    async def _refuse(self, task: tasks.Due, reason: str) -> None:
        def write(connection: sqlite3.Connection) -> None:
            tasks.end(connection, task.id, "failed", "configuration", reason)
            text = f"Task {task.id} failed: {reason}"
            key = f"refused-{uuid.uuid4().hex}"
            ends = ending("failed (configuration)", task.started_at, time.time(), tasks.spent(connection, task.id))
            post = posts.NewPost(key, task.project, "notice", text, answers=task.key, last=True)
            posts.add(connection, post._replace(task=str(task.id), ends=ends))

        await self._database.write(write)
        self.committed()

    async def _follow_new(self, going: Going) -> None:
        """Prepare, start and follow a run; whatever goes wrong before the agent has its locks ends here."""
        self._showing.begin(going)
        try:
            try:
                await self._starter.start(going)
                await self._running(going)
            except Busy as error:
                await self._back_to_queue(going, error.message, _BUSY_PAUSE)
                return
            except client.Lost as error:
                if not await self._lives_on(going, error.message):
                    return
            except HeraldError as error:
                if isinstance(error, Unavailable) and await asyncio.to_thread(is_damaged):
                    await self._back_to_queue(going, error.message, _BUSY_PAUSE)  # the watcher has it compiled anew
                else:
                    await self._failed_before_start(going, error)
                return
            await self._follow(going)
        finally:
            await self._gone(going)

    async def _gone(self, going: Going) -> None:
        self._going.pop(going.run.run, None)
        self.wake()
        await self._showing.end(going.run.run)

    async def _lives_on(self, going: Going, reason: str) -> bool:
        """After a start that was not answered: whether the run goes on or has left something to settle."""
        verdict, _ = await asyncio.to_thread(going.run.examine)
        if verdict == "unbegun":
            await self._back_to_queue(going, reason, _BUSY_PAUSE)
            return False
        return True

    async def _back_to_queue(self, going: Going, reason: str, pause: float) -> None:
        """The agent had no place: no attempt, no crash."""
        run, task, project = going
        await self._showing.end(run.run)
        journal.info(f"back to the queue: {reason}", project=project.name, task=str(task.id), run=run.run)
        until = clock.text(time.time() + pause)

        await self._database.write(lambda connection: back_to_queue(connection, run.run, task.id, reason, until))
        await asyncio.to_thread(run.remove)
        self.committed()

    async def _failed_before_start(self, going: Going, error: HeraldError) -> None:
        outcome = (
            "crash" if isinstance(error, Unavailable) else "workspace" if isinstance(error, Conflict) else "failed"
        )
        end = died("", error.message)._replace(outcome=outcome)
        await self._settle(going, end, time.time())

    async def _running(self, going: Going) -> None:
        await self._database.write(lambda connection: tasks.running(connection, going.run.run))
        self.committed()

    async def _follow(self, going: Going) -> None:
        """Wait until the last process is gone; then settle."""
        await going.run.until_gone()
        ended_at = time.time()
        verdict, boot = await asyncio.to_thread(going.run.examine)
        end = await asyncio.to_thread(going.run.end)
        if verdict == "unbegun":
            await self._back_to_queue(going, "the run never began", 0.0)
        elif end is not None:
            await self._settle(going, end, ended_at)
        else:
            await asyncio.sleep(_LAST_GASP)
            await self._settle(going, await asyncio.to_thread(_end_of_the_dead, going.run, boot), ended_at)

    async def _settle(self, going: Going, end: End, ended_at: float) -> None:
        """Import what was committed, then one transaction for everything that follows."""
        run, task, project = going
        await self._showing.end(run.run)
        proposal = None
        if end.outcome == "ok" and end.commits and end.head != end.base:
            try:
                proposal = await propose(Mirror(project.name), project, run, task, end)
                proposal = await self.submodules.completed(project, proposal)
            except HeraldError as error:
                end = end._replace(
                    outcome="failed",
                    message=f"its commits could not be taken over: {error.message}",
                    commits=end.commits,
                )
        folder = os.path.join(names.state_folder(names.WORKER), "outputs")
        output = await asyncio.to_thread(posts.output, folder, f"{run.run}.txt", end.text)
        taken = await asyncio.to_thread(run.taken)
        settlement = Settlement(run.run, task.id, project, end, proposal, output, ended_at, taken)
        await self._database.write(lambda connection: settle(connection, settlement))
        cost = f"{end.cost_usd:.4f}"
        journal.notice(f"run ended: {end.outcome}", project=project.name, task=str(task.id), run=run.run, cost_usd=cost)
        await asyncio.to_thread(run.remove)
        self.committed()

    async def _adopt(self, followers: asyncio.TaskGroup) -> None:
        """Every run that was starting or running when the worker ended."""

        def read(connection: sqlite3.Connection) -> list[tuple[str, tasks.Due]]:
            rows = connection.execute(
                "SELECT runs.id AS run, tasks.* FROM runs JOIN tasks ON tasks.id = runs.task"
                " WHERE runs.state <> 'ended'"
            ).fetchall()
            return [(row["run"], tasks.due_of(row)) for row in rows]

        for run, task in await self._database.read(read):
            project = self._snapshot.get().projects.get(task.project) or _project_gone(task.project)
            going = Going(RunFolder(run), task, project)
            self._going[run] = going
            followers.create_task(self._follow_adopted(going), name=f"run {run}")
        await self._remove_leftovers()

    async def _remove_leftovers(self) -> None:
        """Folders of runs that were settled just before a kill."""
        folder = os.path.join(names.state_folder(names.WORKER), "runs")
        for name in await asyncio.to_thread(lambda: os.listdir(folder) if os.path.isdir(folder) else []):
            if name not in self._going:
                await asyncio.to_thread(RunFolder(name).remove)

    async def _follow_adopted(self, going: Going) -> None:
        try:
            verdict, _ = await asyncio.to_thread(going.run.examine)
            journal.notice(
                f"found a run after a restart: {verdict}",
                project=going.project.name,
                task=str(going.task.id),
                run=going.run.run,
            )
            if verdict == "unbegun":
                await self._back_to_queue(going, "the worker ended before the run began", 0.0)
                return
            await self._running(going)
            self._showing.begin(going)
            await self.steering.hand_on(going.run.run)
            await self._follow(going)
        finally:
            await self._gone(going)


def _end_of_the_dead(run: RunFolder, boot: str) -> End:
    """A run without a result: a crash of its own, or killed together with everything else, which is no attempt."""
    if boot and boot != names.boot_id():
        return died(run.partial_text(), "Herald or the machine was stopped")._replace(outcome="stopped")
    return died(run.partial_text(), "the agent's process died without a result")


def _project_gone(name: str) -> Project:
    return Project(name, name, "", "", name, False, "path", True, True, f"agent/{name}", "")
