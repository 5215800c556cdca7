"""`!reset`, `!stash`, `!own`: what they say, and the buttons that say them."""

import time
import warnings

import pytest

from herald import names, snapshot
from tests.discord.herald import Herald
from tests.fake_discord.things import Message
from tests.gateway.running import SURVEYED, Bus, reply_to, say

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py's voice part imports audioop
    from herald_gateway.discord_chat.buttons import is_old

DAY = 24 * 3600.0
COMPILED = {"applied": True, "changed": True, "generation": 5, "problems": [], "notices": []}
WRONG = {"file": "projects/demo.yaml", "line": 3, "field": "workspace", "message": "is wrong"}


def in_path_mode(bus: Bus, project: str = "demo") -> None:
    """Let the project's agent work in its folder."""
    file = bus.root / "state" / "config" / "snapshot.json"
    made = snapshot.decode(file.read_bytes())
    made.projects[project] = made.projects[project]._replace(workspace="path", path="/srv/demo")
    file.write_bytes(snapshot.encode(made))


def test_reset_lists_first_and_changes_nothing(chat: Bus) -> None:
    say("!reset")

    lines = reply_to("m1")["text"].splitlines()
    assert lines[0] == (
        "The workspace of demo: 1.2 MB in 1,200 files, 3 untracked or ignored entries, 0 uncommitted changes."
    )
    assert lines[1:3] == ["Not pushed:", "• agent/demo-1 at 111111111111, 2 commits, open card 3"]
    assert "Unpushed commits are kept for 30 days, open cards can still be voted on." in lines[3]
    assert lines[4:] == ["`!reset demo --yes` resets it."]
    assert chat.calls(names.WORKER, "Reset") == []


def test_confirmed_it_is_reset_once_under_the_messages_key(chat: Bus) -> None:
    say("!reset demo --yes")

    assert reply_to("m1")["text"].splitlines() == [
        "The workspace of demo is reset; it is prepared again now.",
        "Kept for 30 days; `heraldctl fetch REF` in your clone brings one back:",
        "• agent/demo-1 at 111111111111: refs/kept/20260131-091200/agent/demo-1",
    ]
    (done,) = chat.calls(names.WORKER, "Reset")
    assert (done["key"], done["project"]) == ("m1", "demo")


def test_in_a_persons_folder_the_list_says_which_commands_of_git_run(chat: Bus) -> None:
    worker = {"Survey": {"reply": {**SURVEYED, "folder": "/srv/demo", "branches": []}}}
    chat.script(names.WORKER, worker)
    say("!reset")

    text = reply_to("m1")["text"]
    assert text.startswith("The folder of demo, /srv/demo: 1.2 MB")
    assert "`git reset --hard` and `git clean -ffdx`" in text
    assert "All commits of the agent are pushed." in text


def test_busy_is_answered_at_once_and_holds_nobody_up(chat: Bus) -> None:
    words = "a task is running in demo; wait for it or cancel it with `!cancel --running`, then try again"
    chat.script(names.WORKER, {"Survey": {"error": ["Busy", words]}, "Stash": {"error": ["Busy", words]}})
    say("!reset", "m1")
    say("!stash", "m2")

    assert reply_to("m1")["text"] == reply_to("m2")["text"] == words


def test_own_is_asked_of_the_worker_which_knows_whether_a_task_runs(chat: Bus) -> None:
    in_path_mode(chat)
    say("!own")

    assert reply_to("m1")["text"] == (
        "From now on the agent of demo works in a clone of its own. /srv/demo stays as it is. Send the task again."
    )
    (asked,) = chat.calls(names.WORKER, "Own")
    assert asked["project"] == "demo"


def test_own_where_it_is_so_already_or_the_file_is_wrong_says_so(chat: Bus) -> None:
    wrong = "the configuration is not in force:\nprojects/demo.yaml:3: workspace: is wrong"
    chat.script(names.WORKER, {"Own": {"error": ["Conflict", wrong]}})
    say("!own", "m1")
    in_path_mode(chat)
    say("!own", "m2")

    assert reply_to("m1")["text"] == "The agent of demo already works in a clone of its own."
    assert "projects/demo.yaml:3: workspace: is wrong" in reply_to("m2")["text"]
    assert len(chat.calls(names.WORKER, "Own")) == 1


@pytest.fixture
def dirty(herald: Herald) -> tuple[Herald, Message]:
    """The notice of a task that a dirty folder stopped."""
    herald.start()
    actions = ["stash demo", "own demo", "launch demo"]
    herald.post("Task 7 failed (workspace): say `!stash` or `!own`", "run-7-notice", "notice", actions=actions)
    return herald, herald.posted(herald.demo, "Task 7 failed")


def press(herald: Herald, user: str, message: Message, custom_id: str) -> str:
    return herald.discord.answer(herald.discord.click(user, message.id, custom_id)).text


def test_a_post_has_a_button_for_each_command_that_it_offers_and_for_no_other(dirty: tuple[Herald, Message]) -> None:
    herald, shown = dirty
    assert shown.button_ids == ["herald:do:stash demo", "herald:do:own demo"]

    assert "are stashed" in press(herald, herald.approver, shown, "herald:do:stash demo")
    (stashed,) = herald.calls("Stash")
    assert stashed["author"] == {"id": f"discord:{herald.approver}", "name": "ada"}
    assert "already works in a clone of its own" in press(herald, herald.approver, shown, "herald:do:own demo")


@pytest.mark.parametrize("role", ["operator", "reader"])
def test_who_may_not_is_told_so_and_nothing_happens(dirty: tuple[Herald, Message], role: str) -> None:
    herald, shown = dirty
    answer = press(herald, getattr(herald, role), shown, "herald:do:stash demo")

    assert f"approver in demo; you have {role}" in answer
    assert herald.calls("Stash") == []


@pytest.mark.parametrize(("age", "old"), [(60.0, False), (3500.0, False), (3700.0, True), (30 * DAY, True)])
def test_the_button_under_a_list_is_good_for_an_hour(age: float, old: bool) -> None:
    milliseconds = int((time.time() - age - 1420070400) * 1000)

    assert is_old(milliseconds << 22) is old


def test_the_button_under_the_list_resets(herald: Herald) -> None:
    herald.start()
    herald.discord.say(herald.approver, herald.demo, "!reset")
    listed = herald.posted(herald.demo, "The workspace of demo")
    assert listed.button_ids == ["herald:do:reset demo --yes"]
    assert herald.calls("Reset") == []

    assert "is reset" in press(herald, herald.approver, listed, "herald:do:reset demo --yes")
    assert len(herald.calls("Reset")) == 1


def test_a_discarded_card_offers_the_list_and_not_the_reset(herald: Herald) -> None:
    herald.start()
    text = "Discarded — agent/demo-1\n1 file"
    herald.post(text, "card-7", "card", proposal="3", actions=["reset demo"])
    shown = herald.posted(herald.demo, "Discarded")
    assert shown.button_ids == ["herald:do:reset demo"]

    answer = press(herald, herald.approver, shown, "herald:do:reset demo")
    assert answer.startswith("The workspace of demo: 1.2 MB")
    assert herald.calls("Reset") == []
