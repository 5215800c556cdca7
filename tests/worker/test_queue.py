"""The queue against a real SQLite file: order, delays, cancels, keys."""

import random
import sqlite3
from collections.abc import Callable
from typing import Any, get_args

import pytest

from herald.errors import Conflict, NotFound
from herald.interfaces.worker import Kind
from herald_worker import tasks
from tests.worker.rows import events, finish, later, next_key, order, queue, row, start


def test_kinds_are_served_in_their_order_and_first_in_first_out_inside_a_kind(db: sqlite3.Connection) -> None:
    kinds: list[Kind] = [*get_args(Kind), *get_args(Kind)]
    random.Random(5).shuffle(kinds)
    keys = [f"{kind}-{number}" for number, kind in enumerate(kinds)]
    for key, kind in zip(keys, kinds, strict=True):
        queue(db, key, kind=kind, project=f"p{len(key) % 3}")

    assert order(db) == [key for kind in ("operator", "tick", "schedule", "autonomy") for key in keys if kind in key]


def test_the_same_key_is_one_task_whatever_else_is_said(db: sqlite3.Connection) -> None:
    first = queue(db, "k", text="one")
    assert queue(db, "k", text="two", project="other") == first
    task, run = start(db)
    finish(db, task, run)
    again = tasks.enqueue(db, tasks.NewTask("k", "sample", "operator", "three", {"id": "x", "name": "x"}, []))

    assert again == {"task": str(first), "created": False, "ahead": 0, "steered": False}
    assert row(db, first)["text"] == "one"
    assert events(db).count("task.queued") == 1


def test_a_caller_is_told_how_many_are_served_before(db: sqlite3.Connection) -> None:
    for number in range(3):
        queue(db, f"a{number}", kind="autonomy")
    new = tasks.NewTask("o", "sample", "operator", "x", {"id": "u", "name": "u"}, [])
    assert tasks.enqueue(db, new)["ahead"] == 0
    assert tasks.enqueue(db, new._replace(key="t", kind="tick"))["ahead"] == 1
    assert tasks.enqueue(db, new._replace(key="z", kind="autonomy"))["ahead"] == 5


def test_a_delayed_task_holds_back_the_later_ones_of_its_own_project_alone(db: sqlite3.Connection) -> None:
    delayed = queue(db, "delayed", "one")
    queue(db, "behind", "one")
    queue(db, "other", "two", kind="autonomy")
    _, run = start(db)
    tasks.end_run(db, run, "crash", "", 0.0, {})
    tasks.requeue(db, delayed, delay_until=later(60), counts=True, reason="x")

    assert next_key(db) == "other"
    assert tasks.next_delay(db) == row(db, delayed)["not_before"]
    db.execute("UPDATE tasks SET not_before = ? WHERE id = ?", (later(-1), delayed))
    assert order(db) == ["delayed", "behind", "other"]
    assert tasks.next_delay(db) is None


def test_a_project_with_a_task_under_way_waits_while_others_go_on(db: sqlite3.Connection) -> None:
    for key, project in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        queue(db, key, project)
    task, run = start(db)
    assert next_key(db) == "b1"
    finish(db, task, run)
    assert next_key(db) == "a2"


def test_a_task_put_back_takes_its_old_place_and_loses_or_keeps_the_attempt(db: sqlite3.Connection) -> None:
    task = queue(db, "first")
    queue(db, "second")
    _, run = start(db)
    tasks.end_run(db, run, "unbegun", "", 0.0, {})
    tasks.requeue(db, task, delay_until=None, counts=False, reason="busy")
    assert (next_key(db), row(db, task)["attempt"]) == ("first", 0)
    _, run = start(db, "second-run")
    tasks.end_run(db, run, "crash", "", 0.0, {})
    tasks.requeue(db, task, delay_until=None, counts=True, reason="crash")
    assert (next_key(db), row(db, task)["attempt"]) == ("first", 1)


def test_only_a_task_that_never_began_forgets_where_it_worked(db: sqlite3.Connection) -> None:
    task = queue(db, "k")
    for outcome, kept in (("unbegun", ""), ("crash", "s"), ("unbegun", "s")):
        _, run = start(db, outcome + kept + str(row(db, task)["attempt"]))
        tasks.place(db, task, "agent/x", "b" * 40, "s")
        tasks.end_run(db, run, outcome, "", 0.0, {})
        tasks.forget_place(db, task)
        assert row(db, task)["session"] == kept
        tasks.requeue(db, task, delay_until=None, counts=True, reason="")


def test_a_cancel_takes_the_oldest_queued_task_of_the_project_never_a_running_one(db: sqlite3.Connection) -> None:
    running = queue(db, "running", "one")
    start(db)
    queue(db, "other", "two")
    queue(db, "old", "one")
    queue(db, "new", "one")

    taken = tasks.cancel_queued(db, "one", None, "Ada")
    assert taken is not None
    assert (taken["key"], taken["state"], taken["summary"]) == ("old", "cancelled", "cancelled by Ada")
    assert row(db, running)["state"] == "running"
    tasks.cancel_queued(db, "one", None, "Ada")
    with pytest.raises(NotFound, match="--running"):
        tasks.cancel_queued(db, "one", None, "Ada")


def test_a_cancel_by_number_says_when_it_is_too_late(db: sqlite3.Connection) -> None:
    task = queue(db, "k")
    _, run = start(db)
    assert tasks.cancel_queued(db, None, str(task), "Ada") is None
    shown, of_run = tasks.mark_cancelled(db, None, str(task), "Ada")
    assert (shown["id"], of_run) == (str(task), run)
    finish(db, task, run)
    with pytest.raises(Conflict, match="ended already"):
        tasks.cancel_queued(db, None, str(task), "Ada")
    with pytest.raises(Conflict, match="not running"):
        tasks.mark_cancelled(db, None, str(task), "Ada")
    for nonsense in ("0", "99", "-1", "1; DROP TABLE tasks", "²", ""):
        with pytest.raises(NotFound):
            tasks.row_of(db, nonsense)


def test_a_task_cancelled_before_its_start_is_not_started(db: sqlite3.Connection) -> None:
    queue(db, "k")
    due = tasks.next_due(db)
    assert due is not None
    tasks.cancel_queued(db, None, str(due.id), "Ada")
    assert not tasks.begin(db, due, "run")
    assert db.execute("SELECT COUNT(*) FROM runs").fetchone()[0] == 0


def test_a_run_is_settled_once(db: sqlite3.Connection) -> None:
    queue(db, "k")
    _, run = start(db)
    assert tasks.end_run(db, run, "ok", "", 0.0, {})
    assert not tasks.end_run(db, run, "crash", "", 0.0, {})


def test_lists_show_the_going_first_then_the_queue_in_order(db: sqlite3.Connection) -> None:
    for number in range(4):
        queue(db, f"k{number}", f"p{number % 2}")
    task, run = start(db)
    assert [each["key"] for each in tasks.listing(db, None, False, 3)] == ["k0", "k1", "k2"]
    assert [each["key"] for each in tasks.listing(db, "p1", False, 9)] == ["k1", "k3"]
    assert tasks.queued_by_project(db) == {"p0": 1, "p1": 2}
    assert tasks.count_queued(db) == 3
    finish(db, task, run)
    assert [each["key"] for each in tasks.listing(db, None, True, 9)] == ["k0"]


def test_the_length_of_the_queue_is_true_after_whatever_happens(db: sqlite3.Connection) -> None:
    chance = random.Random(11)
    for number in range(300):
        what = chance.choice(["queue", "queue", "queue", "start", "cancel", "put back", "delete", "fail"])
        project = f"p{chance.randrange(3)}"
        if what == "queue":
            queue(db, f"k{number}", project)
        elif what in ("start", "put back", "fail") and tasks.next_due(db):
            task, run = start(db, f"r{number}")
            tasks.end_run(db, run, "x", "", 0.0, {})
            if what == "put back":
                tasks.requeue(db, task, delay_until=None, counts=True, reason="")
            else:
                tasks.end(db, task, "done" if what == "start" else "failed", "", "")
        elif what == "cancel" and tasks.queued_by_project(db).get(project):
            tasks.cancel_queued(db, project, None, "Ada")
        elif what == "delete":
            db.execute("DELETE FROM tasks WHERE id = (SELECT MAX(id) FROM tasks WHERE state = 'queued')")
        counted = db.execute("SELECT project, COUNT(*) FROM tasks WHERE state = 'queued' GROUP BY project").fetchall()
        assert tasks.queued_by_project(db) == {row[0]: row[1] for row in counted}
        assert tasks.count_queued(db) == sum(row[1] for row in counted)


@pytest.mark.parametrize(
    "call",
    [
        tasks.next_due,
        tasks.next_delay,
        tasks.count_queued,
        tasks.queued_by_project,
        lambda db: tasks.listing(db, None, False, 50),
        lambda db: tasks.listing(db, "sample", False, 50),
        lambda db: tasks.listing(db, None, True, 50),
        lambda db: queue(db, "k"),
    ],
)
def test_no_question_reads_the_whole_table(db: sqlite3.Connection, call: Callable[[sqlite3.Connection], Any]) -> None:
    plans: list[str] = []
    db.set_trace_callback(plans.append)
    call(db)
    db.set_trace_callback(None)
    for statement in [each for each in plans if each.startswith("SELECT")]:
        for step in db.execute(f"EXPLAIN QUERY PLAN {statement}"):
            assert "SCAN tasks" not in step["detail"] or "USING INDEX" in step["detail"], (statement, step["detail"])
