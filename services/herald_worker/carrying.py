"""Carrying out votes: push exactly the voted commit, or discard it; expire what nobody voted on.

Every step can be made again: a push of what the remote has already changes nothing there, a discard of what is gone
neither. So a kill between any two steps needs no more than doing what the proposal's state says.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Collection
from typing import NamedTuple

from herald import clock, journal
from herald.bus import client
from herald.database import Database
from herald.errors import Busy, HeraldError, Unavailable
from herald.interfaces.agent import Agent
from herald.interfaces.git import Git, PushResult
from herald.snapshot import Current, Project
from herald_worker import branches, deployments, largefiles, proposals, submodule_cards
from herald_worker.largefiles import LargeFiles
from herald_worker.mirror import Mirror
from herald_worker.runner import Runner

PUSH_DEADLINE = 300.0
LONG_PUSH_DEADLINE = 3500.0
"""Seconds. Each submodule that moved may have to be fetched and pushed first; the unit itself lives no longer."""

_DISCARD_DEADLINE = 1000.0
"""Seconds. It checks out the base, which grows with the size of the repository."""
_TRIES = 6
_LONGEST_PAUSE = 60.0
_EXPIRY_LOOK = 3600.0
_MOST_BESIDE = 4
"""Projects of which something is carried out at once."""


class Step(NamedTuple):
    """A proposal that something has to be done about."""

    id: int
    project: str
    branch: str
    head: str
    state: str
    tries: int
    answers: str
    commits: int
    summary: str
    workspace: str
    base: str
    run: str
    former: str


class Carrier:
    """Carries out what was voted: of a project one proposal after the other, projects beside one another."""

    def __init__(self, database: Database, snapshot: Current, runner: Runner) -> None:
        self._database = database
        self._snapshot = snapshot
        self._runner = runner
        self._git = {deadline: client.peer(Git, deadline) for deadline in (PUSH_DEADLINE, LONG_PUSH_DEADLINE)}
        self._agent = client.peer(Agent, _DISCARD_DEADLINE)
        self._large_files = LargeFiles()
        self._going: set[str] = set()
        """projects of which something is being carried out"""

    async def work(self) -> None:
        """Carry out for ever; what goes on is cancelled with it."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._runner.proposed.clear()
                await self._expire()
                await largefiles.sweep(self._database)
                step = await self._database.read(self._next)
                if step is not None:
                    self._going.add(step.project)
                    group.create_task(self._carry_alone(step))
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(await self._database.read(self._until_next)):
                        await self._runner.proposed.wait()

    def _next(self, connection: sqlite3.Connection) -> Step | None:
        return _next(connection, self._going) if len(self._going) < _MOST_BESIDE else None

    def _until_next(self, connection: sqlite3.Connection) -> float:
        return _until_next(connection, self._going) if len(self._going) < _MOST_BESIDE else _EXPIRY_LOOK

    async def _carry_alone(self, step: Step) -> None:
        try:
            await self._carry(step)
        finally:
            self._going.discard(step.project)
            self._runner.proposed.set()

    async def _carry(self, step: Step) -> None:
        project = self._snapshot.get().projects.get(step.project)
        if project is None:
            await self._finish(step, "refused", f"{step.project} is not configured any more")
        elif step.state == "rejected":
            await self._discard(step, project)
        else:
            await self._push(step, project)

    async def _push(self, step: Step, project: Project) -> None:
        if not await self._database.write(lambda connection: _begin_push(connection, step)):
            return  # withdrawn in the last moment
        self._runner.committed()
        if not branches.is_below(project.branch_prefix, step.branch):
            await self._finish(step, "refused", f"`git.branch_prefix` is {project.branch_prefix} now")
            return
        url = project.push_url or project.remote
        expected = await self._database.read(lambda connection: proposals.expected(connection, step.id, url))
        found = ""
        try:
            result = await self._large_files.push(project, step.head)
            if result is None:
                git = self._git[await patience(project.name, step.head)]
                pushed = await git.Push(project=project.name, branch=step.branch, head=step.head, expected=expected)
                result, found = PushResult(outcome=pushed["outcome"], reason=pushed["reason"]), pushed["found"]
        except Busy as error:  # another act is under way there, maybe this very push of before
            await self._again(step, error.message, counts=False)
            return
        except Unavailable as error:
            if step.tries + 1 < _TRIES:
                await self._again(step, error.message)
                return
            result = PushResult(outcome="refused", reason=f"{error.message} ({_TRIES} tries)")
        except HeraldError as error:
            result = PushResult(outcome="refused", reason=error.message)
        if result["outcome"] == "pushed":
            await self._forget(step)
            await self._finish(step, "pushed", "")
        elif result["outcome"] == "moved":
            await self._finish(step, "void", result["reason"], found=found)
        else:
            await self._finish(step, "refused", result["reason"])

    async def _again(self, step: Step, reason: str, *, counts: bool = True) -> None:
        pause = min(2.0**step.tries, _LONGEST_PAUSE)
        journal.warning(f"push of {step.branch} is tried again in {pause:g} s: {reason}", project=step.project)
        until = clock.text(time.time() + pause)
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE proposals SET tries = tries + ?, not_before = ? WHERE id = ?", (int(counts), until, step.id)
            )
        )

    async def _discard(self, step: Step, project: Project) -> None:
        reason, stays = "", ""
        try:
            for branch in filter(None, (step.branch, step.former)):
                discarded = await self._agent.Discard(
                    project=project.name, workspace=step.workspace, branch=branch, head=step.head, base=step.base
                )
                kept = "" if discarded["removed"] else f"The branch in the workspace was kept: {discarded['reason']}"
                reason, stays = reason or kept, _what_stays(discarded["ignored"])
        except (Unavailable, Busy) as error:
            if step.tries + 1 < _TRIES:
                await self._again(step, error.message)
                return
            reason = f"The branch in the workspace was kept: {error.message}"
        except HeraldError as error:
            reason = f"The branch in the workspace was kept: {error.message}"
        await self._forget(step)
        await self._finish(step, "discarded", reason or stays, (f"reset {step.project}",) if stays else ())

    async def _forget(self, step: Step) -> None:
        """The mirror need not offer and keep apart what is decided; its objects stay."""
        mirror = Mirror(step.project)
        with contextlib.suppress(HeraldError):
            await mirror.discard(step.head)
            await mirror.tidy()
        await submodule_cards.forget(step.project, step.run)

    async def _finish(
        self, step: Step, state: str, reason: str, actions: tuple[str, ...] = (), *, found: str = ""
    ) -> None:
        texts = {
            "pushed": f"Pushed — {step.branch} at {step.head[:12]}. {step.summary}",
            "discarded": f"Discarded — {step.branch} at {step.head[:12]}. {step.summary}"
            + (f" {reason}" if reason else ""),
            "void": f"Not pushed — the vote on {step.branch} is void: {reason}. "
            "Look at the remote's branch; `!push` proposes this again, then in the place of what is there.",
            "refused": f"Not pushed — {step.branch}: {reason}. `!push` proposes it again when that is mended.",
        }

        project = self._snapshot.get().projects.get(step.project)
        deploys = project is not None and project.auto_deploy_on_push

        def write(connection: sqlite3.Connection) -> None:
            row = proposals.row_of(connection, str(step.id))
            if row["ended_at"] is not None:
                return
            if state == "pushed":
                proposals.record_push(connection, row, project.push_url or project.remote if project else "")
                if deploys:
                    deployments.add_after_push(connection, row)
            if found:
                connection.execute("UPDATE proposals SET found = ? WHERE id = ?", (found, step.id))
            proposals.move(
                connection,
                step.id,
                state,  # type: ignore[arg-type]
                reason,
                edit=texts[state],
                answers=row["answers"],
                actions=actions,
            )

        await self._database.write(write)
        if state in ("pushed", "discarded"):
            await asyncio.to_thread(largefiles.forget, step.project, step.head)
        journal.notice(f"proposal {step.id} {state}: {reason or step.branch}", project=step.project, head=step.head)
        self._runner.committed()

    async def _expire(self) -> None:
        def write(connection: sqlite3.Connection) -> bool:
            rows = connection.execute(
                "SELECT * FROM proposals WHERE state = 'open' AND expires_at <= ?", (clock.now(),)
            ).fetchall()
            for row in rows:
                text = f"Expired — nobody voted on {row['branch']} for 7 days; it is kept, `!push` proposes it again."
                proposals.move(connection, row["id"], "expired", "nobody voted", edit=text)
            return bool(rows)

        due = await self._database.read(
            lambda connection: connection.execute(
                "SELECT 1 FROM proposals WHERE state = 'open' AND expires_at <= ? LIMIT 1", (clock.now(),)
            ).fetchone()
        )
        if due is not None and await self._database.write(write):
            self._runner.committed()


async def patience(project: str, head: str) -> float:
    """Seconds within which herald-git has pushed a commit, or says why not."""
    with contextlib.suppress(HeraldError):
        if not await submodule_cards.moved(project, "refs/base/default", head, ()):
            return PUSH_DEADLINE
    return LONG_PUSH_DEADLINE


def _what_stays(ignored: int) -> str:
    if not ignored:
        return ""
    what = "1 file or folder" if ignored == 1 else f"{ignored} files and folders"
    return f"What git ignores stays in the workspace ({what}); `!reset` clears it."


def _next(connection: sqlite3.Connection, going: Collection[str] = ()) -> Step | None:
    """What is due next of a project of which nothing is going on."""
    row = connection.execute(
        "SELECT * FROM proposals WHERE ended_at IS NULL AND state IN ('approved', 'pushing', 'rejected')"
        f" AND (not_before IS NULL OR not_before <= ?) AND {_not_of(going)} ORDER BY id LIMIT 1",
        (clock.now(), *going),
    ).fetchone()
    if row is None:
        return None
    return Step(
        id=row["id"],
        project=row["project"],
        branch=row["branch"],
        head=row["head"],
        state=row["state"],
        tries=row["tries"],
        answers=row["answers"],
        commits=row["commits"],
        summary=row["summary"],
        workspace=row["workspace"],
        base=row["base"],
        run=row["run"],
        former=row["former"],
    )


def _not_of(going: Collection[str]) -> str:
    return f"project NOT IN ({', '.join('?' * len(going))})"


def _until_next(connection: sqlite3.Connection, going: Collection[str] = ()) -> float:
    row = connection.execute(
        f"SELECT MIN(not_before) FROM proposals WHERE ended_at IS NULL AND not_before IS NOT NULL AND {_not_of(going)}",
        tuple(going),
    ).fetchone()
    if row[0] is None:
        return _EXPIRY_LOOK
    return min(_EXPIRY_LOOK, max(0.05, clock.seconds(str(row[0])) - time.time()))


def _begin_push(connection: sqlite3.Connection, step: Step) -> bool:
    """The point of no return: from here on a withdrawn vote is too late. False when it was withdrawn before."""
    row = proposals.row_of(connection, str(step.id))
    if row["state"] == "pushing":
        return True
    if row["state"] != "approved":
        return False
    proposals.move(connection, step.id, "pushing")
    return True
