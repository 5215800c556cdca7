"""What follows from the end of a run: the task's next state, its posts, its proposal. One transaction, once a run.

| outcome | task | then |
|---|---|---|
| ok | done | answer; a card if there are commits |
| denied | blocked | answer and what was denied |
| cancelled | cancelled | what was said so far |
| stopped, or killed together with everything else | queued | same session, no attempt counted |
| crash | queued, after three parked | same session, 1, 2, 4 ... 300 s later |
| anything else | failed | what was said so far, the reason, the next step |
"""

import sqlite3
from typing import NamedTuple

from herald import clock
from herald.interfaces.gateway import PostKind
from herald.snapshot import Project
from herald_worker import posts, proposals, tasks
from herald_worker.runfolder import End

ATTEMPTS = 3
_LONGEST_DELAY = 300.0


class Settlement(NamedTuple):
    """All that is needed to settle a run. `proposal` is set when its commits were imported and are to be proposed."""

    run: str
    task: int
    project: Project
    end: End
    proposal: proposals.NewProposal | None
    output: tuple[str, str]
    """text, or the file that holds it"""
    ended_at: float
    """when its last process was gone, in seconds since the epoch"""


def delay(crashes: int) -> float:
    """Seconds until the next attempt after so many crashes: 1, 2, 4 ... 300."""
    return min(2.0 ** (crashes - 1), _LONGEST_DELAY)


def settle(connection: sqlite3.Connection, settlement: Settlement) -> bool:
    """Apply it; false when the run was settled before."""
    end = settlement.end
    if not tasks.end_run(connection, settlement.run, end.outcome, end.head, end.cost_usd, end.usage):
        return False
    row = tasks.row_of(connection, str(settlement.task))
    if end.branch:
        connection.execute("UPDATE tasks SET branch = ? WHERE id = ?", (end.branch, settlement.task))
    if end.base and end.head and end.outcome != "workspace":
        # It came so far that it took the base; which one is not its say.
        connection.execute(
            "INSERT INTO clones (project, base) VALUES (?, ?) ON CONFLICT (project) DO UPDATE SET base = excluded.base",
            (settlement.project.name, row["base"]),
        )
    elif end.outcome == "workspace":
        connection.execute("DELETE FROM clones WHERE project = ?", (settlement.project.name,))
    if end.outcome == "crash" and not row["cancelled_by"]:
        _crashed(connection, settlement, row)
    elif end.outcome == "stopped" and not row["cancelled_by"]:
        tasks.requeue(connection, settlement.task, delay_until=None, counts=False, reason=end.message or "stopped")
    else:
        _over(connection, settlement, row)
    return True


def back_to_queue(connection: sqlite3.Connection, run: str, task: int, reason: str, until: str) -> None:
    """A run that never began: no attempt, no crash; the task is queued again unless somebody cancelled it meanwhile."""
    tasks.end_run(connection, run, "unbegun", "", 0.0, {})
    row = tasks.row_of(connection, str(task))
    if not row["cancelled_by"]:
        tasks.forget_place(connection, task)
        tasks.requeue(connection, task, delay_until=until, counts=False, reason=reason)
        return
    tasks.end(connection, task, "cancelled", "", f"cancelled by {row['cancelled_by']}")
    text = f"Task {task} was cancelled by {row['cancelled_by']} before it began."
    key = f"run-{run}-notice"
    posts.add(connection, posts.NewPost(key, row["project"], "notice", text, answers=row["key"], last=True))


def _crashed(connection: sqlite3.Connection, settlement: Settlement, row: sqlite3.Row) -> None:
    crashes = row["crashes"] + 1
    connection.execute("UPDATE tasks SET crashes = ? WHERE id = ?", (crashes, settlement.task))
    reason = (settlement.end.message or "the agent's process died without a result").rstrip(".")
    if crashes < ATTEMPTS:
        wait = delay(crashes)
        until = clock.text(settlement.ended_at + wait)
        tasks.requeue(connection, settlement.task, delay_until=until, counts=True, reason=reason)
        text = f"The run broke off: {reason}. Attempt {crashes + 1} of {ATTEMPTS} follows in {wait:g} s, same session."
        _post(connection, settlement, row, "notice", text, last=False)
        return
    _said(connection, settlement, row, last=False)
    tasks.end(connection, settlement.task, "parked", "crash", reason)
    text = (
        f"Task {settlement.task} is parked: it broke off {crashes} times, the last time: {reason}. "
        "It blocks nobody; send it again when the cause is gone (`journalctl HERALD_TASK="
        f"{settlement.task}` tells more)."
    )
    _post(connection, settlement, row, "notice", text, last=True)


def _over(connection: sqlite3.Connection, settlement: Settlement, row: sqlite3.Row) -> None:
    end = settlement.end
    if row["cancelled_by"] and end.outcome in ("cancelled", "crash", "stopped"):
        _said(connection, settlement, row, last=False)
        tasks.end(connection, settlement.task, "cancelled", "", f"cancelled by {row['cancelled_by']}")
        text = f"Task {settlement.task} was cancelled by {row['cancelled_by']}.{_branch_left(end)}"
        _post(connection, settlement, row, "notice", text, last=True)
        return
    if end.outcome == "ok":
        card = settlement.proposal is not None
        note = end.message if end.message and not card else ""
        _said(connection, settlement, row, last=not card and not note)
        tasks.end(connection, settlement.task, "done", "", end.text[:1000])
        if settlement.proposal is not None:
            proposals.create(connection, settlement.proposal)
        elif note:
            _post(connection, settlement, row, "notice", note, last=True)
        return
    if end.outcome == "denied":
        _said(connection, settlement, row, last=False)
        tasks.end(connection, settlement.task, "blocked", "denied", end.message)
        _post(
            connection,
            settlement,
            row,
            "notice",
            f"Task {settlement.task} is blocked: {end.message}{_branch_left(end)}",
            last=True,
        )
        return
    _said(connection, settlement, row, last=False)
    tasks.end(connection, settlement.task, "failed", end.outcome, end.message)
    text = f"Task {settlement.task} failed ({end.outcome}): {end.message}{_branch_left(end)}"
    _post(connection, settlement, row, "notice", text, last=True)


def _branch_left(end: End) -> str:
    if not end.commits:
        return ""
    return f" What it committed stays on {end.branch}; `!push` proposes it."


def _said(connection: sqlite3.Connection, settlement: Settlement, row: sqlite3.Row, *, last: bool) -> None:
    """The agent's own words, if there are any."""
    text, file = settlement.output
    if not text and not file:
        if not last:
            return
        text = "(the agent said nothing)"
    posts.add(
        connection,
        posts.NewPost(
            key=f"run-{settlement.run}-said",
            project=settlement.project.name,
            kind="answer",
            text=text,
            file=file,
            identity=settlement.project.agent_name,
            answers=row["key"],
            last=last,
        ),
    )


def _post(
    connection: sqlite3.Connection,
    settlement: Settlement,
    row: sqlite3.Row,
    kind: PostKind,
    text: str,
    *,
    last: bool,
) -> None:
    posts.add(
        connection,
        posts.NewPost(
            key=f"run-{settlement.run}-{kind}",
            project=settlement.project.name,
            kind=kind,
            text=text,
            answers=row["key"],
            last=last,
        ),
    )
