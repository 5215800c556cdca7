"""What people say in Discord, and what becomes of it."""

import time

import pytest

from tests.discord.herald import Herald


def test_a_message_becomes_one_task_and_is_marked(gateway: Herald) -> None:
    said = gateway.discord.say(gateway.approver, gateway.demo, "make it so")

    (task,) = gateway.tasks(1)
    gateway.eyes(said)
    assert (task["key"], task["project"], task["text"]) == (f"discord:{said}", "demo", "make it so")
    assert task["author"] == {"id": f"discord:{gateway.approver}", "name": "ada"}
    assert gateway.discord.posts(gateway.demo) == []


def test_messages_of_a_channel_become_tasks_in_their_order(gateway: Herald) -> None:
    ids = [gateway.discord.say(gateway.approver, gateway.demo, f"task {number}") for number in range(20)]

    tasks = gateway.tasks(20)

    assert [each["key"] for each in tasks] == [f"discord:{each}" for each in ids]
    assert len({each["key"] for each in tasks}) == 20


def test_strangers_bots_and_webhooks_get_nothing(gateway: Herald) -> None:
    discord = gateway.discord
    hook = discord.webhook(gateway.demo, "elsewhere")

    ignored = [
        discord.say(gateway.stranger, gateway.demo, "do this"),
        discord.say(gateway.stranger, gateway.demo, "!status"),
        discord.say(gateway.machine, gateway.demo, "!status"),
        discord.webhook_says(hook.id, "do that"),
        discord.say(gateway.approver, gateway.demo, "", kind=7),
    ]
    discord.dm(gateway.stranger, "psst")
    last = discord.say(gateway.approver, gateway.demo, "last")

    gateway.eyes(last)
    assert [each["text"] for each in gateway.tasks(1)] == ["last"]
    assert [discord.message(each).reactions for each in ignored] == [{}] * 5
    assert discord.posts(gateway.demo) == []
    assert gateway.journal().count(gateway.stranger) == 1
    assert all(each["type"] != 1 for each in discord.channels() if discord.posts(each["id"]))


def test_a_reader_is_refused_in_one_line(gateway: Herald) -> None:
    gateway.discord.say(gateway.reader, gateway.demo, "do this")

    gateway.discord.wait(lambda: gateway.discord.posts(gateway.demo))
    (refusal,) = gateway.discord.posts(gateway.demo)
    assert "\n" not in refusal.content
    assert gateway.calls("Enqueue") == []


def test_a_direct_message_is_refused_in_one_line(gateway: Herald) -> None:
    said = gateway.discord.dm(gateway.approver, "do this")

    here = gateway.discord.message(said).channel
    gateway.discord.wait(lambda: gateway.discord.posts(here))
    (refusal,) = gateway.discord.posts(here)
    assert "\n" not in refusal.content
    assert gateway.calls("Enqueue") == []


def test_outside_of_its_channels_only_commands_are_taken(gateway: Herald) -> None:
    gateway.discord.say(gateway.approver, gateway.elsewhere, "hello all")
    gateway.discord.say(gateway.approver, gateway.elsewhere, "!hooray")
    gateway.discord.say(gateway.approver, gateway.elsewhere, "!projects")

    gateway.discord.wait(lambda: gateway.discord.posts(gateway.elsewhere))
    gateway.delivered()
    (reply,) = gateway.discord.posts(gateway.elsewhere)
    assert "demo" in reply.content
    assert gateway.calls("Enqueue") == []


def test_a_thread_counts_as_its_channel_and_a_deleted_message_is_a_task_still(gateway: Herald) -> None:
    discord = gateway.discord
    said = discord.say(gateway.approver, gateway.demo, "begin")
    discord.delete(said)
    thread = discord.thread(gateway.approver, gateway.demo, "details")
    in_thread = discord.say(gateway.approver, thread, "go on")

    tasks = gateway.tasks(2)

    assert [each["key"] for each in tasks] == [f"discord:{said}", f"discord:{in_thread}"]
    assert {each["project"] for each in tasks} == {"demo"}


def test_another_guild_is_read_like_the_first(herald: Herald) -> None:
    discord = herald.discord
    guild = discord.new_guild("second")
    person = discord.user("ada2", guilds=[guild])
    herald.channels["demo"] = there = discord.channel("demo", guild)
    herald.approver = person
    herald.configure()
    herald.start()

    discord.say(person, there, "from the second guild")

    assert [each["text"] for each in herald.tasks(1)] == ["from the second guild"]


def test_a_first_start_begins_at_the_newest_message(herald: Herald) -> None:
    herald.discord.say(herald.approver, herald.demo, "said before Herald was there")
    herald.start()
    herald.discord.say(herald.approver, herald.demo, "said after")

    assert [each["text"] for each in herald.tasks(1)] == ["said after"]


def test_what_the_worker_does_not_take_yet_is_kept_and_told(gateway: Herald) -> None:
    gateway.answers("Enqueue", error=["Busy", "the disk is full"])
    said = gateway.discord.say(gateway.approver, gateway.demo, "later")

    gateway.posted(gateway.demo, "the disk is full")
    gateway.answers("Enqueue", reply={"task": "7", "created": True, "ahead": 0, "steered": False})

    gateway.eyes(said)


def test_attachments_reach_the_worker_and_archives_do_not(gateway: Herald) -> None:
    discord = gateway.discord
    said = discord.say(gateway.approver, gateway.demo, "look", {"notes.txt": b"some notes", "evil.zip": b"PK\3\4"})

    (task,) = gateway.tasks(1)
    gateway.eyes(said)
    gateway.posted(gateway.demo, "evil.zip")
    assert "look" in task["text"]
    assert task.get("attachments") is not None
    assert len(discord.changes("download")) == 1


@pytest.mark.parametrize("seen", ["online", "away"])
def test_a_message_of_more_than_a_day_ago_is_asked_about(herald: Herald, seen: str) -> None:
    discord = herald.discord
    discord.say(herald.approver, herald.demo, "long ago", at=time.time() - 3 * 86400)
    herald.start()
    herald.stop()
    old = discord.say(herald.approver, herald.demo, "yesterday", at=time.time() - 90000)
    new = discord.say(herald.approver, herald.demo, "just now")
    herald.restart()

    question = herald.posted(herald.demo, "yesterday")
    assert [each["key"] for each in herald.tasks(1)] == [f"discord:{new}"]
    discord.click(herald.approver, question.id, question.button_ids[0])
    assert [each["key"] for each in herald.tasks(2)] == [f"discord:{new}", f"discord:{old}:late"]
    if seen == "away":
        herald.stop()
        herald.restart()
        herald.delivered()
        assert len({each["key"] for each in herald.calls("Enqueue")}) == 2  # one may be handed in again after the stop
