"""Buttons: pressed by whom it may be, on cards of any age, each once."""

import json
import time
import urllib.request

import pytest

from herald import names
from tests.discord.herald import Herald
from tests.fake_discord.things import Message
from tests.gateway.running import PROPOSAL, TASK, wait_for

APPROVE, REJECT = "herald:vote:3:approve", "herald:vote:3:reject"
DAY = 24 * 3600.0


def card(herald: Herald) -> Message:
    """An open card."""
    herald.post("Ready to push — 2 commits. make it so\n1 file", "card:3", "card", proposal="3", votable=True)
    return herald.posted(herald.demo, "Ready to push")


def press(herald: Herald, user: str, message: Message, custom_id: str) -> str:
    """Press a button; what the one who pressed sees, and nobody else."""
    answer = herald.discord.answer(herald.discord.click(user, message.id, custom_id))
    assert answer.only_for == user
    assert "\n" not in answer.text
    return answer.text


@pytest.mark.parametrize(
    ("button", "vote", "state", "words"),
    [(APPROVE, "approve", "approved", "it is being pushed"), (REJECT, "reject", "rejected", "it is being discarded")],
)
def test_the_buttons_of_a_card_vote_on_it(gateway: Herald, button: str, vote: str, state: str, words: str) -> None:
    gateway.answers("Vote", reply={**PROPOSAL, "state": state})
    shown = card(gateway)
    assert button in shown.button_ids

    assert words in press(gateway, gateway.approver, shown, button)
    (voted,) = gateway.calls("Vote")
    assert (voted["vote"], voted["proposal"], voted.get("project")) == (vote, "3", None)
    assert voted["author"] == {"id": f"discord:{gateway.approver}", "name": "ada"}
    assert voted["key"].startswith("interaction:")
    assert [each.id for each in gateway.discord.posts(gateway.demo) if not each.only_for] == [shown.id]


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("operator", "needs the right approver in demo; you have operator"),
        ("reader", "needs the right approver in demo; you have reader"),
    ],
)
def test_who_may_not_vote_is_told_so_alone(gateway: Herald, role: str, words: str) -> None:
    shown = card(gateway)

    assert words in press(gateway, getattr(gateway, role), shown, APPROVE)
    assert gateway.calls("Vote") == []


def test_a_stranger_who_presses_gets_no_answer(gateway: Herald) -> None:
    shown, discord = card(gateway), gateway.discord
    pressed = discord.click(gateway.stranger, shown.id, APPROVE)
    press(gateway, gateway.reader, shown, APPROVE)  # which comes later and is answered

    assert discord.interaction(pressed).acked == 0
    assert gateway.calls("Vote") == []
    assert gateway.journal().count(f"discord:{gateway.stranger} has no right here") == 1


def test_a_card_from_before_a_restart_can_be_voted_on(gateway: Herald) -> None:
    shown = card(gateway)
    gateway.kill()
    gateway.restart()

    assert "it is being pushed" in press(gateway, gateway.approver, shown, APPROVE)
    assert len(gateway.calls("Vote")) == 1


def test_a_vote_that_comes_second_is_answered_with_a_line(gateway: Herald) -> None:
    shown = card(gateway)
    press(gateway, gateway.approver, shown, APPROVE)
    gateway.answers("Vote", error=["Conflict", "proposal 3 is approved: the vote changes nothing"])

    assert press(gateway, gateway.approver, shown, REJECT) == "proposal 3 is approved: the vote changes nothing"


def test_two_at_once_are_two_votes_with_keys_of_their_own(gateway: Herald) -> None:
    shown = card(gateway)
    discord = gateway.discord
    pressed = [discord.click(gateway.approver, shown.id, button) for button in (APPROVE, APPROVE, REJECT)]
    for each in pressed:
        discord.answer(each)

    assert sorted(each["key"] for each in gateway.calls("Vote")) == sorted(f"interaction:{each}" for each in pressed)


def test_the_button_under_the_progress_cancels_that_very_task(gateway: Herald) -> None:
    gateway.answers("Cancel", reply={**TASK, "state": "running"})
    said = gateway.discord.say(gateway.operator, gateway.demo, "make it so")
    (task,) = gateway.tasks(1)
    assert task["key"] == f"discord:{said}"
    gateway.progress("reading", task["key"])
    shown = gateway.posted(gateway.demo, "reading")

    assert press(gateway, gateway.operator, shown, "herald:cancel:7").startswith("Being cancelled: demo")
    (cancelled,) = gateway.calls("Cancel")
    assert (cancelled["task"], cancelled["author"]["id"]) == ("7", f"discord:{gateway.operator}")
    assert cancelled.get("project") is None
    assert "needs the right operator" in press(gateway, gateway.reader, shown, "herald:cancel:7")


def test_a_late_message_is_done_when_somebody_says_so(herald: Herald) -> None:
    discord = herald.discord
    first = time.time() - 3 * DAY
    discord.say(herald.operator, herald.demo, "before", at=first)
    herald.start()
    herald.stop()
    discord.say(herald.operator, herald.demo, "long ago", at=first + DAY)
    herald.restart()
    question = herald.posted(herald.demo, "long ago")
    assert herald.calls("Enqueue") == []
    (button,) = [each for each in question.button_ids if each.startswith("herald:late:")]

    assert "right operator" in press(herald, herald.reader, question, button)
    assert press(herald, herald.operator, question, button) == "It is done now."
    (task,) = herald.tasks(1)
    assert task["text"] == "long ago"


def test_a_button_that_nobody_knows_any_more_says_so(gateway: Herald) -> None:
    ids = ("herald:vote:3:maybe", "herald:launch:now", "herald:")
    buttons = [{"type": 2, "style": 2, "label": each, "custom_id": each} for each in ids]
    body = {"content": "an old card", "components": [{"type": 1, "components": buttons}]}
    request = urllib.request.Request(
        f"{gateway.discord.api}/channels/{gateway.demo}/messages",
        json.dumps(body).encode(),
        {"Authorization": f"Bot {gateway.discord.token}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=20).close()
    shown = gateway.posted(gateway.demo, "an old card")

    for each in ids:
        assert "another version" in press(gateway, gateway.approver, shown, each)
    assert gateway.calls("Vote") == []


def test_a_vote_while_the_worker_is_away_is_kept_and_answered_later(gateway: Herald) -> None:
    shown = card(gateway)
    gateway.bus.end(names.WORKER)
    pressed = gateway.discord.click(gateway.approver, shown.id, APPROVE)
    gateway.discord.wait(lambda: gateway.discord.interaction(pressed).acked == 5, what="the sign")
    wait_for(lambda: gateway.state("SELECT state FROM messages") == [("recorded",)])
    gateway.bus.peer(names.WORKER, gateway.script)

    assert "it is being pushed" in gateway.discord.answer(pressed).text
    assert gateway.discord.interaction(pressed).ephemeral
