"""Thumbs under cards: each change is a vote once, whether it came as an event or was found later."""

import pytest

from tests.discord.herald import Herald

UP, DOWN, DARK_UP = "👍", "👎", "👍🏿"
LINE = "Ready to push — 2 commits. make it so"


def card(herald: Herald, number: int = 3, revision: int = 0, *, votable: bool = True, text: str = LINE) -> str:
    """Post a card, or a revision of it; the message's id."""
    herald.post(
        text, f"card:{number}", "card", revision=revision, proposal=str(number), votable=votable
    )  # fmt: skip
    discord = herald.discord
    herald.delivered()
    (message,) = herald.state(f"SELECT message FROM sent WHERE key = 'card:{number}' AND revision = {revision}")[0]
    if votable:
        discord.wait(lambda: {UP, DOWN} <= set(discord.message(message).reactions))
    return str(message)


def votes(herald: Herald, count: int) -> list[tuple[str, str]]:
    herald.discord.wait(lambda: len(herald.calls("Vote")) >= count, 30, f"{count} votes")
    return [(each["vote"], each["author"]["id"].removeprefix("discord:")) for each in herald.calls("Vote")]


def settle(herald: Herald) -> None:
    """Until all that came before is dealt with."""
    said = herald.discord.say(herald.approver, herald.demo, "last")
    herald.eyes(said)


def test_events_that_come_twice_or_out_of_order_are_one_vote_each(gateway: Herald) -> None:
    message = card(gateway)
    gateway.discord.trouble.duplicate("MESSAGE_REACTION_ADD", 2)
    gateway.discord.react(gateway.approver, message, UP)
    votes(gateway, 1)
    gateway.discord.trouble.duplicate("MESSAGE_REACTION_REMOVE", 2)
    gateway.discord.unreact(gateway.approver, message, UP)
    votes(gateway, 2)
    gateway.discord.react(gateway.approver, message, UP)

    assert [vote for vote, _ in votes(gateway, 3)] == ["approve", "withdraw", "approve"]
    settle(gateway)
    assert len(gateway.calls("Vote")) == 3
    assert len({each["key"] for each in gateway.calls("Vote")}) == 3


def test_an_operator_who_may_not_vote_is_told_in_one_line_and_a_stranger_nothing(gateway: Herald) -> None:
    message = card(gateway)
    gateway.discord.react(gateway.stranger, message, UP)
    gateway.discord.react(gateway.machine, message, UP)
    gateway.discord.react(gateway.operator, message, UP)

    refusal = gateway.posted(gateway.demo, "needs the right approver")
    gateway.discord.unreact(gateway.operator, message, UP)
    settle(gateway)

    assert "\n" not in refusal.content
    assert len(gateway.discord.posts(gateway.demo)) == 2
    assert gateway.calls("Vote") == []
    assert gateway.journal().count(gateway.stranger) == 1


def test_a_rejection_that_is_taken_back_withdraws_nothing(gateway: Herald) -> None:
    message = card(gateway)
    gateway.discord.react(gateway.approver, message, DOWN)
    votes(gateway, 1)
    gateway.discord.unreact(gateway.approver, message, DOWN)
    settle(gateway)
    assert [vote for vote, _ in votes(gateway, 1)] == ["reject"]


def test_what_was_taken_back_while_herald_was_away_is_withdrawn(gateway: Herald) -> None:
    message = card(gateway)
    gateway.discord.react(gateway.approver, message, DARK_UP)
    votes(gateway, 1)
    card(gateway, revision=1, votable=False, text="Approved by ada — it is pushed next.")
    gateway.kill()
    gateway.discord.unreact(gateway.approver, message, DARK_UP)

    gateway.restart()

    assert votes(gateway, 2) == [("approve", gateway.approver), ("withdraw", gateway.approver)]
    gateway.kill()
    gateway.restart()
    settle(gateway)
    assert len({each["key"] for each in gateway.calls("Vote")}) == 2  # one may be handed in again after the kill


@pytest.mark.parametrize("new", [UP, DOWN])
def test_both_thumbs_after_a_downtime_are_asked_about_once(gateway: Herald, new: str) -> None:
    discord = gateway.discord
    second = discord.user("eve")
    gateway.approver, first = second, gateway.approver
    gateway.configure(generation=2)  # eve is the approver now
    message = card(gateway)
    gateway.kill()
    discord.react(first, message, UP if new == DOWN else DOWN)  # of a stranger by now: counts for nothing
    discord.react(second, message, UP)
    discord.react(second, message, DOWN)

    gateway.restart()

    question = gateway.posted(gateway.demo, "Take them back and vote again")
    gateway.kill()
    gateway.restart()
    settle(gateway)
    assert gateway.calls("Vote") == []
    assert len([each for each in discord.posts(gateway.demo) if each.content == question.content]) == 1
    discord.unreact(second, message, UP)
    discord.unreact(second, message, DOWN)
    settle(gateway)
    discord.react(second, message, new)
    said = {UP: "approve", DOWN: "reject"}[new]
    gateway.discord.wait(lambda: (said, second) in votes(gateway, 1))


def test_one_thumb_of_a_stranger_beside_that_of_an_approver_keeps_no_vote_away(gateway: Herald) -> None:
    message = card(gateway)
    gateway.kill()
    gateway.discord.react(gateway.operator, message, DOWN)
    gateway.discord.react(gateway.stranger, message, DOWN)
    gateway.discord.react(gateway.approver, message, UP)

    gateway.restart()

    assert votes(gateway, 1) == [("approve", gateway.approver)]


def test_a_thumb_whose_event_was_lost_is_found_at_the_next_resume(gateway: Herald) -> None:
    message = card(gateway)
    gateway.discord.trouble.hide("MESSAGE_REACTION_ADD")
    gateway.discord.react(gateway.approver, message, UP)
    gateway.discord.trouble.hide()
    gateway.discord.trouble.reconnect()
    assert votes(gateway, 1) == [("approve", gateway.approver)]


def test_a_thumb_that_is_faster_than_the_note_of_where_the_card_is_counts(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.fault("PUT", ".*/reactions/.*", delay=1.0, times=1)
    gateway.post(LINE, "card:3", "card", proposal="3", votable=True)
    shown = gateway.posted(gateway.demo, LINE)
    discord.trouble.hide("MESSAGE_REACTION_ADD")
    discord.react(gateway.approver, shown.id, UP)
    discord.trouble.hide()
    assert votes(gateway, 1) == [("approve", gateway.approver)]


def test_a_card_that_was_deleted_keeps_no_other_from_being_read(gateway: Herald) -> None:
    gone, there = card(gateway, 3), card(gateway, 4)
    gateway.kill()
    gateway.discord.delete(gone)
    gateway.discord.react(gateway.approver, there, UP)

    gateway.restart()

    assert votes(gateway, 1) == [("approve", gateway.approver)]
    assert gateway.calls("Vote")[0]["proposal"] == "4"


def test_the_eyes_come_after_a_restart_when_they_could_not_come_before(gateway: Herald) -> None:
    gateway.discord.trouble.fault("PUT", ".*/reactions/.*", times=0, status=500)
    said = gateway.discord.say(gateway.approver, gateway.demo, "make it so")
    gateway.tasks(1)
    gateway.discord.wait(lambda: gateway.discord.requests("PUT", "/reactions/"))
    gateway.kill()
    gateway.discord.trouble.clear_faults()

    gateway.restart()

    gateway.eyes(said)
    gateway.discord.wait(lambda: gateway.state("SELECT noted FROM messages") == [(1,)])


def test_no_eyes_are_put_under_what_was_refused_or_answered(gateway: Herald) -> None:
    discord = gateway.discord
    refused = discord.say(gateway.reader, gateway.demo, "do this")
    status = discord.say(gateway.approver, gateway.demo, "!status")
    run = discord.say(gateway.approver, gateway.demo, "!run demo do that")
    settle(gateway)
    gateway.eyes(run)
    discord.wait(lambda: len(discord.posts(gateway.demo)) == 2)
    assert discord.message(refused).reactions == {}
    assert discord.message(status).reactions == {}


def test_a_moderator_who_clears_the_thumbs_takes_the_vote_back(gateway: Herald) -> None:
    message = card(gateway)
    discord = gateway.discord
    discord.react(gateway.approver, message, UP)
    votes(gateway, 1)
    discord.trouble.hide("MESSAGE_REACTION_REMOVE")
    discord.unreact(gateway.approver, message, UP)
    cleared = {"channel_id": gateway.demo, "message_id": message, "guild_id": discord.guild}

    discord.trouble.dispatch("MESSAGE_REACTION_REMOVE_ALL", cleared)

    assert [vote for vote, _ in votes(gateway, 2)] == ["approve", "withdraw"]
