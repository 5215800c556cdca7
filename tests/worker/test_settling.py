"""What follows from the end of a run: each outcome, in one transaction, once."""

import sqlite3
from typing import Any

import pytest

from herald import clock
from herald_worker import settling, tasks, workspaces
from herald_worker.runfolder import End
from herald_worker.settling import Settlement, settle
from tests.support import repositories
from tests.worker.rows import BASE, HEAD, event_data, events, posts, proposal, queue, row, start

_DIED = 2_000_000_000.0
_ENDS_THE_TASK = {
    "ok": ("done", ""),
    "denied": ("blocked", "denied"),
    "cancelled": ("failed", "cancelled"),
    "timeout": ("failed", "timeout"),
    "usage_limit": ("failed", "usage_limit"),
    "rate_limit": ("failed", "rate_limit"),
    "context_overflow": ("failed", "context_overflow"),
    "auth": ("failed", "auth"),
    "billing": ("failed", "billing"),
    "transient": ("failed", "transient"),
    "max_turns": ("failed", "max_turns"),
    "budget": ("failed", "budget"),
    "not_installed": ("failed", "not_installed"),
    "workspace": ("failed", "workspace"),
    "failed": ("failed", "failed"),
    "something new": ("failed", "something new"),
}
_HOW = {"ok": "done", "denied": "blocked"}


def end(outcome: str, **changes: Any) -> End:
    plain = End(outcome, "The reason.", "", "", BASE, "agent/sample-1", 0, False, "s", 0.25, {}, [], 0.0)
    return plain._replace(**changes)


def settled(db: sqlite3.Connection, run: str, task: int, ended: End, **changes: Any) -> bool:
    settlement = Settlement(run, task, repositories.project(), ended, None, (ended.text, ""), _DIED)
    return settle(db, settlement._replace(**changes))


@pytest.mark.parametrize("outcome", _ENDS_THE_TASK)
def test_each_outcome_ends_the_task_in_its_state_and_answers_the_message_once(
    db: sqlite3.Connection, outcome: str
) -> None:
    queue(db, "m1")
    task, run = start(db)
    assert settled(db, run, task, end(outcome, text="What I said."))

    found = row(db, task)
    assert (found["state"], found["kind_of_failure"]) == _ENDS_THE_TASK[outcome]
    assert found["ended_at"]
    assert all(post["answers"] == "m1" for post in posts(db))
    assert [post["last"] for post in posts(db)] == [0] * (len(posts(db)) - 1) + [1]
    texts = [post["text"] for post in posts(db)]
    assert texts[0] == "What I said."
    assert "The reason." in texts[-1]
    assert {post["task"] for post in posts(db)} == {str(task)}
    how = _HOW.get(outcome, f"failed ({outcome})")
    (ends,) = [post["ends"] for post in posts(db) if post["ends"]]
    assert ends.startswith((f"{how} in ", f"{how} after "))
    assert ends.endswith(" · $0.25")
    assert posts(db)[0]["ends"] == ends, "the first post ends the progress"
    assert events(db)[-1] == f"task.{found['state']}"


def test_an_end_is_settled_once(db: sqlite3.Connection) -> None:
    queue(db, "m1")
    task, run = start(db)
    assert settled(db, run, task, end("ok", text="done", message=""))
    before = posts(db), events(db), row(db, task)
    assert not settled(db, run, task, end("crash"))
    assert (posts(db), events(db), row(db, task)) == before


def test_a_crash_is_tried_again_after_one_and_two_seconds_and_then_parked(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    for attempt, wait in ((1, 1.0), (2, 2.0)):
        _, run = start(db)
        tasks.place(db, task, "agent/sample-1", BASE, "the-session")
        settled(db, run, task, end("crash"))
        found = row(db, task)
        assert (found["state"], found["attempt"], found["session"]) == ("queued", attempt, "the-session")
        assert clock.seconds(found["not_before"]) == pytest.approx(_DIED + wait, abs=0.01)
        assert posts(db)[-1]["text"] == (
            f"The run broke off: The reason. Attempt {attempt + 1} of 3 follows in {wait:g} s, same session."
        )
        assert (posts(db)[-1]["last"], posts(db)[-1]["ends"], posts(db)[-1]["task"]) == (0, "", str(task))
        db.execute("UPDATE tasks SET not_before = NULL")
    _, run = start(db)
    settled(db, run, task, end("crash", text="Half a word"))

    assert (row(db, task)["state"], row(db, task)["kind_of_failure"]) == ("parked", "crash")
    assert [post["text"] for post in posts(db)][-2] == "Half a word"
    assert "parked" in posts(db)[-1]["text"]
    assert [post["ends"].partition(" after ")[0] for post in posts(db)][-2:] == ["parked", ""]
    assert "$0.75" in posts(db)[-2]["ends"], "of all attempts"
    assert posts(db)[-1]["last"] == 1
    assert events(db).count("task.requeued") == 2


def test_the_delay_doubles_up_to_five_minutes() -> None:
    assert [settling.delay(n) for n in (1, 2, 3, 4, 9, 10, 50)] == [1, 2, 4, 8, 256, 300, 300]


def test_a_stop_of_everything_is_no_attempt_and_says_nothing(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    tasks.place(db, task, "agent/sample-1", BASE, "the-session")
    settled(db, run, task, end("stopped"))

    found = row(db, task)
    assert (found["state"], found["attempt"], found["crashes"], found["session"]) == ("queued", 0, 0, "the-session")
    assert posts(db) == []
    assert tasks.next_due(db) is not None, "without a delay"


@pytest.mark.parametrize("outcome", ["cancelled", "crash", "stopped"])
def test_a_task_that_somebody_cancelled_ends_as_cancelled_however_its_run_ended(
    db: sqlite3.Connection, outcome: str
) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    tasks.mark_cancelled(db, None, str(task), "Ada")
    settled(db, run, task, end(outcome, text="So far.", commits=1, head=HEAD))

    assert row(db, task)["state"] == "cancelled"
    assert [post["text"] for post in posts(db)] == [
        "So far.",
        f"Task {task} was cancelled by Ada. What it committed stays on agent/sample-1; `!push` proposes it.",
    ]


def test_a_cancel_that_came_too_late_changes_nothing_about_what_was_done(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    tasks.mark_cancelled(db, None, str(task), "Ada")
    settled(db, run, task, end("ok", text="Done.", message=""))
    assert row(db, task)["state"] == "done"


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_run_that_never_began_puts_its_task_back_or_ends_it_when_cancelled(
    db: sqlite3.Connection, cancelled: bool
) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    if cancelled:
        tasks.mark_cancelled(db, None, str(task), "Ada")
    settling.back_to_queue(db, run, task, "no place", "")
    assert row(db, task)["state"] == ("cancelled" if cancelled else "queued")
    assert [post["last"] for post in posts(db)] == ([1] if cancelled else [])
    assert row(db, task)["attempt"] == (1 if cancelled else 0)
    assert [post["ends"].partition(" after ")[0] for post in posts(db)] == (["cancelled by Ada"] if cancelled else [])


def test_a_cancel_between_two_attempts_ends_the_progress_and_one_before_the_first_has_none(
    db: sqlite3.Connection,
) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    settled(db, run, task, end("crash"))
    settling.cancel_queued(db, None, str(task), "Bob")
    last = posts(db)[-1]
    assert (last["answers"], last["last"], last["task"]) == ("m1", 1, str(task))
    assert last["ends"].startswith("cancelled by Bob after ")
    before = len(posts(db))
    settling.cancel_queued(db, None, str(queue(db, "m2")), "Bob")
    assert len(posts(db)) == before


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 8}, 15),
        ({"input_tokens": "many", "output_tokens": -1, "models": {}, "cache_read_input_tokens": None}, 0),
        ({"input_tokens": 1 << 60, "output_tokens": 1.5}, 0),
        ({}, 0),
    ],
)
def test_what_was_used_is_summed_over_the_attempts_whatever_the_agents_side_wrote(
    db: sqlite3.Connection, usage: dict[str, Any], tokens: int
) -> None:
    task = queue(db, "m1")
    for _ in range(2):
        _, run = start(db)
        settled(db, run, task, end("crash", usage=usage))
        db.execute("UPDATE tasks SET not_before = NULL")
    assert tasks.spent(db, task) == tasks.Spent(2 * tokens, 0.5)


def test_commits_become_a_card_which_is_the_last_word_after_the_answer(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    settled(db, run, task, end("ok", text="Done.", head=HEAD, commits=1), proposal=proposal(run=run))

    assert [(post["kind"], post["last"]) for post in posts(db)] == [("answer", 0), ("card", 1)]
    assert [bool(post["ends"]) for post in posts(db)] == [True, False]
    assert events(db)[-2:] == ["task.done", "proposal.open"]
    assert event_data(db)["head"] == HEAD


def test_a_card_alone_ends_the_progress_itself(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    settled(db, run, task, end("ok", head=HEAD, commits=1), proposal=proposal(run=run, task=str(task)))
    (card,) = posts(db)
    assert card["ends"].startswith("done in ")
    assert (card["task"], card["proposal"], card["votable"]) == (str(task), "1", 1)


def test_long_output_is_told_of_by_its_file(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    settled(db, run, task, end("ok", message=""), output=("", "/state/outputs/run.txt"))
    assert [(post["text"], post["file"], post["last"]) for post in posts(db)] == [("", "/state/outputs/run.txt", 1)]


def test_an_agent_that_said_nothing_is_answered_for(db: sqlite3.Connection) -> None:
    task = queue(db, "m1")
    _, run = start(db)
    settled(db, run, task, end("ok", message=""))
    assert [(post["text"], post["last"]) for post in posts(db)] == [("(the agent said nothing)", 1)]


def test_only_what_the_clone_has_is_remembered_of_it_and_not_by_the_agents_word(db: sqlite3.Connection) -> None:
    cases = (("ok", BASE, BASE), ("workspace", "", ""), ("not_installed", "", ""), ("timeout", BASE, BASE))
    for key, (outcome, head, known) in zip("abcd", cases, strict=True):
        task = queue(db, key)
        _, run = start(db)
        tasks.place(db, task, "agent/sample-1", BASE, "s")
        settled(db, run, task, end(outcome, base="--upload-pack=evil", head=head))
        assert workspaces.known(db, "sample", repositories.project()) == known


@pytest.mark.parametrize(
    ("outcome", "message", "offered"),
    [
        ("workspace", "has uncommitted changes; say `!stash`, or `!own`", "stash sample\nown sample"),
        ("workspace", "an act is unfinished", ""),
        ("failed", "the agent says `!own` and `!reset`", ""),
    ],
)
def test_the_commands_that_a_refused_workspace_names_are_offered_and_no_words_of_an_agent(
    db: sqlite3.Connection, outcome: str, message: str, offered: str
) -> None:
    queue(db, "m1")
    task, run = start(db)
    settled(db, run, task, end(outcome, message=message))

    assert [each["actions"] for each in posts(db)] == [offered]
