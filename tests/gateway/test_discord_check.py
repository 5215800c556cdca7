"""`heraldctl discord check`: what is missing in Discord, where, and what to do about it."""

import json
from typing import Any

import pytest

from herald.bus.blocking import call
from herald.errors import Unavailable
from tests.cli.test_heraldctl import heraldctl
from tests.discord.herald import Herald
from tests.gateway.running import Bus, wait_for

INVITATION = "&scope=bot+applications.commands&permissions=309774634064"


def findings(herald: Herald) -> list[dict[str, Any]]:
    """What is missing, as the command line tells it."""
    done = heraldctl(herald.bus, "discord", "check", "--json")
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    assert done.returncode == (1 if found else 0)
    assert all(each["remedy"] for each in found)
    return found


def test_nothing_is_missing(gateway: Herald) -> None:
    gateway.discord.wait(gateway.discord.commands, what="the slash command")
    done = heraldctl(gateway.bus, "discord", "check")

    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing is missing" in done.stdout
    for place in ("project demo", "project other", "system channel"):
        assert place in done.stdout


@pytest.mark.parametrize(
    ("denied", "shown"),
    [
        (("view_channel", "send_messages"), "the bot lacks View Channel"),
        (("send_messages",), "the bot lacks Send Messages, Embed Links, Attach Files"),
        (("embed_links", "attach_files"), "Embed Links, Attach Files"),
        (("add_reactions",), "Add Reactions"),
        (("read_message_history",), "Read Message History"),
        (("manage_webhooks",), "Manage Webhooks"),
    ],
)
def test_a_permission_that_is_missing_in_one_channel_is_named_with_it(
    gateway: Herald, denied: tuple[str, ...], shown: str
) -> None:
    gateway.discord.overwrite(gateway.other, gateway.discord.bot, deny=denied)

    def found() -> list[dict[str, Any]]:
        return [each for each in findings(gateway) if "#other" in each["place"]]

    wait_for(found)
    (finding,) = found()
    assert finding["problem"].endswith(shown)
    assert "Edit Channel, Permissions" in finding["remedy"]
    done = heraldctl(gateway.bus, "discord", "check")
    assert done.returncode == 1
    assert shown in done.stderr


def test_threads_need_more_only_where_they_are_used(herald: Herald) -> None:
    herald.discord.everybody(
        "view_channel", "send_messages", "read_message_history", "add_reactions", "embed_links", "attach_files",
        "use_application_commands",
    )  # fmt: skip
    herald.start()
    herald.discord.wait(herald.discord.commands, what="the slash command")
    assert findings(herald) == []
    herald.configure(generation=2, threads="task")

    found = findings(herald)
    assert {each["problem"] for each in found} == {"the bot lacks Create Public Threads, Send Messages in Threads"}
    assert len(found) == 2


def test_what_addproject_needs_in_the_server(gateway: Herald) -> None:
    gateway.discord.permissions("manage_webhooks")

    def found() -> list[dict[str, Any]]:
        return [each for each in findings(gateway) if "addproject" in each["problem"]]

    wait_for(found)
    assert found()[0]["problem"] == "for !addproject the bot lacks Manage Channels"
    assert INVITATION in found()[0]["remedy"]


def test_a_channel_that_is_gone_is_named(gateway: Herald) -> None:
    gateway.discord.remove_channel(gateway.other)

    wait_for(lambda: findings(gateway))
    (finding,) = findings(gateway)
    assert finding["place"] == "the channel of project other"
    assert f"there is no channel {gateway.other}" in finding["problem"]
    assert "discord_channel_id in projects/other.yaml" in finding["remedy"]


def test_a_bot_in_no_server_gets_the_address_that_invites_it(gateway: Herald) -> None:
    gateway.discord.remove_bot(gateway.discord.guild)

    wait_for(lambda: any("no server" in each["problem"] for each in findings(gateway)))
    (finding,) = [each for each in findings(gateway) if "no server" in each["problem"]]
    assert f"client_id={gateway.discord.application}{INVITATION}" in finding["remedy"]


def test_an_intent_that_is_off_is_said_although_the_connection_is_refused(herald: Herald) -> None:
    herald.discord.trouble.settings(allowed_intents=1 << 0 | 1 << 9 | 1 << 10 | 1 << 12)
    herald.bus.gateway()
    wait_for(lambda: "Message Content" in herald.connection())

    (finding,) = findings(herald)
    assert "Message Content" in finding["problem"]
    assert "https://discord.com/developers/applications" in finding["problem"] + finding["remedy"]


def test_a_token_that_is_refused_is_said(herald: Herald) -> None:
    herald.token("not-the-token")
    herald.bus.gateway()
    wait_for(lambda: "token" in herald.connection())

    (finding,) = findings(herald)
    assert "token" in finding["problem"]
    assert "not-the-token" not in finding["problem"]


def test_without_a_connection_it_exits_with_6(herald: Herald) -> None:
    herald.discord.trouble.settings(refuse=503)
    herald.bus.gateway()
    done = heraldctl(herald.bus, "discord", "check")

    assert (done.returncode, done.stdout) == (6, "")
    assert "no connection to Discord" in done.stderr


def test_without_a_token_it_says_where_the_token_belongs(chat: Bus) -> None:
    with pytest.raises(Unavailable, match="discord_token"):
        call("gateway", "CheckDiscord", deadline=20)


def test_a_person_may_ask(bus: Bus) -> None:
    from herald.bus.callers import Caller

    bus.environment["HERALD_MODE"] = "system"
    assert Caller("person", "ada", 1).may_call("io.herald.Gateway", "CheckDiscord")
