"""The progress message of a task: made, kept up, ended; and the threads of tasks."""

import itertools
import time
from typing import Any

import pytest

from herald import clock, names
from herald.bus.blocking import call
from tests.discord.herald import Herald
from tests.fake_discord.things import Message
from tests.gateway.running import wait_for

EXECUTE = "/webhooks/[^/]+/[^/]+"
EDIT = "/webhooks/[^/]+/[^/]+/messages/[0-9]+"


def show(text: str, task: str = "7", **rest: Any) -> None:
    started = clock.text(time.time() - 83)
    parameters = {
        "project": "demo",
        "task": task,
        "text": text,
        "started_at": started,
        "tokens": 12345,
        "cost_usd": 0.5,
    }
    call(names.GATEWAY, "ShowProgress", {**parameters, **rest})


def shown(herald: Herald, text: str, channel: str = "") -> Message:
    """The one progress message, once it says this."""
    return herald.posted(channel or herald.demo, text)


def end(herald: Herald, **rest: Any) -> None:
    herald.post("the answer", "a", task="7", ends="Done after 2 min.", **rest)
    herald.delivered()


def test_progress_is_one_message_under_the_agents_name_that_ends_with_the_answer(gateway: Herald) -> None:
    show("Bash: `make` @everyone")
    first = shown(gateway, "Bash: \u02cbmake\u02cb @everyone")
    assert (first.name, first.notified, first.button_ids) == ("Demo", [], ["herald:cancel:7"])
    assert first.webhook
    assert first.content.endswith("\n-# task 7 · 1 min 23 s · 12,345 tokens · $0.50")
    show("Edit: a.py")
    assert shown(gateway, "Edit: a.py").id == first.id
    end(gateway)
    gateway.posted(gateway.demo, "Done after 2 min.")

    progress, answer = gateway.discord.posts(gateway.demo)
    assert (progress.id, progress.content, progress.button_ids) == (first.id, "Done after 2 min.", [])
    assert answer.content == "```\nthe answer\n```"
    wait_for(lambda: gateway.state("SELECT message, ended FROM progress") == [(first.id, 2)])


def test_edits_are_two_seconds_apart_and_show_the_newest(gateway: Herald) -> None:
    show("begin")
    shown(gateway, "begin")
    for number in range(60):
        show(f"step {number}")
        time.sleep(0.05)
    shown(gateway, "step 59")

    edits = gateway.discord.requests("PATCH", "/webhooks/")
    assert edits
    times = [each.at for each in [*gateway.discord.requests("POST", "/webhooks/"), *edits]]
    assert all(later - earlier > 1.9 for earlier, later in itertools.pairwise(times))


def test_a_rate_limit_leaves_edits_out_and_does_not_hold_up_the_answer(gateway: Herald) -> None:
    gateway.discord.trouble.fault("PATCH", EDIT, retry_after=3.0)
    show("begin")
    shown(gateway, "begin")
    for number in range(20):
        show(f"step {number}")
    gateway.discord.wait(lambda: gateway.discord.requests("PATCH", "/webhooks/"), what="an edit that is refused")
    show("the newest")
    gateway.post("an answer", "b", task="8")
    gateway.posted(gateway.demo, "an answer", 2)
    shown(gateway, "the newest")

    assert len(gateway.discord.requests("PATCH", "/webhooks/")) == 2


@pytest.mark.parametrize("after", [True, False])
def test_after_a_kill_the_same_message_goes_on(gateway: Herald, after: bool) -> None:
    show("the first one", task="6")
    shown(gateway, "task 6")
    gateway.discord.trouble.fault("POST", EXECUTE, after=after, hold=True)
    show("begin")
    wait_for(lambda: gateway.state("SELECT 1 FROM progress WHERE task = '7'"))
    if after:
        shown(gateway, "begin")
    gateway.kill()
    gateway.discord.trouble.clear_faults()
    gateway.restart()
    show("after the kill")
    show("this one too", task="6")
    shown(gateway, "after the kill")
    shown(gateway, "this one too")

    assert len(gateway.discord.posts(gateway.demo)) == 2


def test_the_last_edit_is_made_after_a_kill_too(gateway: Herald) -> None:
    show("begin")
    shown(gateway, "begin")
    gateway.discord.trouble.fault("PATCH", EDIT, times=0, status=503)
    end(gateway)
    wait_for(lambda: gateway.state("SELECT ended FROM progress") == [(1,)])
    gateway.kill()
    gateway.discord.trouble.clear_faults()
    gateway.restart()

    gateway.posted(gateway.demo, "Done after 2 min.")


def test_progress_that_comes_late_is_not_shown(gateway: Herald) -> None:
    end(gateway)
    show("too late")
    show("another task", task="8")
    shown(gateway, "another task")

    assert not [each for each in gateway.discord.posts(gateway.demo) if "too late" in each.text]


def test_progress_that_was_removed_comes_back_no_more(gateway: Herald) -> None:
    show("begin")
    gateway.discord.delete(shown(gateway, "begin").id)
    show("again")
    wait_for(lambda: gateway.state("SELECT ended FROM progress") == [(2,)])
    show("and again")
    end(gateway)

    assert [each.content for each in gateway.discord.posts(gateway.demo)] == ["```\nthe answer\n```"]


def test_without_a_webhook_progress_is_the_bots_and_with_one_by_hand_it_has_no_button(herald: Herald) -> None:
    hook = herald.discord.webhook(herald.demo, "by hand")
    herald.configure(webhook_url=herald.discord.webhook_url(hook))
    herald.start()
    show("begin")
    herald.discord.wait(lambda: herald.discord.messages(herald.demo), what="progress")
    (message,) = herald.discord.messages(herald.demo)
    assert (message.webhook, message.button_ids) == (hook.id, [])
    herald.stop()
    herald.discord.overwrite(herald.demo, herald.discord.bot, deny=("manage_webhooks",))
    herald.configure(generation=2)
    herald.restart()
    show("begin", task="8")

    found = shown(herald, "task 8")
    assert (found.author, found.button_ids) == (herald.discord.bot, ["herald:cancel:8"])
    assert found.content.startswith("**Demo**\n")


def test_typing_is_shown_while_a_task_runs(gateway: Herald) -> None:
    show("begin")
    gateway.discord.wait(lambda: gateway.discord.changes("typing"), what="typing")

    assert gateway.discord.requests("POST", f"/channels/{gateway.demo}/typing")


def threaded(herald: Herald) -> tuple[str, str]:
    """A task with a thread: its message, and its key."""
    herald.configure(threads="task")
    herald.start()
    said = herald.discord.say(herald.operator, herald.demo, "make the cellar door close again, and paint it")
    key = f"discord:{said}"
    wait_for(lambda: herald.state(f"SELECT 1 FROM messages WHERE key = '{key}' AND state = 'done'"))
    return said, key


def test_a_task_gets_a_thread_for_its_progress_and_what_answers_it(herald: Herald) -> None:
    said, key = threaded(herald)
    show("begin", answers=key)
    herald.discord.wait(lambda: herald.discord.message(said).thread, what="a thread")
    progress = herald.posted(said, "begin")
    end(herald, answers=key)
    herald.post("Ready to push — 1 commit. x", "c", kind="card", answers=key, proposal="3", votable=True)
    herald.post("nobody asked", "n", kind="notice")
    herald.delivered()
    herald.posted(said, "Done after 2 min.")

    texts = [each.text for each in herald.discord.posts(said)]
    assert texts == ["Done after 2 min.", "```\nthe answer\n```", "Ready to push — 1 commit. x"]
    assert progress.webhook
    assert herald.discord.message(said).thread == said
    (thread,) = [each for each in herald.discord.channels() if each["id"] == said]
    assert thread["name"] == "make the cellar door close again, and paint it"
    assert [each.text for each in herald.discord.posts(herald.demo)] == ["nobody asked"]


def test_a_thread_that_is_there_already_is_used_and_its_own_messages_are_answered_in_it(herald: Herald) -> None:
    said, key = threaded(herald)
    herald.discord.thread(herald.operator, herald.demo, "mine", said)
    herald.post("first", "a", answers=key, task="7")
    herald.delivered()
    inside = f"discord:{herald.discord.say(herald.operator, said, 'and the window')}"
    wait_for(lambda: herald.state(f"SELECT 1 FROM messages WHERE key = '{inside}'"))
    herald.post("second", "b", answers=inside, task="8")
    herald.delivered()

    assert [each.text for each in herald.discord.posts(said)] == ["```\nfirst\n```", "```\nsecond\n```"]


def test_a_thread_that_cannot_be_made_is_told_once_and_the_channel_is_used(herald: Herald) -> None:
    herald.discord.overwrite(herald.demo, herald.discord.bot, deny=("create_public_threads",))
    _, key = threaded(herald)
    for number in range(2):
        herald.post(f"answer {number}", f"a{number}", answers=key, task="7")
    herald.delivered()

    texts = [each.text for each in herald.discord.posts(herald.demo)]
    assert [text for text in texts if "answer" in text] == ["```\nanswer 0\n```", "```\nanswer 1\n```"]
    assert len([text for text in texts if "Create Public Threads" in text]) == 1


def test_a_thread_that_was_removed_is_left_for_the_channel(herald: Herald) -> None:
    said, key = threaded(herald)
    herald.post("first", "a", answers=key, task="7")
    herald.delivered()
    herald.discord.remove_channel(said)
    herald.post("second", "b", answers=key, task="7")
    herald.delivered()

    assert [each.text for each in herald.discord.posts(herald.demo)] == ["```\nsecond\n```"]


def test_what_comes_from_no_message_of_discord_is_posted_in_the_channel(herald: Herald) -> None:
    herald.configure(threads="task")
    herald.start()
    show("begin", answers="schedule:1")
    shown(herald, "begin")
    end(herald, answers="schedule:1")

    assert len(herald.discord.posts(herald.demo)) == 2
