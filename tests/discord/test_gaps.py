"""What happens when the connection, Discord or the gateway itself is away: nothing lost, nothing done twice."""

import json
import time

import pytest

from tests.discord.herald import Herald

_BACK = 8.0
"""Seconds; 5 on a machine that does nothing else."""


def _keys(herald: Herald) -> list[str]:
    return [each["key"] for each in herald.calls("Enqueue")]


def test_what_was_said_while_the_gateway_was_dead_is_taken_once_in_order(gateway: Herald) -> None:
    discord = gateway.discord
    before = discord.say(gateway.approver, gateway.demo, "before")
    gateway.tasks(1)
    gateway.kill()
    thread = discord.thread(gateway.approver, gateway.demo, "born meanwhile")
    missed = [discord.say(gateway.approver, gateway.demo, f"missed {number}") for number in range(120)]
    aside = discord.say(gateway.approver, thread, "in the thread")

    gateway.restart()

    gateway.tasks(122)
    gateway.kill()
    gateway.restart()
    after = discord.say(gateway.approver, gateway.demo, "after")
    gateway.tasks(123)
    keys = _keys(gateway)
    in_channel = [each for each in dict.fromkeys(keys) if each != f"discord:{aside}"]
    assert in_channel == [f"discord:{each}" for each in (before, *missed, after)]
    assert f"discord:{aside}" in keys


@pytest.mark.parametrize("moment", ["Enqueue", "reaction"])
def test_a_kill_while_a_message_is_taken_leaves_one_task(herald: Herald, moment: str) -> None:
    herald.start()
    if moment == "Enqueue":
        herald.answers("Enqueue", reply={"task": "7", "created": True, "ahead": 0, "steered": False}, delay=1.0)
    else:
        herald.discord.trouble.fault("PUT", ".*/reactions/.*", hold=True)
    said = herald.discord.say(herald.approver, herald.demo, "once")
    herald.tasks(1)
    herald.kill()
    herald.discord.trouble.clear_faults()
    herald.answers("Enqueue", reply={"task": "7", "created": False, "ahead": 0, "steered": False})

    herald.restart()

    herald.eyes(said)
    assert set(_keys(herald)) == {f"discord:{said}"}  # the worker knows a key that comes twice


def test_doubled_and_reordered_events_change_nothing(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.duplicate("MESSAGE_CREATE", 2)
    first = [discord.say(gateway.approver, gateway.demo, text) for text in ("a", "b")]
    gateway.tasks(2)
    discord.trouble.hold("MESSAGE_CREATE")
    shuffled = [discord.say(gateway.approver, gateway.demo, text) for text in ("c", "d", "e")]
    discord.trouble.release([2, 0, 1, 0])

    gateway.tasks(5)
    last = discord.say(gateway.approver, gateway.demo, "last")
    gateway.eyes(last)
    keys = _keys(gateway)
    assert sorted(keys) == sorted(f"discord:{each}" for each in (*first, *shuffled, last))


def test_a_lost_event_is_found_after_the_next_reconnection(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.hide("MESSAGE_CREATE")
    lost = discord.say(gateway.approver, gateway.demo, "lost")
    discord.trouble.hide()
    seen = discord.say(gateway.approver, gateway.demo, "seen")
    gateway.tasks(1)

    discord.trouble.reconnect()

    gateway.tasks(2)
    assert sorted(_keys(gateway)) == sorted([f"discord:{lost}", f"discord:{seen}"])


def test_what_is_said_in_a_thread_that_was_not_announced_is_found(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.hide("THREAD_CREATE")
    thread = discord.thread(gateway.approver, gateway.demo, "silent")
    said = [discord.say(gateway.approver, thread, text) for text in ("one", "two")]

    gateway.tasks(2)
    assert _keys(gateway) == [f"discord:{each}" for each in said]


def test_a_look_into_the_history_that_is_cut_short_by_the_next_one_holds_up_nothing(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.hide("THREAD_CREATE")
    said = []
    for number in range(30):
        thread = discord.thread(gateway.approver, gateway.demo, f"silent {number}")
        said += [discord.say(gateway.approver, thread, text) for text in ("one", "two")]

    gateway.tasks(60, 15)
    assert set(_keys(gateway)) == {f"discord:{each}" for each in said}


@pytest.mark.parametrize("trouble", ["reconnect", "abort", "close", "resumable"])
def test_a_dropped_connection_is_resumed(gateway: Herald, trouble: str) -> None:
    discord = gateway.discord
    discord.trouble.settings(delay=0.3)
    match trouble:
        case "reconnect":
            discord.trouble.reconnect()
        case "abort":
            discord.trouble.abort()
        case "close":
            discord.trouble.close(4000)
        case _:
            discord.trouble.invalidate(resumable=True)
    said = discord.say(gateway.approver, gateway.demo, "meanwhile")

    gateway.tasks(1)
    discord.wait(lambda: discord.gateway().resumes)
    gateway.connected()
    assert _keys(gateway) == [f"discord:{said}"]
    assert discord.gateway().identifies == 1


def test_an_invalidated_session_loses_nothing(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.settings(delay=0.3)
    healed = time.monotonic()
    discord.trouble.invalidate()
    discord.wait_gone()
    said = discord.say(gateway.approver, gateway.demo, "in between")

    gateway.tasks(1)
    assert time.monotonic() - healed < 10  # two IDENTIFYs are 5 s apart
    assert _keys(gateway) == [f"discord:{said}"]
    assert discord.gateway().identifies == 2


def test_a_session_that_is_forgotten_just_after_the_login_costs_one_wait(gateway: Herald) -> None:
    discord = gateway.discord
    healed = time.monotonic()
    discord.trouble.forget_sessions()
    discord.trouble.abort()
    discord.wait_gone()
    said = discord.say(gateway.approver, gateway.demo, "in between")

    gateway.tasks(1)
    assert time.monotonic() - healed < 7.5  # two IDENTIFYs are 5 s apart
    assert _keys(gateway) == [f"discord:{said}"]
    assert discord.gateway().identifies == 2


@pytest.mark.parametrize(
    "event",
    [
        ("MESSAGE_CREATE", {"id": "1"}),
        ("GUILD_CREATE", {"name": "no id"}),
        ("CHANNEL_CREATE", {"guild_id": None}),
        ("INTERACTION_CREATE", {"id": "7", "type": 2}),
        ("MESSAGE_REACTION_ADD", {}),
        ("NEVER_HEARD_OF", {"a": 1}),
    ],
    ids=lambda event: event[0],
)
def test_a_malformed_event_is_survived(gateway: Herald, event: tuple[str, object]) -> None:
    discord = gateway.discord

    discord.trouble.dispatch(*event)
    said = discord.say(gateway.approver, gateway.demo, "after it")

    gateway.tasks(1)
    gateway.eyes(said)
    assert _keys(gateway) == [f"discord:{said}"]


def test_a_frame_that_is_no_json_is_survived(gateway: Herald) -> None:
    gateway.discord.trouble.raw("{no json")
    said = gateway.discord.say(gateway.approver, gateway.demo, "after it")

    gateway.tasks(1)
    assert _keys(gateway) == [f"discord:{said}"]


def test_a_cut_network_is_noticed_and_made_good_within_seconds(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.cut()
    said = discord.say(gateway.approver, gateway.demo, "during the cut")
    gateway.post("an answer meanwhile", "p1")
    discord.wait(lambda: not gateway.connection().startswith("connected"))
    discord.wait(lambda: gateway.status()["outbox"] == 1)
    time.sleep(0.1)

    discord.trouble.heal()
    healed = time.monotonic()

    gateway.tasks(1)
    gateway.posted(gateway.demo, "an answer meanwhile")
    assert time.monotonic() - healed < _BACK
    assert _keys(gateway) == [f"discord:{said}"]
    assert discord.gateway().identifies <= 2


def test_a_server_that_falls_silent_is_given_up_and_found_again(gateway: Herald) -> None:
    discord = gateway.discord
    discord.wait(lambda: any(each.what["act"] == "pong" for each in discord.changes("gateway")))
    discord.trouble.freeze()
    said = discord.say(gateway.approver, gateway.demo, "into the silence")
    gateway.post("an answer meanwhile", "p1")
    discord.wait(lambda: not gateway.connection().startswith("connected"), 30)

    discord.trouble.thaw()
    healed = time.monotonic()

    gateway.tasks(1)
    gateway.posted(gateway.demo, "an answer meanwhile")
    assert time.monotonic() - healed < _BACK
    assert _keys(gateway) == [f"discord:{said}"]
    assert len([each for each in discord.messages(gateway.demo) if each.content.count("an answer")]) == 1


@pytest.mark.parametrize("path", [".*", "/users/@me", "/channels/.*/messages.*"])
def test_a_start_while_the_api_is_down_succeeds_when_it_is_up(herald: Herald, path: str) -> None:
    herald.start()
    herald.stop()
    said = herald.discord.say(herald.approver, herald.demo, "meanwhile")
    herald.discord.trouble.fault("*", path, times=3, status=503)

    herald.restart(40)

    herald.tasks(1)
    assert _keys(herald) == [f"discord:{said}"]


def test_a_gateway_that_closes_at_once_is_not_hammered(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.settings(close_after_hello=4000)
    since = discord.now()
    discord.trouble.abort()
    begun = time.monotonic()
    discord.wait(lambda: time.monotonic() - begun > 4, 10)

    attempts = [each for each in discord.changes("gateway", since) if each.what["act"] == "connecting"]
    assert 2 <= len(attempts) <= 40
    discord.trouble.settings(close_after_hello=0)
    said = discord.say(gateway.approver, gateway.demo, "after it")
    gateway.tasks(1, 60)
    assert _keys(gateway) == [f"discord:{said}"]


def test_a_revoked_token_is_said_and_not_tried_in_a_loop(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.revoke()

    discord.wait(lambda: gateway.connection().startswith("refused"))
    since = discord.now()
    begun = time.monotonic()
    discord.wait(lambda: time.monotonic() - begun > 2, 10)
    assert "discord.com/developers" in gateway.connection()
    assert "discord.com/developers" in gateway.journal()
    assert discord.changes("gateway", since) == []
    discord.trouble.accept(discord.token)
    gateway.stop()
    said = discord.say(gateway.approver, gateway.demo, "while it was refused")
    gateway.restart()
    gateway.tasks(1)
    assert _keys(gateway) == [f"discord:{said}"]
    assert discord.token not in gateway.everything().replace(f"Bot {discord.token}", "")


def test_a_missing_intent_is_said_with_the_page_to_go_to(herald: Herald) -> None:
    herald.discord.trouble.settings(allowed_intents=~(1 << 15))
    herald.bus.peer("worker", herald.script)
    herald.bus.gateway()

    herald.discord.wait(lambda: herald.connection().startswith("refused"))

    assert "Message Content" in herald.connection()
    assert herald.discord.gateway().identifies == 1


def test_a_channel_that_the_bot_may_not_read_keeps_no_other_waiting(herald: Herald) -> None:
    discord = herald.discord
    herald.start()
    herald.stop()
    discord.overwrite(herald.other, discord.bot, deny=("view_channel",))
    said = discord.say(herald.approver, herald.demo, "readable")

    herald.restart()

    herald.tasks(1)
    assert _keys(herald) == [f"discord:{said}"]
    unread = discord.say(herald.approver, herald.other, "not yet readable")
    discord.overwrite(herald.other, discord.bot, allow=("view_channel",))
    discord.trouble.reconnect()
    herald.tasks(2)
    assert _keys(herald)[1] == f"discord:{unread}"


def test_what_discord_sends_is_never_in_the_journal(gateway: Herald) -> None:
    discord = gateway.discord
    gateway.post("hello", "p1")
    gateway.posted(gateway.demo, "hello")
    (hook,) = discord.webhooks(gateway.demo)

    journal = gateway.journal()

    assert hook.token not in journal
    assert discord.token not in journal
    assert not any(hook.token in json.dumps(each.body) for each in discord.requests())
