"""Proposals: each state and vote, the card's words, and what is remembered of pushes."""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from herald import clock
from herald.errors import Conflict, NotFound
from herald.interfaces.worker import Author, Proposal
from herald_worker import card, carrying, proposals, tasks
from herald_worker.schema import MIGRATIONS
from tests.support import repositories
from tests.worker.rows import ADA, HEAD, event_data, events, posts, propose

URL = "git@host.example:me/sample.git"


def vote(db: sqlite3.Connection, choice: str, key: str = "", number: str | None = None) -> Proposal:
    return proposals.vote(db, key or f"{choice}-{time.monotonic_ns()}", choice, ADA, number, "sample")


def next_step(db: sqlite3.Connection) -> Any:
    return carrying._next(db)


@pytest.mark.parametrize(
    ("commits", "line"),
    [
        (1, "Ready to push — 1 commit. Begin"),
        (2, "Ready to push — 2 commits. Begin"),
        (11, "Ready to push — 11 commits. Begin"),
    ],
)
def test_the_first_line_of_a_card_is_worded_exactly(db: sqlite3.Connection, commits: int, line: str) -> None:
    propose(db, commits=commits)
    (shown,) = posts(db)
    assert shown["text"].splitlines()[0] == line
    assert f"pushes exactly {HEAD[:12]} to agent/sample-1" in shown["text"]
    assert (shown["kind"], shown["answers"], shown["last"], shown["identity"]) == ("card", "m1", 1, "Sample")


def test_approved_then_pushing_then_pushed(db: sqlite3.Connection) -> None:
    number = propose(db)
    assert next_step(db) is None
    assert vote(db, "approve")["state"] == "approved"
    step = next_step(db)
    assert (step.head, step.branch, proposals.expected(db, step.id, URL)) == (HEAD, "agent/sample-1", "")
    assert carrying._begin_push(db, step)
    assert carrying._begin_push(db, next_step(db)), "a push that was cut off is made again"
    proposals.record_push(db, proposals.row_of(db, number), URL)
    proposals.move(db, int(number), "pushed", edit="Pushed")
    assert next_step(db) is None
    assert proposals.expected(db, int(number), URL) == HEAD
    assert events(db) == ["proposal.open", "proposal.approved", "proposal.pushing", "proposal.pushed"]
    assert [(each["key"], each["revision"]) for each in posts(db)] == [("card-1-1-x", n) for n in range(3)]
    assert [each["votable"] for each in posts(db)] == [1, 0, 0]
    assert {(each["proposal"], each["task"]) for each in posts(db)} == {(number, "1")}
    assert posts(db)[1]["text"].startswith("Approved by Ada — agent/sample-1 at aaaaaaaaaaaa is pushed next.\n")
    assert posts(db)[2]["text"] == "Pushed\n1 file, +1 -0", "what was pushed stays to be seen"


def test_what_was_pushed_is_known_by_where_it_went_and_else_by_where_it_went_last(db: sqlite3.Connection) -> None:
    for number, (head, url) in enumerate((("a" * 40, URL), ("c" * 40, "git@else.example:me/sample.git"))):
        row = proposals.row_of(db, propose(db, run=f"{number}-1-x", head=head))
        proposals.record_push(db, row, url)
    last = int(propose(db, run="3-1-x", head="d" * 40))
    assert proposals.expected(db, last, URL) == "a" * 40
    assert proposals.expected(db, last, "git@else.example:me/sample.git") == "c" * 40
    assert proposals.expected(db, last, "git@third.example:me/sample.git") == "c" * 40


def test_what_a_version_before_pushed_is_still_known(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "before.sqlite", isolation_level=None)
    connection.row_factory = sqlite3.Row
    with contextlib.closing(connection):
        for script in MIGRATIONS[:6]:
            connection.executescript(script)
        connection.execute("INSERT INTO pushed VALUES ('sample', 'agent/sample-1', ?, ?)", (HEAD, clock.now()))
        for script in MIGRATIONS[6:]:
            connection.executescript(script)
        assert proposals.expected(connection, int(propose(connection)), URL) == HEAD


def test_a_vote_withdrawn_before_the_push_opens_the_card_again_and_after_it_is_too_late(db: sqlite3.Connection) -> None:
    propose(db)
    vote(db, "approve")
    stale = next_step(db)
    assert vote(db, "withdraw")["state"] == "open"
    assert not carrying._begin_push(db, stale)
    lines = posts(db)[-1]["text"].splitlines()
    assert lines[:3] == [
        "Ready to push — 1 commit. Begin", "1 file, +1 -0", "The vote was withdrawn; it is open again."
    ]  # fmt: skip
    assert "pushes exactly aaaaaaaaaaaa to agent/sample-1" in lines[3]
    assert posts(db)[-1]["votable"] == 1
    vote(db, "approve")
    carrying._begin_push(db, next_step(db))
    with pytest.raises(NotFound):
        vote(db, "withdraw")
    with pytest.raises(Conflict, match="is pushing"):
        vote(db, "withdraw", number="1")
    assert events(db)[-1] == "proposal.pushing"


def test_only_whoever_voted_takes_the_vote_back(db: sqlite3.Connection) -> None:
    propose(db)
    vote(db, "approve")
    bob = Author(id="discord:2", name="Bob")
    with pytest.raises(Conflict, match="Ada's, who alone can withdraw it"):
        proposals.vote(db, "bobs", "withdraw", bob, "1", None)
    assert next_step(db).state == "approved"
    assert vote(db, "withdraw")["state"] == "open"
    assert proposals.vote(db, "bobs-own", "approve", bob, "1", None)["state"] == "approved"
    with pytest.raises(Conflict, match="Bob's"):
        vote(db, "withdraw")
    assert proposals.vote(db, "bobs-back", "withdraw", bob, None, "sample")["state"] == "open"


def test_a_name_in_a_card_is_one_line_without_anything_hidden(db: sqlite3.Connection) -> None:
    propose(db)
    proposals.vote(db, "v", "reject", Author(id="discord:2", name="Eve\n\u202ePushed"), None, "sample")
    assert posts(db)[-1]["text"].splitlines()[0].startswith("Rejected by Eve Pushed — ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Make it faster\nand better", "Asked for by Ada in task 7: Make it faster and better"),
        ("x" * 81, "Asked for by Ada in task 7: " + "x" * 79 + "…"),
        ("\u202eReady\x1b[2J", "Asked for by Ada in task 7: Ready[2J"),
    ],
)
def test_a_card_says_who_asked_for_it_and_with_which_words(text: str, line: str) -> None:
    due = tasks.Due(7, "m1", "sample", text, ADA, [], 1, "", "", "", "", False, "", "sample")
    assert card._asked(due) == line


def test_the_same_vote_twice_counts_once_and_a_second_one_changes_nothing(db: sqlite3.Connection) -> None:
    propose(db)
    vote(db, "approve", "v1")
    assert vote(db, "reject", "v1")["state"] == "approved", "the key was used for another vote before"
    with pytest.raises(Conflict, match="the vote changes nothing"):
        vote(db, "reject", "v2", number="1")
    assert events(db).count("proposal.approved") == 1
    assert db.execute("SELECT COUNT(*) FROM votes").fetchone()[0] == 1


def test_a_rejected_proposal_is_discarded_and_its_hash_stays_in_the_log(db: sqlite3.Connection) -> None:
    number = propose(db)
    vote(db, "reject")
    assert next_step(db).state == "rejected"
    proposals.move(db, int(number), "discarded", "", edit="Discarded")
    assert event_data(db)["head"] == HEAD
    assert proposals.listing(db, "sample", True, 9) == []
    with pytest.raises(NotFound, match="nothing of sample waits for a vote"):
        vote(db, "approve")


def test_a_card_offers_commands_when_it_is_told_and_none_otherwise(db: sqlite3.Connection) -> None:
    number = propose(db)
    vote(db, "reject")
    proposals.move(db, int(number), "discarded", "", edit="Discarded", actions=("reset sample",))

    assert [each["actions"] for each in posts(db)] == ["", "", "reset sample"]


def test_a_newer_card_of_the_branch_takes_the_place_of_the_open_one_alone(db: sqlite3.Connection) -> None:
    first = propose(db)
    other = propose(db, run="o", branch="agent/sample-2")
    vote(db, "approve", number=first)
    second = propose(db, run="2", head="c" * 40)
    assert proposals.row_of(db, first)["state"] == "approved", "what was voted on is pushed"
    third = propose(db, run="3", head="d" * 40)
    assert proposals.row_of(db, second)["state"] == "superseded"
    (edit,) = [each for each in posts(db) if each["key"] == "card-2" and each["revision"]]
    assert edit["text"].startswith("Replaced — a newer card below continues agent/sample-1.\n")
    assert (edit["proposal"], edit["votable"], edit["answers"]) == (second, 0, "")
    assert proposals.row_of(db, other)["state"] == "open"
    assert vote(db, "approve")["id"] == third, "a vote without a number is for the newest card"
    with pytest.raises(Conflict, match="superseded"):
        vote(db, "approve", number=second)


def test_an_expired_card_takes_no_vote_and_may_be_proposed_again(db: sqlite3.Connection) -> None:
    number = propose(db)
    assert proposals.proposed(db, "sample", "agent/sample-1", HEAD)
    db.execute("UPDATE proposals SET expires_at = ?", (clock.text(time.time() - 1),))
    with pytest.raises(Conflict, match="`!push` proposes its branch again"):
        vote(db, "approve")
    proposals.move(db, int(number), "expired", "nobody voted")
    assert not proposals.proposed(db, "sample", "agent/sample-1", HEAD)


@pytest.mark.parametrize(
    ("state", "again"), [("open", False), ("pushed", False), ("discarded", False), ("void", True), ("refused", True)]
)
def test_what_was_asked_and_decided_is_not_asked_again(db: sqlite3.Connection, state: Any, again: bool) -> None:
    number = propose(db)
    proposals.move(db, int(number), state)
    assert proposals.proposed(db, "sample", "agent/sample-1", HEAD) is not again


def test_a_card_lives_seven_days(db: sqlite3.Connection) -> None:
    row = proposals.row_of(db, propose(db))
    assert clock.seconds(row["expires_at"]) - clock.seconds(row["created_at"]) == pytest.approx(7 * 86400, abs=2)


def test_a_project_that_needs_no_vote_is_approved_at_once_and_the_card_says_so(db: sqlite3.Connection) -> None:
    propose(db, needs_vote=False)
    assert next_step(db).answers == "m1"
    (shown,) = posts(db)
    assert "⚠️ This project is open" in shown["text"]
    assert shown["last"] == 0, "the message is answered when it is pushed"


def test_a_retried_step_waits_for_its_time_and_holds_back_nobody(db: sqlite3.Connection) -> None:
    first = propose(db)
    propose(db, run="2", project="other")
    vote(db, "approve")
    proposals.vote(db, "v", "approve", ADA, None, "other")
    db.execute("UPDATE proposals SET not_before = ? WHERE id = ?", (clock.text(time.time() + 60), first))
    assert next_step(db).project == "other"
    assert 0 < carrying._until_next(db) <= 60


def test_a_vote_for_what_cannot_be_pushed_is_refused_with_the_reason_and_another_one_counts(
    db: sqlite3.Connection,
) -> None:
    propose(db, push_problem="it has no place")
    (shown,) = posts(db)
    assert (
        shown["text"].splitlines()[-1].startswith("⚠️ Cannot be pushed: it has no place. 👎 or `-1` discards it; once")
    )
    assert shown["votable"] == 1

    with pytest.raises(Conflict, match=r"agent/sample-1 cannot be pushed: it has no place\. The card stays open"):
        proposals.vote(db, "k1", "approve", ADA, None, "sample", "it has no place")
    assert next_step(db) is None
    assert proposals.vote(db, "k2", "approve", ADA, None, "sample")["state"] == "approved"
    assert "Cannot be pushed" not in posts(db)[-1]["text"]
    assert proposals.vote(db, "k2", "approve", ADA, None, "sample", "it has no place")["state"] == "approved"
    proposals.vote(db, "k3", "withdraw", ADA, None, "sample", "it has no place")
    assert proposals.vote(db, "k4", "reject", ADA, None, "sample", "it has no place")["state"] == "rejected"


@pytest.mark.parametrize(
    ("remote", "push_url", "problem", "line"),
    [
        ("git@h:o/r", "", "", "To `git@h:o/r`"),
        ("https://token@h/r", "ssh://git@h/f", "", "To `ssh://h/f`, from `https://h/r`"),
        ("git@h:`id`", "", "", "To `git@h:?id?`"),
        ("/srv/r.git", "", "none", "From `/srv/r.git`"),
    ],
)
def test_a_card_says_where_it_goes_without_secrets(remote: str, push_url: str, problem: str, line: str) -> None:
    project = repositories.project(remote=remote)._replace(push_url=push_url, push_problem=problem)

    assert card._where(project) == [line]
