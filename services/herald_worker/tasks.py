"""The queue: rows of `tasks`, their states, their order.

Order: operator, tick, schedule, autonomy; first in, first out inside a kind. A task that waits for its next attempt
holds back the later ones of its own project and nobody else.
"""

import json
import sqlite3
from typing import Any, NamedTuple, get_args

from herald import clock, events
from herald.errors import Conflict, NotFound
from herald.interfaces.worker import Author, Enqueued, Kind, Quote, Task, TaskState

_RANKS: dict[Kind, int] = {kind: rank for rank, kind in enumerate(get_args(Kind))}
_SHOWN = 200
GOING = ("starting", "running")


class NewTask(NamedTuple):
    """What a caller hands in; the text is valid UTF-8 already."""

    key: str
    project: str
    kind: Kind
    text: str
    author: Author
    history: list[Quote]
    attachments: str = ""
    """the name of a tar of the worker's; it belongs to the task from then on"""
    bootstrap: bool = False
    workspace: str = ""
    """empty: the project's first, which is named as the project is"""


class Due(NamedTuple):
    """A task that is to be started."""

    id: int
    key: str
    project: str
    text: str
    author: Author
    history: list[Quote]
    attempt: int
    session: str
    branch: str
    base: str
    attachments: str
    bootstrap: bool
    started_at: str
    workspace: str


def enqueue(connection: sqlite3.Connection, new: NewTask) -> Enqueued:
    """Put a task into the queue, once for each key."""
    known = connection.execute("SELECT id, rank, state FROM tasks WHERE key = ?", (new.key,)).fetchone()
    if known is not None:
        return Enqueued(
            task=str(known["id"]), created=False, ahead=_ahead(connection, known["rank"], known["id"]), steered=False
        )
    cursor = connection.execute(
        "INSERT INTO tasks (key, project, workspace, kind, rank, text, author_id, author_name, history, attachments,"
        " bootstrap, state, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?)",
        (
            new.key,
            new.project,
            new.workspace or new.project,
            new.kind,
            _RANKS[new.kind],
            new.text,
            new.author["id"],
            new.author["name"],
            json.dumps(new.history, ensure_ascii=False),
            new.attachments,
            int(new.bootstrap),
            clock.now(),
        ),
    )
    task = cursor.lastrowid or 0
    events.append(connection, "task.queued", project=new.project, task=str(task), kind_of_task=new.kind)
    return Enqueued(task=str(task), created=True, ahead=_ahead(connection, _RANKS[new.kind], task), steered=False)


def _ahead(connection: sqlite3.Connection, rank: int, task: int) -> int:
    """Tasks that are served before this one; counted up to 1,000, which is as good as exact to a person."""
    found = connection.execute(
        "SELECT COUNT(*) FROM (SELECT 1 FROM tasks INDEXED BY tasks_queued WHERE state = 'queued'"
        " AND (rank < ? OR (rank = ? AND id < ?)) LIMIT 1000)",
        (rank, rank, task),
    ).fetchone()
    return int(found[0])


def next_due(connection: sqlite3.Connection) -> Due | None:
    """The task to be started next: not delayed, nor behind one of its own workspace that is delayed or going."""
    now = clock.now()
    rows = connection.execute(
        "SELECT workspace FROM tasks WHERE state IN ('starting', 'running')"
        " UNION SELECT workspace FROM tasks WHERE state = 'queued' AND not_before IS NOT NULL AND not_before > ?",
        (now,),
    )
    held = [row[0] for row in rows]
    marks = ", ".join("?" * len(held))
    row = connection.execute(
        "SELECT tasks.* FROM queue_lengths JOIN tasks ON tasks.id = ("
        "SELECT head.id FROM tasks AS head INDEXED BY tasks_queued_of_workspace"
        " WHERE head.state = 'queued' AND head.workspace = queue_lengths.workspace ORDER BY head.rank, head.id LIMIT 1)"
        f" WHERE queued > 0 AND queue_lengths.workspace NOT IN ({marks}) ORDER BY tasks.rank, tasks.id LIMIT 1",
        tuple(held),
    ).fetchone()
    return None if row is None else due_of(row)


def due_of(row: sqlite3.Row) -> Due:
    """The task of a row."""
    return Due(
        id=row["id"],
        key=row["key"],
        project=row["project"],
        text=row["text"],
        author=Author(id=row["author_id"], name=row["author_name"]),
        history=json.loads(row["history"]),
        attempt=row["attempt"],
        session=row["session"],
        branch=row["branch"],
        base=row["base"],
        attachments=row["attachments"],
        bootstrap=bool(row["bootstrap"]),
        started_at=row["started_at"] or "",
        workspace=row["workspace"],
    )


def next_delay(connection: sqlite3.Connection) -> str | None:
    """When the first delayed task becomes due, or None."""
    row = connection.execute(
        "SELECT MIN(not_before) FROM tasks WHERE state = 'queued' AND not_before IS NOT NULL AND not_before > ?",
        (clock.now(),),
    ).fetchone()
    return None if row[0] is None else str(row[0])


def begin(connection: sqlite3.Connection, task: Due, run: str) -> str:
    """The task gets a run, in state starting; returns when its first one began, empty: it was cancelled meanwhile."""
    now = clock.now()
    changed = connection.execute(
        "UPDATE tasks SET state = 'starting', attempt = attempt + 1, not_before = NULL, started_at = ?"
        " WHERE id = ? AND state = 'queued'",
        (task.started_at or now, task.id),
    ).rowcount
    if not changed:
        return ""
    connection.execute(
        "INSERT INTO runs (id, task, state, created_at) VALUES (?, ?, 'starting', ?)", (run, task.id, now)
    )
    events.append(connection, "task.starting", project=task.project, task=str(task.id), run=run)
    return task.started_at or now


def place(connection: sqlite3.Connection, task: int, branch: str, base: str, session: str) -> None:
    """Where and in which session the task works; kept over its attempts."""
    connection.execute("UPDATE tasks SET branch = ?, base = ?, session = ? WHERE id = ?", (branch, base, session, task))


def forget_place(connection: sqlite3.Connection, task: int) -> None:
    """A task of which no run ever began starts afresh next time, from what the remote has then."""
    connection.execute(
        "UPDATE tasks SET branch = '', base = '', session = '' WHERE id = ?"
        " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.task = tasks.id AND outcome <> 'unbegun')",
        (task,),
    )


def running(connection: sqlite3.Connection, run: str) -> None:
    """The agent has its locks and works."""
    row = connection.execute(
        "SELECT tasks.* FROM tasks JOIN runs ON runs.task = tasks.id WHERE runs.id = ?", (run,)
    ).fetchone()
    task, project = row["id"], row["project"]
    connection.execute("UPDATE runs SET state = 'running' WHERE id = ? AND state = 'starting'", (run,))
    if connection.execute("UPDATE tasks SET state = 'running' WHERE id = ? AND state = 'starting'", (task,)).rowcount:
        events.append(connection, "task.running", project=project, task=str(task), run=run, branch=row["branch"])


def requeue(connection: sqlite3.Connection, task: int, *, delay_until: str | None, counts: bool, reason: str) -> None:
    """Back to its place in the queue; `counts` false: what happened was no attempt."""
    connection.execute(
        "UPDATE tasks SET state = 'queued', not_before = ?, attempt = attempt - ? WHERE id = ?",
        (delay_until, 0 if counts else 1, task),
    )
    row = connection.execute("SELECT project FROM tasks WHERE id = ?", (task,)).fetchone()
    events.append(
        connection, "task.requeued", project=row["project"], task=str(task), reason=reason, not_before=delay_until or ""
    )


def end(connection: sqlite3.Connection, task: int, state: TaskState, kind_of_failure: str, summary: str) -> None:
    """The task is over."""
    connection.execute(
        "UPDATE tasks SET state = ?, ended_at = ?, not_before = NULL, kind_of_failure = ?, summary = ? WHERE id = ?",
        (state, clock.now(), kind_of_failure, summary, task),
    )
    row = connection.execute("SELECT project FROM tasks WHERE id = ?", (task,)).fetchone()
    events.append(
        connection,
        f"task.{state}",
        project=row["project"],
        task=str(task),
        kind_of_failure=kind_of_failure,
        summary=summary[:_SHOWN],
    )


def end_run(connection: sqlite3.Connection, run: str, outcome: str, head: str, cost_usd: float, usage: Any) -> bool:
    """The run is over and settled; false when it was settled before."""
    return bool(
        connection.execute(
            "UPDATE runs SET state = 'ended', outcome = ?, head = ?, cost_usd = ?, usage = ?, ended_at = ?"
            " WHERE id = ? AND state <> 'ended'",
            (outcome, head, cost_usd, json.dumps(usage), clock.now(), run),
        ).rowcount
    )


class Spent(NamedTuple):
    """What all runs of a task have used so far."""

    tokens: int
    cost_usd: float


def spent(connection: sqlite3.Connection, task: int) -> Spent:
    """What the settled runs of a task have used."""
    rows = connection.execute("SELECT usage, cost_usd FROM runs WHERE task = ?", (task,)).fetchall()
    return Spent(sum(_tokens(json.loads(row["usage"])) for row in rows), sum(row["cost_usd"] for row in rows))


def _tokens(usage: dict[str, Any]) -> int:
    """The agent's side wrote it: anything may stand there."""
    kinds = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(count for kind in kinds if isinstance(count := usage.get(kind), int) and 0 <= count < 1 << 50)


def attachments_needed(connection: sqlite3.Connection) -> set[str]:
    """The tars of tasks that are not over."""
    return {
        row[0]
        for row in connection.execute(
            "SELECT attachments FROM tasks INDEXED BY tasks_with_attachments WHERE attachments <> ''"
            " AND ended_at IS NULL"
        )
    }


def cancel_queued(connection: sqlite3.Connection, project: str | None, task: str | None, by: str) -> Task | None:
    """Cancel a queued task: by id, else the oldest of the project; None when the task of that id is going."""
    if task is not None:
        row = row_of(connection, task)
        if row["state"] in GOING:
            return None
        if row["state"] != "queued":
            raise Conflict(f"task {task} has ended already ({row['state']})")
    else:
        row = connection.execute(
            "SELECT * FROM tasks INDEXED BY tasks_queued_of_project"
            " WHERE state = 'queued' AND project = ? ORDER BY rank, id LIMIT 1",
            (project,),
        ).fetchone()
        if row is None:
            raise NotFound(f"no task of {project} is queued; `!cancel --running` stops the running one")
    connection.execute("UPDATE tasks SET cancelled_by = ? WHERE id = ?", (by, row["id"]))
    end(connection, row["id"], "cancelled", "", f"cancelled by {by}")
    return shown(row_of(connection, str(row["id"])))


def mark_cancelled(connection: sqlite3.Connection, project: str | None, task: str | None, by: str) -> tuple[Task, str]:
    """Note who wants a going task to end; returns it and its run."""
    if task is not None:
        row = row_of(connection, task)
        if row["state"] not in GOING:
            raise Conflict(f"task {task} is not running ({row['state']})")
    else:
        row = connection.execute(
            "SELECT * FROM tasks WHERE project = ? AND state IN ('starting', 'running') ORDER BY id LIMIT 1", (project,)
        ).fetchone()
        if row is None:
            raise NotFound(f"no task of {project} is running")
    connection.execute("UPDATE tasks SET cancelled_by = ? WHERE id = ?", (by, row["id"]))
    run = connection.execute("SELECT id FROM runs WHERE task = ? AND state <> 'ended'", (row["id"],)).fetchone()
    return shown(row), str(run["id"])


def row_of(connection: sqlite3.Connection, task: str) -> sqlite3.Row:
    """The row of a task by id. Raises NotFound."""
    row = connection.execute("SELECT * FROM tasks WHERE id = ?", (task if task.isdigit() else -1,)).fetchone()
    if row is None:
        raise NotFound(f"there is no task {task!r}; `!queue` lists them")
    assert isinstance(row, sqlite3.Row)
    return row


def listing(connection: sqlite3.Connection, project: str | None, ended: bool, limit: int) -> list[Task]:
    """Tasks that are going or queued, in the order of service; or the newest ended ones."""
    wanted = "" if project is None else " AND project = :project"
    if ended:
        rows = connection.execute(
            f"SELECT * FROM tasks WHERE ended_at IS NOT NULL{wanted} ORDER BY ended_at DESC, id DESC LIMIT :limit",
            {"project": project, "limit": limit},
        ).fetchall()
    else:
        rows = connection.execute(
            f"SELECT * FROM tasks INDEXED BY tasks_going WHERE state IN ('starting', 'running'){wanted} ORDER BY id",
            {"project": project},
        ).fetchall()
        rows += connection.execute(
            f"SELECT * FROM tasks WHERE state = 'queued'{wanted} ORDER BY rank, id LIMIT :limit",
            {"project": project, "limit": max(0, limit - len(rows))},
        ).fetchall()
    return [shown(row) for row in rows]


def count_queued(connection: sqlite3.Connection) -> int:
    """Tasks in the queue."""
    return int(connection.execute("SELECT COALESCE(SUM(queued), 0) FROM queue_lengths").fetchone()[0])


def queued_by_project(connection: sqlite3.Connection) -> dict[str, int]:
    """Tasks in the queue of each project that has any."""
    rows = connection.execute("SELECT project, SUM(queued) FROM queue_lengths WHERE queued > 0 GROUP BY project")
    return {row[0]: int(row[1]) for row in rows}


def shown(row: sqlite3.Row) -> Task:
    """A task as callers see it."""
    return Task(
        id=str(row["id"]),
        key=row["key"],
        project=row["project"],
        kind=row["kind"],
        state=row["state"],
        text=row["text"][:_SHOWN],
        author=Author(id=row["author_id"], name=row["author_name"]),
        attempt=row["attempt"],
        created_at=row["created_at"],
        not_before=row["not_before"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        kind_of_failure=row["kind_of_failure"],
        summary=row["summary"],
    )
