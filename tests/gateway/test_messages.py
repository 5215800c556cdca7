"""Messages: recorded before anything else, handed over once and in order, whatever falls."""

import contextlib
import os
import pwd
import threading

import pytest

from herald import names
from herald.bus.blocking import call
from herald.errors import Denied, HeraldError, Invalid, NotFound
from herald.snapshot import Operator
from tests.gateway.running import WORKER, Bus, Reader, posts, reply_to, say, wait_for

ME = pwd.getpwuid(os.getuid()).pw_name


def keys(bus: Bus, method: str = "Enqueue") -> list[str]:
    return [each["key"] for each in bus.calls(names.WORKER, method)]


def once(keys: list[str]) -> list[str]:
    """Keys in the order in which each came first: a call may be repeated, the key makes it one task."""
    return list(dict.fromkeys(keys))


def waiting() -> int:
    return int(call(names.GATEWAY, "GetStatus")["messages"])


def say_aside(text: str, key: str) -> None:
    """Say something whose answer is not waited for: the worker does not take it."""
    before = waiting()
    threading.Thread(target=_say_to_nobody, args=(text, key), daemon=True).start()
    wait_for(lambda: waiting() > before)


def _say_to_nobody(text: str, key: str) -> None:
    with contextlib.suppress(HeraldError):  # the gateway is killed meanwhile
        say(text, key)


def test_the_same_key_twice_is_one_message(chat: Bus) -> None:
    assert say("do it") == say("do it") == say("something else") == "task"

    assert keys(chat) == ["m1"]


def test_the_same_command_twice_is_carried_out_and_answered_once(chat: Bus) -> None:
    assert say("!cancel") == say("!cancel") == "command"

    assert reply_to("m1")["text"].startswith("Cancelled: demo: make it so")
    assert len(chat.calls(names.WORKER, "Cancel")) == 1


def test_a_kill_between_record_and_hand_over_loses_and_doubles_nothing(bus: Bus) -> None:
    bus.listen(names.WORKER)
    bus.gateway()
    for number in range(3):
        say_aside(f"task {number}", f"m{number}")
    bus.end(names.GATEWAY, kill=True)
    bus.gateway()
    bus.peer(names.WORKER, WORKER)
    wait_for(lambda: waiting() == 0)

    assert once(keys(bus)) == ["m0", "m1", "m2"]
    assert not any(each["last"] for each in posts())


def test_order_holds_over_a_restart_of_the_worker(bus: Bus) -> None:
    bus.peer(names.WORKER, WORKER)
    bus.gateway()
    say("task 0", "m0")
    bus.end(names.WORKER, kill=True)
    for number in range(1, 5):
        say_aside(f"task {number}", f"m{number}")
    bus.peer(names.WORKER, WORKER)
    wait_for(lambda: waiting() == 0)

    assert once(keys(bus)) == ["m0", "m1", "m2", "m3", "m4"]


def test_a_worker_that_dies_over_a_message_gets_it_again(bus: Bus) -> None:
    dying = bus.peer(names.WORKER, {**WORKER, "Enqueue": {"die": True}})
    bus.gateway()
    say_aside("task", "m1")
    dying.wait(10)
    bus.end(names.WORKER)
    bus.peer(names.WORKER, WORKER)
    wait_for(lambda: waiting() == 0)

    assert set(keys(bus)) == {"m1"}
    assert len(keys(bus)) >= 2


def test_say_answers_although_the_worker_does_not(bus: Bus) -> None:
    bus.peer(names.WORKER, {**WORKER, "Enqueue": {"delay": 8}})
    bus.gateway()

    assert say("task") == "task"
    status = call(names.GATEWAY, "GetStatus")
    assert status["messages"] == 1
    assert "1 message waiting for the worker since" in status["duty"]
    wait_for(lambda: waiting() == 0)
    assert keys(bus) == ["m1"]


def test_a_worker_that_is_busy_is_asked_again_and_the_operator_told_once(bus: Bus) -> None:
    bus.peer(names.WORKER, {**WORKER, "Enqueue": {"error": ["Unavailable", "the database is locked"]}})
    bus.gateway()
    say_aside("task", "m1")
    wait_for(lambda: len(keys(bus)) >= 3)
    (notice,) = posts()
    assert notice["answers"] == "m1"
    assert notice["last"] is False
    assert "the database is locked" in notice["text"]
    bus.script(names.WORKER, WORKER)

    wait_for(lambda: waiting() == 0)
    assert len(posts()) == 1


def test_an_error_of_the_worker_is_the_reply(bus: Bus) -> None:
    bus.peer(names.WORKER, {**WORKER, "Enqueue": {"error": ["Invalid", "a prompt has at most 2 MB"]}})
    bus.gateway()
    say("too long")

    reply = reply_to("m1")
    assert (reply["kind"], reply["text"], reply["project"]) == ("reply", "a prompt has at most 2 MB", "demo")
    assert waiting() == 0


def test_a_vote_is_handed_over_and_answered_by_the_worker(chat: Bus) -> None:
    assert say("👍🏽") == "vote"

    (vote,) = chat.calls(names.WORKER, "Vote")
    assert (vote["key"], vote["project"], vote["vote"]) == ("m1", "demo", "approve")
    assert vote["author"]["id"] == f"unix:{ME}"
    assert posts() == []


def test_a_vote_on_nothing_is_answered(bus: Bus) -> None:
    bus.peer(names.WORKER, {**WORKER, "Vote": {"error": ["NotFound", "nothing of demo waits for a vote"]}})
    bus.gateway()
    say("-1")

    assert reply_to("m1")["text"] == "nothing of demo waits for a vote"


def test_run_carries_the_message_key_into_the_other_project(chat: Bus) -> None:
    say("earlier in other", "m0", "other")
    assert say("!run other 'fix it'") == "command"

    _, enqueued = chat.calls(names.WORKER, "Enqueue")
    assert (enqueued["key"], enqueued["project"], enqueued["text"]) == ("m1", "other", "fix it")
    assert [quote["text"] for quote in enqueued["history"]] == ["earlier in other"]
    (reply,) = posts()
    assert (reply["project"], reply["last"]) == ("demo", False)
    assert reply["text"] == "Queued for other as task 7. The answer comes in the channel of other."


def test_history_holds_what_was_said_and_posted(chat: Bus) -> None:
    say("list the files", "m0")
    call(names.GATEWAY, "Post", {"key": "p", "project": "demo", "kind": "answer", "text": "a\nb", "identity": "Demo"})
    say("!projects", "m1")
    reply_to("m1")
    say("do the top one", "m2")

    history = chat.calls(names.WORKER, "Enqueue")[1]["history"]
    authors = [(quote["author"], quote["text"]) for quote in history]
    assert authors[:3] == [
        (f"{ME} (unix:{ME})", "list the files"),
        ("Demo", "a\nb"),
        (f"{ME} (unix:{ME})", "!projects"),
    ]
    assert authors[3][0] == "Herald"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!status", "2 tasks queued, 1 proposal open."),
        ("!queue", "1. cancelled: demo: make it so (Ada, 7)"),
        ("!projects", "No project is configured yet"),
        ("!push", "Nothing to push in demo"),
        ("!statsu", "The nearest is !status; !help lists all."),
        ("!cancel --runing", "The form is !cancel [project] [--running]."),
    ],
)
def test_commands_are_answered(chat: Bus, text: str, expected: str) -> None:
    assert say(text) == "command"

    reply = reply_to("m1")
    assert expected in reply["text"]
    assert reply["kind"] == "reply"
    assert chat.calls(names.WORKER, "Enqueue") == []


def test_reload_answers_with_file_line_and_field(chat: Bus) -> None:
    problem = {
        "file": "projects/demo.yaml",
        "line": 3,
        "field": "git.remot",
        "message": "unknown; did you mean remote?",
    }
    compiled = {"applied": False, "changed": True, "generation": 4, "problems": [problem], "notices": []}
    chat.peer(names.CONFIG, {"Reload": {"reply": compiled}})
    say("!reload")

    assert "projects/demo.yaml:3: git.remot: unknown; did you mean remote?" in reply_to("m1")["text"]


def test_a_question_does_not_wait_behind_a_task(bus: Bus) -> None:
    bus.peer(names.WORKER, {**WORKER, "Enqueue": {"delay": 4}})
    bus.gateway()
    say_aside("task", "m1")
    say("!status", "m2")

    assert "queued" in reply_to("m2")["text"]
    assert waiting() == 1


def test_a_worker_that_is_away_is_told_as_the_answer_of_a_question(bus: Bus) -> None:
    bus.peer(names.WORKER, {"GetStatus": {"error": ["Unavailable", "herald-worker is locked out"]}})
    bus.gateway()
    say("!status")

    assert reply_to("m1")["text"] == "herald-worker is locked out"


def test_a_cancel_that_was_cut_short_is_not_done_twice(bus: Bus) -> None:
    bus.peer(names.WORKER, {**WORKER, "Cancel": {"delay": 60}})
    bus.gateway()
    say_aside("!cancel", "m1")
    wait_for(lambda: bus.calls(names.WORKER, "Cancel"))
    bus.end(names.GATEWAY, kill=True)
    bus.gateway()

    assert "interrupted" in reply_to("m1")["text"]
    assert len(bus.calls(names.WORKER, "Cancel")) == 1


def test_a_push_that_takes_long_is_asked_for_once(bus: Bus) -> None:
    bus.peer(names.WORKER, {**WORKER, "Propose": {**WORKER["Propose"], "delay": 12}})
    bus.gateway()
    say_aside("!push", "m1")
    wait_for(lambda: waiting() == 0, 20)

    assert len(bus.calls(names.WORKER, "Propose")) == 1
    assert "Nothing to push" in reply_to("m1")["text"]


def operator(role: str, *projects: str) -> Operator:
    return Operator("", ME, ME, role, projects)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["do it", "+1", "!run demo do it", "!cancel", "!push", "!reload"])
def test_a_reader_is_refused_in_one_line(chat: Bus, text: str) -> None:
    chat.configure(operator("reader"))
    say(text)

    reply = reply_to("m1")["text"]
    assert "you have reader" in reply
    assert "\n" not in reply
    assert keys(chat) == []
    assert chat.calls(names.WORKER, "Vote") == []


def test_a_reader_may_look(chat: Bus) -> None:
    chat.configure(operator("reader"))
    say("!status")

    assert "queued" in reply_to("m1")["text"]


def test_an_operator_gives_tasks_but_does_not_vote(chat: Bus) -> None:
    chat.configure(operator("operator"))
    say("do it", "m1")
    say("+1", "m2")

    assert keys(chat) == ["m1"]
    assert "needs the right approver" in reply_to("m2")["text"]


def test_rights_are_those_of_the_project_that_is_meant(chat: Bus) -> None:
    chat.configure(operator("approver", "demo"))
    say("!run other do it")

    assert "needs the right operator in other; you have none" in reply_to("m1")["text"]
    assert keys(chat) == []


def test_a_stranger_is_ignored_and_noted_once(chat: Bus) -> None:
    chat.configure(operator("approver", "other"))

    assert say("do it", "m1") == say("+1", "m2") == say("!status", "m3") == "ignored"
    assert posts() == []
    assert chat.rows("SELECT count(*) FROM messages") == [(0,)]
    assert chat.journal().count(f"unix:{ME}") == 1


def test_messages_that_belong_nowhere(chat: Bus) -> None:
    with pytest.raises(NotFound, match="no project named 'nothing'"):
        say("do it", project="nothing")
    with pytest.raises(Invalid, match="empty"):
        say(" \n")
    say("do it", project="")
    assert "!run <project> <task>" in reply_to("m1")["text"]


def test_text_is_taken_as_it_is(chat: Bus) -> None:
    text = "/cost @/etc/hostname \0 \x1b ```\n" + "ü" * 1_000_000
    say(text)
    say("half \ud800 pair", "m2")

    first, second = chat.calls(names.WORKER, "Enqueue")
    assert first["text"] == text
    assert second["text"] == "half \ufffd pair"


def test_ten_messages_at_once_are_each_taken_once(chat: Bus) -> None:
    threads = [threading.Thread(target=say, args=("do it", f"m{number % 5}")) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(keys(chat)) == [f"m{number}" for number in range(5)]


def test_sigterm_stops_at_once_and_keeps_what_waits(bus: Bus) -> None:
    bus.listen(names.WORKER)
    gateway = bus.gateway()
    Reader()
    say_aside("task", "m1")
    gateway.terminate()

    assert gateway.wait(3) == 0
    assert bus.journal() == ""
    assert bus.rows("SELECT key, state FROM messages") == [("m1", "recorded")]


def test_a_damaged_database_is_set_aside_and_the_gateway_serves(bus: Bus) -> None:
    folder = bus.root / "state" / "gateway"
    folder.mkdir(parents=True)
    (folder / "gateway.sqlite").write_bytes(b"no database at all" * 100)
    bus.peer(names.WORKER, WORKER)
    bus.gateway()
    say("do it")

    assert keys(bus) == ["m1"]
    assert len(list(folder.glob("gateway.sqlite.damaged-*"))) == 1
    assert "set aside" in bus.journal()


def test_a_person_cannot_post_as_herald(bus: Bus) -> None:
    bus.environment["HERALD_MODE"] = "system"
    bus.gateway()

    for method, parameters in (
        ("Post", {"key": "p", "project": "demo", "kind": "card", "text": "Ready to push"}),
        ("ShowProgress", {"project": "demo", "task": "1", "text": "x"}),
    ):
        with pytest.raises(Denied):
            call(names.GATEWAY, method, parameters)


def test_a_long_message_outlasts_the_deadline_of_a_worker_that_is_away(bus: Bus) -> None:
    """More than the socket takes: the deadline of the call passes while it is still being sent."""
    bus.listen(names.WORKER)
    bus.gateway()
    text = "x" * 1_000_000
    say_aside(text, "m1")
    wait_for(posts, 20)
    assert "Not taken yet" in posts()[0]["text"]
    bus.peer(names.WORKER, WORKER)
    wait_for(lambda: waiting() == 0)

    assert bus.calls(names.WORKER, "Enqueue")[-1]["text"] == text
    assert len(posts()) == 1
