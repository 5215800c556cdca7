"""Cards and votes in Discord."""

import pytest

from tests.discord.herald import Herald
from tests.fake_discord.process import RefusedError
from tests.fake_discord.things import Message

CARD = "Ready to push — 2 commits. make it so\n\n- one\n- two"
UP, DOWN = "👍", "👎"


def _card(herald: Herald, revision: int = 0, text: str = CARD, *, votable: bool = True) -> None:
    herald.post(text, "card:3", "card", revision=revision, proposal="3", votable=votable, last=False)


def _shown(herald: Herald) -> Message:
    discord = herald.discord
    discord.wait(lambda: any({UP, DOWN} <= set(each.reactions) for each in discord.posts(herald.demo)), what="a card")
    return next(each for each in discord.posts(herald.demo) if UP in each.reactions)


def _votes(herald: Herald, count: int) -> list[tuple[str, str, str]]:
    herald.discord.wait(lambda: len(herald.calls("Vote")) >= count, 30, f"{count} votes")
    return [(each["vote"], each["proposal"], each["author"]["id"]) for each in herald.calls("Vote")]


def test_a_card_shows_the_line_the_details_the_buttons_and_both_thumbs(gateway: Herald) -> None:
    _card(gateway)

    card = _shown(gateway)
    assert card.content == "Ready to push — 2 commits. make it so"
    assert "- two" in card.embeds[0]["description"]
    assert card.button_ids == ["herald:vote:3:approve", "herald:vote:3:reject"]
    assert card.author == gateway.discord.bot
    assert card.reactions == {UP: [gateway.discord.bot], DOWN: [gateway.discord.bot]}
    assert gateway.calls("Vote") == []


@pytest.mark.parametrize(
    ("emoji", "vote"), [("👍", "approve"), ("👍🏽", "approve"), ("👎", "reject"), ("👎🏿", "reject")]
)
def test_a_thumb_of_an_approver_is_a_vote(gateway: Herald, emoji: str, vote: str) -> None:
    _card(gateway)
    card = _shown(gateway)

    gateway.discord.react(gateway.approver, card.id, emoji)

    assert _votes(gateway, 1) == [(vote, "3", f"discord:{gateway.approver}")]


def test_others_do_not_vote_and_other_emoji_are_none(gateway: Herald) -> None:
    discord = gateway.discord
    _card(gateway)
    card = _shown(gateway)

    for user in (gateway.stranger, gateway.reader, gateway.machine):
        discord.react(user, card.id, UP)
    discord.react(gateway.approver, card.id, "🎉")
    discord.click(gateway.reader, card.id, "herald:vote:3:approve")
    discord.react(gateway.approver, card.id, DOWN)

    votes = [each for each in _votes(gateway, 1) if each[2] != f"discord:{gateway.operator}"]
    assert votes == [("reject", "3", f"discord:{gateway.approver}")]


def test_a_thumb_that_is_taken_away_withdraws_the_vote(gateway: Herald) -> None:
    _card(gateway)
    card = _shown(gateway)
    gateway.discord.react(gateway.approver, card.id, UP)
    _votes(gateway, 1)

    gateway.discord.unreact(gateway.approver, card.id, UP)
    gateway.discord.wait(lambda: len(gateway.calls("Vote")) == 2)
    gateway.discord.react(gateway.approver, card.id, UP)

    assert [each[0] for each in _votes(gateway, 3)] == ["approve", "withdraw", "approve"]
    assert len({each["key"] for each in gateway.calls("Vote")}) == 3


def test_a_button_is_a_vote_and_is_answered(gateway: Herald) -> None:
    _card(gateway)
    card = _shown(gateway)

    pressed = gateway.discord.click(gateway.approver, card.id, "herald:vote:3:approve")

    assert _votes(gateway, 1) == [("approve", "3", f"discord:{gateway.approver}")]
    gateway.discord.wait(lambda: gateway.discord.interaction(pressed).acked)
    assert gateway.discord.answer(pressed).text != ""


def test_a_vote_while_the_gateway_was_away_counts_once(gateway: Herald) -> None:
    _card(gateway)
    card = _shown(gateway)
    gateway.kill()
    gateway.discord.react(gateway.approver, card.id, UP)

    gateway.restart()
    votes = _votes(gateway, 1)
    gateway.kill()
    gateway.restart()

    assert votes == [("approve", "3", f"discord:{gateway.approver}")]
    assert len({each["key"] for each in gateway.calls("Vote")}) == 1


def test_both_thumbs_after_a_downtime_are_asked_about(gateway: Herald) -> None:
    _card(gateway)
    card = _shown(gateway)
    gateway.stop()
    gateway.discord.react(gateway.approver, card.id, UP)
    gateway.discord.react(gateway.approver, card.id, DOWN)

    gateway.restart()

    gateway.discord.wait(lambda: len(gateway.discord.posts(gateway.demo)) > 1, what="a question")
    assert [each["vote"] for each in gateway.calls("Vote")] == []


def test_what_became_of_a_card_is_in_the_card_and_it_has_no_buttons(gateway: Herald) -> None:
    _card(gateway)
    card = _shown(gateway)
    _card(gateway, 1, CARD + "\n\npushed by ada", votable=False)

    discord = gateway.discord
    discord.wait(lambda: "pushed by ada" in discord.message(card.id).text)
    assert discord.message(card.id).button_ids == []
    with pytest.raises(RefusedError):
        discord.click(gateway.approver, card.id, "herald:vote:3:approve")
    discord.react(gateway.approver, card.id, UP)
    said = discord.say(gateway.approver, gateway.demo, "later")
    gateway.eyes(said)
    assert gateway.calls("Vote") == []


def test_a_refused_vote_is_told(gateway: Herald) -> None:
    gateway.answers("Vote", error=["Conflict", "it was pushed already"])
    _card(gateway)
    card = _shown(gateway)

    gateway.discord.react(gateway.approver, card.id, UP)

    gateway.posted(gateway.demo, "it was pushed already")
