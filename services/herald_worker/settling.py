"""What follows from the end of a run: the task's next state, its posts, its proposal. One transaction, once a run.

| outcome | task | then |
|---|---|---|
| ok | done | answer; a card if there are commits |
| denied | blocked | answer and what was denied |
| cancelled | cancelled | what was said so far |
| stopped, or killed together with everything else | queued | same session, no attempt counted |
| crash | queued, after three parked | same session, 1, 2, 4 ... 300 s later |
| incomplete: the workspace lacks objects, or is made anew | likewise | handed over whole |
| anything else | failed | what was said so far, the reason, the next step |
"""

import sqlite3
import time
from typing import NamedTuple

from herald import clock
from herald.interfaces.worker import Task, TaskState
from herald.snapshot import Project
from herald_worker import posts, proposals, steering, tasks, workspaces
from herald_worker.progress import ending
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
    taken: frozenset[str] = frozenset()
    """keys of the further messages that its agent has taken up"""


class _Thread:
    """What is posted about the end of a run, in order. The first post ends the task's progress, if that is over."""

    def __init__(self, connection: sqlite3.Connection, settlement: Settlement, row: sqlite3.Row) -> None:
        self.settlement = settlement
        self._connection = connection
        self._row = row
        self._ends = ""

    def end(self, state: TaskState, how: str, kind_of_failure: str = "", summary: str = "") -> None:
        """The task is over."""
        tasks.end(self._connection, self.settlement.task, state, kind_of_failure, summary)
        spent = tasks.spent(self._connection, self.settlement.task)
        self._ends = ending(how, self._row["started_at"] or "", self.settlement.ended_at, spent)

    def said(self, *, last: bool) -> None:
        """The agent's own words, if there are any."""
        text, file = self.settlement.output
        if not text and not file:
            if not last:
                return
            text = "(the agent said nothing)"
        identity = self.settlement.project.agent_name
        self._post(posts.NewPost(f"run-{self.settlement.run}-said", "", "answer", text, 0, identity, file=file), last)

    def notice(self, text: str, *, last: bool, actions: tuple[str, ...] = ()) -> None:
        """Herald's words about it, and the commands that it offers."""
        self._post(posts.NewPost(f"run-{self.settlement.run}-notice", "", "notice", text, actions=actions), last)

    def card(self, proposal: proposals.NewProposal) -> None:
        """The card of its commits."""
        proposals.create(self._connection, proposal, ends=self._ends)
        self._ends = ""

    def _post(self, post: posts.NewPost, last: bool) -> None:
        task, project = str(self.settlement.task), self.settlement.project.name
        post = post._replace(project=project, answers=self._row["key"], last=last, task=task, ends=self._ends)
        posts.add(self._connection, post)
        self._ends = ""


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
    if end.base and end.head and end.outcome not in ("workspace", "incomplete"):
        # It came so far that it took the base; which one is not its say.
        workspaces.note(connection, row["workspace"], settlement.project, row["base"])
    elif end.outcome in ("workspace", "incomplete"):
        workspaces.forget(connection, row["workspace"])
    thread = _Thread(connection, settlement, row)
    if end.outcome in ("crash", "incomplete") and not row["cancelled_by"]:
        _crashed(connection, thread, row["crashes"] + 1)
    elif end.outcome == "stopped" and not row["cancelled_by"]:
        tasks.requeue(connection, settlement.task, delay_until=None, counts=False, reason=end.message or "stopped")
    else:
        _over(thread, row["cancelled_by"])
    steering.settle(connection, settlement.run, settlement.project.name, settlement.taken)
    return True


def back_to_queue(connection: sqlite3.Connection, run: str, task: int, reason: str, until: str) -> None:
    """A run that never began: no attempt, no crash; the task is queued again unless somebody cancelled it meanwhile."""
    tasks.end_run(connection, run, "unbegun", "", 0.0, {})
    row = tasks.row_of(connection, str(task))
    if row["cancelled_by"]:
        how = f"cancelled by {row['cancelled_by']}"
        tasks.end(connection, task, "cancelled", "", how)
        text = f"Task {task} was {how} before it began."
        ends = ending(how, row["started_at"] or "", time.time(), tasks.spent(connection, task))
        post = posts.NewPost(f"run-{run}-notice", row["project"], "notice", text, answers=row["key"], last=True)
        posts.add(connection, post._replace(task=str(task), ends=ends))
    else:
        tasks.forget_place(connection, task)
        tasks.requeue(connection, task, delay_until=until, counts=False, reason=reason)
    steering.settle(connection, run, row["project"], frozenset())


def cancel_queued(connection: sqlite3.Connection, project: str | None, task: str | None, by: str) -> Task | None:
    """As in the queue; of a task that has begun before, the progress is ended."""
    cancelled = tasks.cancel_queued(connection, project, task, by)
    if cancelled is not None and cancelled["started_at"] is not None:
        number, how = cancelled["id"], f"cancelled by {by}"
        ends = ending(how, cancelled["started_at"], time.time(), tasks.spent(connection, int(number)))
        text = f"Task {number} was {how} before its next attempt."
        post = posts.NewPost(f"cancelled-{number}", cancelled["project"], "notice", text, answers=cancelled["key"])
        posts.add(connection, post._replace(last=True, task=number, ends=ends))
    return cancelled


def _crashed(connection: sqlite3.Connection, thread: _Thread, crashes: int) -> None:
    settlement = thread.settlement
    connection.execute("UPDATE tasks SET crashes = ? WHERE id = ?", (crashes, settlement.task))
    reason = (settlement.end.message or "the agent's process died without a result").rstrip(".")
    if crashes < ATTEMPTS:
        wait = delay(crashes)
        until = clock.text(settlement.ended_at + wait)
        tasks.requeue(connection, settlement.task, delay_until=until, counts=True, reason=reason)
        next_one = f"Attempt {crashes + 1} of {ATTEMPTS} follows in {wait:g} s, same session."
        thread.notice(f"The run broke off: {reason}. {next_one}", last=False)
        return
    thread.end("parked", "parked", "crash", reason)
    thread.said(last=False)
    thread.notice(
        f"Task {settlement.task} is parked: it broke off {crashes} times, the last time: {reason}. "
        "It blocks nobody; send it again when the cause is gone (`journalctl HERALD_TASK="
        f"{settlement.task}` tells more).",
        last=True,
    )


def _over(thread: _Thread, cancelled_by: str) -> None:
    settlement, end = thread.settlement, thread.settlement.end
    task = settlement.task
    if cancelled_by and end.outcome in ("cancelled", "crash", "stopped"):
        how = f"cancelled by {cancelled_by}"
        thread.end("cancelled", how, summary=how)
        thread.said(last=False)
        thread.notice(f"Task {task} was {how}.{_branch_left(end)}", last=True)
    elif end.outcome == "ok":
        thread.end("done", "done", summary=end.text[:1000])
        card = settlement.proposal
        note = end.message if card is None else ""
        thread.said(last=card is None and not note)
        if card is not None:
            thread.card(card)
        elif note:
            thread.notice(note, last=True)
    elif end.outcome == "denied":
        thread.end("blocked", "blocked", "denied", end.message)
        thread.said(last=False)
        thread.notice(f"Task {task} is blocked: {end.message}{_branch_left(end)}", last=True)
    else:
        thread.end("failed", f"failed ({end.outcome})", end.outcome, end.message)
        thread.said(last=False)
        text = f"Task {task} failed ({end.outcome}): {end.message}{_branch_left(end)}"
        thread.notice(text, last=True, actions=_offers(settlement))


def _offers(settlement: Settlement) -> tuple[str, ...]:
    """The commands that a workspace's refusal names. Nobody but Herald words that."""
    if settlement.end.outcome != "workspace":
        return ()
    named = [each for each in ("stash", "own", "reset") if f"`!{each}`" in settlement.end.message]
    return tuple(f"{each} {settlement.project.name}" for each in named)


def _branch_left(end: End) -> str:
    if not end.commits:
        return ""
    return f" What it committed stays on {end.branch}; `!push` proposes it."
