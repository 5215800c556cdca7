"""Messages for an agent at work, in the queue: accepted once, settled once, never lost and never doubled."""

import json
import sqlite3
from pathlib import Path

import pytest

from herald.interfaces.worker import Quote
from herald_worker import settling, steering, tasks
from herald_worker.runfolder import RunFolder
from herald_worker.steering import Accepted, accept
from herald_worker.tasks import NewTask
from tests.worker.rows import ADA, events, finish, posts, queue, row, start
from tests.worker.test_settling import end, settled

HISTORY = [Quote(author="Eve", text="before", at="10:00")]


def new(key: str, text: str = "more", project: str = "sample") -> NewTask:
    return NewTask(key, project, "operator", text, ADA, HISTORY)


def steered(db: sqlite3.Connection) -> list[str]:
    return [f"{each['key']} {each['state']}" for each in db.execute("SELECT * FROM steers ORDER BY rowid")]


def test_a_message_for_a_task_at_work_becomes_none_of_its_own(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    expected = {"task": str(task), "created": True, "ahead": 0, "steered": True}
    assert accept(db, new("m2"), str(task)) == Accepted(expected, run)  # type: ignore[arg-type]
    assert accept(db, new("m2", "said otherwise"), str(task)) == Accepted({**expected, "created": False}, "")  # type: ignore[arg-type,typeddict-item]
    assert accept(db, new("m2"), "").enqueued["steered"], "whatever it replies to the second time"
    assert steered(db) == ["m2 accepted"]
    assert tasks.count_queued(db) == 0
    assert events(db)[-1] == "task.steered"


def test_it_reaches_a_task_that_is_just_being_started(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    due = tasks.next_due(db)
    assert due is not None
    assert tasks.begin(db, due, "r1")
    assert accept(db, new("m2"), str(task)).run == "r1"


@pytest.mark.parametrize("case", ["queued", "over", "cancelled", "another project", "unknown", "nonsense", "itself"])
def test_a_message_that_no_agent_can_hear_is_a_task(db: sqlite3.Connection, case: str) -> None:
    task = queue(db, "m1")
    if case != "queued":
        _, run = start(db)
        if case == "over":
            finish(db, task, run)
        if case == "cancelled":
            tasks.mark_cancelled(db, None, str(task), "Ada")
    replies_to = {"unknown": "99", "nonsense": "x; DROP TABLE tasks"}.get(case, str(task))
    key = "m1" if case == "itself" else "m2"
    accepted = accept(db, new(key, project="other" if case == "another project" else "sample"), replies_to)
    assert not accepted.enqueued["steered"]
    assert accepted.run == ""
    assert accepted.enqueued["created"] is (case != "itself")
    assert steered(db) == []


@pytest.mark.parametrize("outcome", ["ok", "crash", "stopped", "cancelled", "timeout", "workspace"])
def test_at_the_end_what_was_not_taken_up_is_a_task_with_its_key_and_who_said_it_is_told(
    db: sqlite3.Connection, outcome: str
) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    for key in ("m2", "m3", "m4"):
        accept(db, new(key), str(task))
    if outcome == "cancelled":
        tasks.mark_cancelled(db, None, str(task), "Ada")
    settled(db, run, task, end(outcome, text="So far.", message=""), taken=frozenset({"m3", "made up"}))

    made = [dict(each) for each in db.execute("SELECT * FROM tasks WHERE id > ? ORDER BY id", (task,))]
    assert [each["key"] for each in made] == ["m2", "m4"]
    assert all((each["state"], each["text"], each["author_id"]) == ("queued", "more", ADA["id"]) for each in made)
    assert json.loads(made[0]["history"]) == HISTORY
    assert steered(db) == ["m3 taken"]
    told = [each for each in posts(db) if each["answers"] in ("m2", "m4")]
    assert [(each["task"], each["last"], each["ends"]) for each in told] == [
        (str(made[0]["id"]), 0, ""),
        (str(made[1]["id"]), 0, ""),
    ]
    assert accept(db, new("m2"), str(task)).enqueued == {
        "task": str(made[0]["id"]), "created": False, "ahead": tasks._ahead(db, 0, made[0]["id"]), "steered": False,
    }  # fmt: skip
    assert accept(db, new("m3"), str(task)).enqueued["steered"]


def test_a_run_that_never_began_leaves_its_messages_to_the_queue(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    accept(db, new("m2"), str(task))
    settling.back_to_queue(db, run, task, "no place", "")
    assert steered(db) == []
    assert [each["key"] for each in db.execute("SELECT key FROM tasks WHERE state = 'queued'")] == ["m1", "m2"]
    settling.back_to_queue(db, run, task, "no place", "")
    assert tasks.count_queued(db) == 2


def test_messages_are_settled_with_their_own_run_alone(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    accept(db, new("m2"), str(task))
    steering.settle(db, "another-run", "sample", frozenset())
    assert steered(db) == ["m2 accepted"]
    settled(db, run, task, end("ok", message=""), taken=frozenset({"m2"}))
    assert row(db, task)["state"] == "done"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path))
    folder = RunFolder("1-1-x")
    folder.create(b"")
    return folder


def test_each_message_is_appended_once_also_after_half_a_line(db: sqlite3.Connection, run: RunFolder) -> None:
    task = queue(db, "m1")
    start(db, run.run)
    accept(db, new("m2", "one\ntwo \u2028"), str(task))
    steering._append(run, steering._accepted(db, run.run))
    steering._append(run, steering._accepted(db, run.run))
    with open(run.file("control"), "ab") as control:
        control.write(b'{"key": "m3", "auth')  # a kill in the middle
    accept(db, new("m3"), str(task))
    steering._append(run, steering._accepted(db, run.run))
    run.cancel()
    lines = Path(run.file("control")).read_text().split("\n")[:-1]
    assert [json.loads(line)["key"] for line in (lines[0], lines[2])] == ["m2", "m3"]
    assert json.loads(lines[0]) == {"key": "m2", "author": ADA, "text": "one\ntwo \u2028"}
    assert lines[-1] == "cancel"
    assert run.told() == {"m2", "m3"}


def test_only_whole_lines_of_the_result_say_what_was_taken(run: RunFolder) -> None:
    with open(run.file("result"), "w") as result:
        result.write('{"type":"taken","key":"m2"}\n{"type":"text","text":"x"}\n{"type":"taken","key":"m3')
    assert run.taken() == frozenset({"m2"})
    assert run.partial_text() == "x"
