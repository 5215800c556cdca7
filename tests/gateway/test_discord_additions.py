"""`!addproject` and `!webhook`: what is there afterwards, whatever was missing at first and whatever was killed when.

The gateway and herald-config are the real ones; the worker is scripted, it only says that it cloned.
"""

import sqlite3
import stat
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from herald import names
from herald.bus.blocking import call
from tests.discord.herald import Herald
from tests.fake_discord.permissions import BITS
from tests.gateway.adding import ABSENT, CLONED, COMMAND, PICTURE, QUEUED, URL, Adding


@pytest.fixture
def idle(herald: Herald) -> Iterator[Adding]:
    """The gateway is not started yet."""
    adding = Adding(herald)
    yield adding
    adding.config.go.set()
    adding.config.close()


@pytest.fixture
def adding(idle: Adding) -> Adding:
    idle.herald.start()
    return idle


def allowed(channel: dict[str, Any], who: str) -> set[str]:
    """What an overwrite lets somebody do."""
    bits = sum(int(each["allow"]) for each in channel["permission_overwrites"] if each["id"] == who)
    return {name for name, bit in BITS.items() if bits & bit}


def test_a_project_is_added_in_one_step(adding: Adding) -> None:
    herald = adding.herald
    told = adding.add(files=PICTURE)
    channel = adding.assert_complete()
    assert f"<#{channel}>" in told
    assert "projects/chortle.yaml is written" in told
    assert f"not in this server, so not let in: operator ({ABSENT})" in told

    (made,) = adding.channels()
    (everyone,) = [each for each in made["permission_overwrites"] if each["id"] == adding.discord.guild]
    assert int(everyone["deny"]) & BITS["view_channel"]
    for person in (herald.approver, herald.operator, adding.discord.bot):
        assert {"view_channel", "send_messages", "read_message_history"} <= allowed(made, person)
    assert allowed(made, herald.reader) == {"view_channel", "read_message_history"}
    assert allowed(made, herald.stranger) == set()

    (hook,) = adding.discord.webhooks(channel)
    assert hook.avatar
    assert stat.S_IMODE(adding.book.stat().st_mode) == 0o600
    assert not list((adding.herald.bus.root / "state" / "gateway").rglob("pictures/*"))
    for line in ("0 8 * * *", "0 9 * * 1", ".herald/MEMORY.md", "blog/YYYY-MM-DD-weekly.md"):
        assert line in adding.yaml()
    asker = {"id": f"discord:{herald.operator}", "name": "otto"}
    assert [each["author"] for each in herald.calls("Clone") + herald.calls("Bootstrap")] == [asker, asker]

    herald.post("Hello, I am Pounce.", key="intro", project="chortle", identity="Pounce")
    said = herald.posted(channel, "Hello, I am Pounce.")
    assert (said.name, said.webhook) == ("Pounce", hook.id)
    herald.post(f"I was told {hook.token}", key="leak", project="chortle", identity="Pounce")
    assert "I was told [secret]" in herald.posted(channel, "I was told").text
    assert hook.token not in herald.journal()


def test_without_an_agent_name_the_project_gives_it(adding: Adding) -> None:
    adding.add(f"!addproject chortle {URL}")
    (channel,) = adding.channels()
    assert channel["name"] == "chortle"
    (hook,) = adding.discord.webhooks(channel["id"])
    assert hook.name == "chortle"


def test_an_existing_channel_is_taken_and_its_permissions_left_alone(adding: Adding) -> None:
    before = [each for each in adding.discord.channels() if each["id"] == adding.herald.elsewhere]
    adding.add(f'!addproject chortle {URL} #elsewhere "Pounce the Cat"')
    assert adding.channels() == []
    after = [each for each in adding.discord.channels() if each["id"] == adding.herald.elsewhere]
    for each in (*before, *after):
        each.pop("last_message_id", None)
    assert before == after
    (hook,) = adding.discord.webhooks(adding.herald.elsewhere)
    assert hook.name == "Pounce the Cat"
    assert f"'{adding.herald.elsewhere}'" in adding.yaml() or f'"{adding.herald.elsewhere}"' in adding.yaml()


def test_what_cannot_be_is_said_before_anything_is_made(adding: Adding) -> None:
    adding.discord.overwrite(adding.herald.other, adding.discord.bot, deny=("view_channel",))
    adding.discord.overwrite(adding.herald.elsewhere, adding.discord.bot, deny=("manage_webhooks",))
    for text, words in (
        (f"!addproject chortle {URL} #demo", "is the channel of demo already"),
        (f"!addproject chortle {URL} #herald", "speaks of itself"),
        (f"!addproject chortle {URL} #elswhere", "the nearest is #elsewhere"),
        (f"!addproject chortle {URL} #other", "no text channel #other"),
        (
            f"!addproject chortle {URL} #elsewhere",
            f"lacks the permission Manage Webhooks in <#{adding.herald.elsewhere}>",
        ),
        (f"!addproject chortle {URL} 'Discord Cat'", "refuses names with 'discord'"),
        (f"!addproject demo {URL}", "there is a project demo already"),
        ("!addproject chortle http://example.org/x.git", "git.remote"),
    ):
        adding.say(text)
        adding.answer(words)
    adding.say(files={"notes.txt": b"no picture"})
    adding.answer("attach a PNG, JPEG, GIF or WebP")
    assert adding.files() == ["demo.yaml", "other.yaml"]
    assert adding.channels() == []
    assert adding.herald.calls("Clone") == []


def test_a_permission_that_is_missing_is_said_first_and_then_it_goes_on(adding: Adding) -> None:
    every = {"manage_channels": "Manage Channels", "manage_webhooks": "Manage Webhooks"}
    for missing, words in every.items():
        adding.discord.permissions("manage_roles", *(each for each in every if each != missing))
        adding.say()
        adding.answer(f"lacks the permission {words}")
        assert adding.files() == ["demo.yaml", "other.yaml"]
    adding.discord.permissions("manage_roles", *every)
    adding.add()
    adding.assert_complete()


@pytest.mark.parametrize("made", ["/guilds/.*/channels", "/channels/.*/webhooks"])
def test_what_was_made_although_the_answer_was_an_error_is_not_made_again(adding: Adding, made: str) -> None:
    discord, system = adding.discord, adding.herald.system
    discord.wait(lambda: discord.webhooks(system), 30, "the webhook of the alarm")
    discord.trouble.fault("POST", made, status=502, after=True)
    adding.add()
    adding.assert_complete()


def test_a_key_that_the_remote_refuses_is_said_and_the_same_command_goes_on(adding: Adding) -> None:
    said = "git@example.org refused the key /etc/herald/credentials/git_ssh_key; add its .pub there"
    adding.herald.answers("Clone", error=["Failed", said])
    adding.say(files=PICTURE)
    told = adding.answer("is not added yet")
    assert said in told
    assert "projects/chortle.yaml is written" in told
    assert "enabled: false" in adding.yaml()
    assert adding.channels() == []
    adding.herald.answers("Clone", reply=CLONED)
    adding.add()  # the picture was kept
    channel = adding.assert_complete()
    assert adding.discord.webhooks(channel)[0].avatar


def test_another_address_and_name_may_be_given_while_it_is_not_complete(adding: Adding) -> None:
    adding.herald.answers("Clone", error=["Failed", "no such repository"])
    adding.say("!addproject chortle git@example.org:wrong.git Cat")
    adding.answer("no such repository")
    adding.herald.answers("Clone", reply=CLONED)
    adding.add()
    adding.assert_complete()
    assert "wrong" not in adding.yaml()


def test_a_project_that_was_removed_by_hand_can_be_added_again(adding: Adding) -> None:
    adding.add()
    first = adding.assert_complete()
    (adding.folder / "projects" / "chortle.yaml").unlink()
    assert call(names.CONFIG, "Reload", {}, deadline=30)["applied"]
    adding.discord.remove_channel(first)
    adding.say()
    adding.answer("is added.", times=2)
    (channel,) = adding.channels()
    assert channel["id"] != first
    assert len(adding.discord.webhooks(channel["id"])) == 1
    assert len({each["key"] for each in adding.herald.calls("Bootstrap")}) == 2


def test_from_the_terminal_it_is_the_configured_server(adding: Adding) -> None:
    call(names.GATEWAY, "Say", {"key": "k1", "project": "", "text": COMMAND}, deadline=60)
    adding.discord.wait(lambda: adding.herald.calls("Bootstrap"), 30)
    adding.assert_complete()


def test_by_slash_it_is_the_same(adding: Adding) -> None:
    herald = adding.herald
    adding.discord.wait(adding.discord.commands, what="slash commands")
    asked = adding.discord.slash(
        herald.operator, herald.system, "herald addproject", name="chortle", repo_url=URL, agent_name="Pounce"
    )
    assert "is added." in adding.discord.answer(asked, 30).text
    adding.assert_complete()


def test_said_twice_at_once_it_is_done_once(adding: Adding) -> None:
    adding.say()
    adding.say()
    adding.answer("is added.")
    adding.answer("there is a project chortle already")
    adding.assert_complete()


def test_while_discord_is_away_it_waits_and_goes_on_by_itself(adding: Adding) -> None:
    adding.herald.answers("Clone", reply=CLONED, delay=2)
    adding.say()
    adding.discord.wait(lambda: adding.herald.calls("Clone"), 30)
    adding.discord.trouble.fault("POST", "/guilds/.*", times=3, status=503)
    adding.answer("is added.")
    adding.assert_complete()
    assert len(adding.herald.calls("Clone")) == 1


STEPS = (
    "before the file", "at the file", "at the clone", "before the channel", "at the channel", "before the webhook",
    "at the webhook", "before it is enabled", "when it is enabled", "at the first task", "at the answer",
)  # fmt: skip


def stop_at(adding: Adding, step: str) -> Callable[[], object]:
    """Whoever is asked at a step does not answer; returns what tells that it was asked. `before`: nothing is done."""
    herald, discord, trouble = adding.herald, adding.discord, adding.discord.trouble
    done = not step.startswith("before")
    match step.rpartition(" ")[2]:
        case "file":
            adding.config.acts = ["serve when let go" if done else "lose"]
        case "enabled":
            adding.config.acts = ["serve", "serve when let go" if done else "lose"]
        case "clone":
            herald.answers("Clone", reply=CLONED, delay=3)
            return lambda: herald.calls("Clone")
        case "channel":
            trouble.fault("POST", "/guilds/.*/channels", hold=True, after=done)
            return lambda: discord.requests("POST", "/guilds/")
        case "webhook":
            trouble.fault("POST", "/channels/.*/webhooks", hold=True, after=done)
            return lambda: discord.requests("POST", "/webhooks")
        case "task":
            herald.answers("Bootstrap", reply=QUEUED, delay=3)
            return lambda: herald.calls("Bootstrap")
        case "answer":
            trouble.fault("POST", f"/channels/{herald.system}/messages", hold=True)
            return lambda: discord.requests("POST", f"/channels/{herald.system}/messages")
    return adding.config.reached.is_set


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_ends_complete(adding: Adding, step: str) -> None:
    herald = adding.herald
    reached = stop_at(adding, step)
    adding.say(files=PICTURE)
    adding.discord.wait(reached, 30, step)
    herald.kill()
    adding.config.go.set()
    adding.discord.trouble.clear_faults()
    herald.script |= {"Clone": {"reply": CLONED}, "Bootstrap": {"reply": QUEUED}}
    herald.bus.script(names.WORKER, herald.script)

    herald.restart()
    adding.say()  # said again, too
    adding.answer("is added.")
    adding.answer("there is a project chortle already")
    channel = adding.assert_complete()
    assert adding.discord.webhooks(channel)[0].avatar


def test_killed_before_it_could_say_that_it_is_done_it_says_so_afterwards(adding: Adding) -> None:
    said = adding.say()
    adding.answer("is added.")
    adding.herald.kill()
    with sqlite3.connect(adding.herald.bus.root / "state" / "gateway" / "gateway.sqlite") as database:
        database.execute("DELETE FROM posts WHERE key = ?", (f"reply:discord:{said}",))
        database.execute("UPDATE messages SET state = 'recorded' WHERE key = ?", (f"discord:{said}",))
    database.close()
    adding.herald.restart()
    query = f"SELECT text FROM posts WHERE key = 'reply:discord:{said}'"
    adding.discord.wait(lambda: adding.herald.state(query), 30, "the answer")
    ((text,),) = adding.herald.state(query)
    assert text.startswith("chortle is added.")
    adding.assert_complete()


def test_a_webhook_is_renewed_as_often_as_one_likes(adding: Adding) -> None:
    for number in (1, 2):
        adding.say("!webhook demo", PICTURE, channel=adding.herald.demo)
        adding.answer("name and picture are set", number, channel=adding.herald.demo)
    (hook,) = adding.discord.webhooks(adding.herald.demo)
    assert (hook.name, bool(hook.avatar)) == ("demo", True)
