"""Posts on their way into Discord: each once, in order, whatever fails in between; who speaks, and where."""

import os
import random
from pathlib import Path

import pytest

from herald import names
from herald.bus.blocking import call
from tests.discord.herald import Herald
from tests.gateway.running import wait_for

EXECUTE = "/webhooks/[^/]+/[^/]+"
MESSAGES = "/channels/[0-9]+/messages"


def texts(herald: Herald, channel: str) -> list[str]:
    return [each.text.strip("`\n") for each in herald.discord.posts(channel)]


def test_an_answer_is_the_agents_and_everything_else_the_bots(herald: Herald) -> None:
    herald.configure(agent_name="Ava the agent", webhook_avatar_url="https://example.org/ava.png")
    herald.start()
    herald.post("the answer", "a", identity="Ava the agent")
    herald.post("a notice", "n", kind="notice")
    herald.delivered()

    answer, notice = herald.discord.posts(herald.demo)
    assert (answer.content, answer.name) == ("```\nthe answer\n```", "Ava the agent")
    assert answer.webhook
    assert answer.avatar
    assert (notice.content, notice.author) == ("a notice", herald.discord.bot)


@pytest.mark.parametrize("length", [1899, 1900, 5_000_000])
def test_short_answers_are_blocks_and_long_ones_files(gateway: Herald, length: int) -> None:
    text = (("x" * 99 + "\n") * (length // 100 + 1))[: length - 1] + "x"
    gateway.post(text, "a")
    gateway.delivered(60)

    (message,) = gateway.discord.posts(gateway.demo)
    if length < 1900:
        assert message.content == f"```\n{text}\n```"
        assert message.files == []
    else:
        (file,) = message.files
        assert file.name == "output.txt"
        assert gateway.discord.file(file).decode() == f"{text}\n"
        assert len(message.content) < 200


def test_a_file_beyond_what_discord_takes_is_cut_and_says_so(gateway: Herald) -> None:
    source = gateway.bus.root / "source"
    source.write_text("0123456789abcde\n" * (11 << 16))
    descriptor = os.open(source, os.O_RDONLY)
    try:
        parameters = {"key": "a", "project": "demo", "kind": "answer", "text": "", "file": 0}
        call(names.GATEWAY, "Post", parameters, deadline=30, fds=(descriptor,))
    finally:
        os.close(descriptor)
    gateway.delivered(60)

    ((file,),) = [each.files for each in gateway.discord.posts(gateway.demo)]
    assert 9 << 20 < file.size <= 10 << 20
    assert gateway.discord.file(file).decode().endswith("the whole is kept on the server]\n")


def test_a_long_reply_is_a_line_and_a_file(gateway: Herald) -> None:
    gateway.post("The first line.\n" + "another one\n" * 300, "r", kind="reply")
    gateway.delivered()

    (message,) = gateway.discord.posts(gateway.demo)
    assert message.content == "The first line."
    assert [each.name for each in message.files] == ["reply.txt"]


def test_nobody_is_mentioned_and_no_link_is_hidden_on_either_sender(gateway: Herald) -> None:
    forged = f"@everyone <@{gateway.approver}> [harmless](https://evil.example) ||gone||\n# loud"
    gateway.post(f"{forged}\n```\nout of the block {forged}", "a")
    gateway.post(forged, "n", kind="notice")
    gateway.post(f"Ready to push — 1 commit. {forged}", "c", kind="card", proposal="3", votable=True)
    gateway.delivered()

    answer, notice, card = gateway.discord.posts(gateway.demo)
    assert [each.notified for each in (answer, notice, card)] == [[], [], []]
    assert answer.content.count("```") == 2
    assert answer.content.endswith("\n```")
    for text in (notice.content, card.text):
        assert "@everyone" in text
        assert "](https://evil" not in text.replace("\\[harmless]", "")
        assert f"\\<@{gateway.approver}>" in text
        assert "||" not in text.replace("\\|\\|", "")
    assert "\n\\# loud" in notice.content


def test_a_secret_reaches_discord_neither_in_a_message_nor_in_a_file(herald: Herald) -> None:
    (Path(herald.bus.environment["CREDENTIALS_DIRECTORY"]) / "key").write_text("a-very-own-credential\n")
    herald.start()
    herald.post("short a-very-own-credential", "a")
    herald.post("a-very-own-credential\n" * 300, "b")
    herald.post("the bot says a-very-own-credential", "n", kind="notice")
    herald.post(f"its token is {herald.discord.token}", "t", kind="reply")
    herald.delivered()
    (hook,) = herald.discord.webhooks(herald.demo)
    herald.post(f"posted by {hook.token} of {herald.discord.webhook_url(hook)}", "w")
    herald.delivered()

    assert len(herald.discord.posts(herald.demo)) == 5
    for secret in ("a-very-own-credential", herald.discord.token):
        assert herald.discord.leaks(secret) == []
        assert secret not in herald.journal()
    assert hook.token not in str([each.text for each in herald.discord.posts(herald.demo)])
    assert hook.token not in herald.journal()


@pytest.mark.parametrize("what", [{"status": 502}, {"drop": True}, {"status": 503}])
@pytest.mark.parametrize("kind", ["answer", "notice"])
def test_what_was_done_before_it_failed_is_not_done_again(gateway: Herald, kind: str, what: dict[str, object]) -> None:
    gateway.post("before", "b", kind=kind)
    gateway.delivered()
    gateway.discord.trouble.fault("POST", EXECUTE if kind == "answer" else MESSAGES, after=True, **what)
    gateway.post("once", "o", kind=kind)
    gateway.post("once", "o2", kind=kind)  # the same words by another post are another message
    gateway.post("then", "t", kind=kind)
    gateway.delivered()

    assert texts(gateway, gateway.demo) == ["before", "once", "once", "then"]


def test_the_same_words_from_two_sides_are_two_messages_when_one_of_them_fails(herald: Herald) -> None:
    herald.channels["demo"] = ""
    herald.configure()
    herald.start()
    herald.discord.trouble.fault("POST", MESSAGES, status=502)
    herald.post("the same", "a", kind="notice", project="")
    herald.post("the same", "b", kind="notice", project="demo")
    herald.delivered()

    assert texts(herald, herald.system) == ["the same", "the same"]


def test_posts_of_a_channel_keep_their_order_over_failures_and_both_senders(gateway: Herald) -> None:
    dice = random.Random(7)
    trouble = gateway.discord.trouble
    for path in (EXECUTE, MESSAGES):
        trouble.fault("POST", path, times=0, chance=0.2, status=500)
        trouble.fault("POST", path, times=0, chance=0.2, after=True, drop=True)
        trouble.fault("POST", path, times=0, chance=0.2, retry_after=0.1)
        trouble.fault("POST", path, times=3, after=True, status=502)
    sent = []
    for number in range(24):
        kind = dice.choice(["answer", "notice"])
        gateway.post(f"post {number}", f"k{number}", kind=kind)
        sent.append(f"post {number}")
    gateway.delivered(120)

    assert texts(gateway, gateway.demo) == sent
    assert gateway.state("SELECT count(*) FROM sent") == [(24,)]


@pytest.mark.parametrize("kind", ["answer", "notice"])
@pytest.mark.parametrize("after", [True, False])
def test_a_gateway_killed_while_it_sends_sends_once(gateway: Herald, kind: str, after: bool) -> None:
    gateway.post("first", "f", kind=kind)
    gateway.delivered()
    gateway.discord.trouble.fault("POST", EXECUTE if kind == "answer" else MESSAGES, after=after, hold=True)
    gateway.post("second", "s", kind=kind)
    gateway.post("third", "t", kind=kind)
    wait_for(lambda: gateway.state("SELECT 1 FROM deliveries WHERE begun <> ''"))
    if after:
        gateway.posted(gateway.demo, "second")
    gateway.kill()
    gateway.discord.trouble.clear_faults()
    gateway.restart()
    gateway.delivered()

    assert texts(gateway, gateway.demo) == ["first", "second", "third"]


def test_what_was_posted_while_discord_was_away_arrives_soon_and_in_order(gateway: Herald) -> None:
    gateway.post("first", "f")
    gateway.delivered()
    gateway.discord.trouble.cut()
    for number in range(5):
        gateway.post(f"post {number}", f"k{number}", kind="notice" if number % 2 else "answer")
    assert gateway.status()["outbox"] == 5
    gateway.discord.trouble.heal()
    gateway.delivered(10)

    assert texts(gateway, gateway.demo) == ["first", *(f"post {number}" for number in range(5))]


def test_a_storm_of_429_of_one_channel_holds_up_no_other(gateway: Herald) -> None:
    gateway.discord.trouble.fault("POST", f"/channels/{gateway.demo}/messages", times=8, retry_after=0.5)
    gateway.post("in the storm", "s", kind="notice")
    gateway.post("beside it", "b", kind="notice", project="other")
    gateway.posted(gateway.other, "beside it", 2)
    assert texts(gateway, gateway.demo) == []
    gateway.delivered()

    assert texts(gateway, gateway.demo) == ["in the storm"]


def test_bucket_limits_are_kept_without_being_refused(gateway: Herald) -> None:
    gateway.discord.trouble.limit("POST", "/channels/{}/messages", 3, 1.0)
    for number in range(8):
        gateway.post(f"{number}", f"k{number}", kind="notice")
    gateway.delivered()

    assert texts(gateway, gateway.demo) == [f"{number}" for number in range(8)]
    assert {each.status for each in gateway.discord.requests("POST", f"/channels/{gateway.demo}/messages")} == {200}


def test_a_higher_revision_changes_the_message_and_posts_it_anew_when_it_was_removed(gateway: Herald) -> None:
    for kind in ("answer", "notice"):
        gateway.post("one", kind, kind=kind)
        gateway.post("two", kind, kind=kind, revision=1)
    gateway.delivered()
    assert texts(gateway, gateway.demo) == ["two", "two"]
    for message in gateway.discord.posts(gateway.demo):
        gateway.discord.delete(message.id)
    for kind in ("answer", "notice"):
        gateway.post("three", kind, kind=kind, revision=2)
        gateway.post("four", kind, kind=kind, revision=3)
    gateway.delivered()

    assert texts(gateway, gateway.demo) == ["four", "four"]
    assert all(each.edited for each in gateway.discord.posts(gateway.demo))


def test_a_card_has_its_first_line_an_embed_buttons_and_reactions_until_it_is_settled(gateway: Herald) -> None:
    first = "Ready to push — 2 commits. Make it `so_nice`"
    gateway.post(f"{first}\n3 files, +4 -1\n• one\n• two", "c", kind="card", proposal="17", votable=True, task="7")
    gateway.delivered()
    (card,) = gateway.discord.posts(gateway.demo)
    assert card.author == gateway.discord.bot
    assert card.content == first
    assert [each["description"] for each in card.embeds] == ["3 files, +4 -1\n• one\n• two"]
    assert card.button_ids == ["herald:vote:17:approve", "herald:vote:17:reject"]
    bot = [gateway.discord.bot]
    gateway.discord.wait(lambda: gateway.discord.message(card.id).reactions == {"👍": bot, "👎": bot}, what="reactions")
    wait_for(lambda: gateway.state("SELECT proposal, task, votable, marked FROM sent") == [("17", "7", 1, 1)])

    gateway.post("Pushed: 2 commits by ada", "c", kind="card", revision=1, proposal="17", task="7")
    gateway.delivered()

    (settled,) = gateway.discord.posts(gateway.demo)
    assert settled.id == card.id
    assert settled.content == "Pushed: 2 commits by ada"
    assert [each["description"] for each in settled.embeds] == ["Pushed: 2 commits by ada"]
    assert settled.button_ids == []
    assert gateway.state("SELECT revision, votable FROM sent") == [(1, 0)]


def test_a_question_about_a_late_message_has_a_button_and_reactions_until_it_is_decided(gateway: Herald) -> None:
    gateway.post("Shall this be done still?", "late:123", kind="reply", votable=True)
    gateway.delivered()
    (asked,) = gateway.discord.posts(gateway.demo)
    assert asked.button_ids == ["herald:late:123"]
    gateway.discord.wait(lambda: len(gateway.discord.message(asked.id).reactions) == 2, what="reactions")
    gateway.post("Done now.", "late:123", kind="reply", revision=1)
    gateway.delivered()

    (decided,) = gateway.discord.posts(gateway.demo)
    assert (decided.content, decided.button_ids) == ("Done now.", [])


def test_reactions_to_vote_with_are_put_under_a_card_after_a_kill_too(gateway: Herald) -> None:
    gateway.discord.trouble.fault("PUT", ".*", hold=True)
    gateway.post("Ready to push — 1 commit. x", "c", kind="card", proposal="17", votable=True)
    gateway.delivered()
    gateway.kill()
    gateway.discord.trouble.clear_faults()
    gateway.restart()

    (card,) = gateway.discord.posts(gateway.demo)
    gateway.discord.wait(lambda: len(gateway.discord.message(card.id).reactions) == 2, what="reactions")


def test_a_channel_that_refuses_is_told_once_and_its_posts_wait_for_it(gateway: Herald) -> None:
    discord = gateway.discord
    discord.overwrite(gateway.demo, discord.bot, deny=("send_messages",))
    for number in range(3):
        gateway.post(f"notice {number}", f"k{number}", kind="notice")
    told = gateway.posted(gateway.system, "heraldctl discord check")
    assert f"<#{gateway.demo}>" in told.content
    gateway.post("beside it", "b", kind="notice", project="other")
    gateway.posted(gateway.other, "beside it")
    assert gateway.status()["outbox"] == 3
    assert texts(gateway, gateway.demo) == []

    discord.overwrite(gateway.demo, discord.bot, allow=("send_messages",))
    discord.trouble.reconnect()
    gateway.delivered()

    assert texts(gateway, gateway.demo) == ["notice 0", "notice 1", "notice 2"]
    assert len(discord.posts(gateway.system)) == 1
    assert gateway.journal().count("Discord refuses posts in") == 1


def test_posts_for_a_channel_that_is_gone_go_to_the_new_one_of_the_project(gateway: Herald) -> None:
    gateway.discord.remove_channel(gateway.demo)
    gateway.post("for whom it concerns", "k", kind="notice")
    gateway.posted(gateway.system, "heraldctl discord check")
    gateway.channels["demo"] = gateway.discord.channel("demo-again")
    gateway.configure(generation=2)
    gateway.delivered()

    assert texts(gateway, gateway.channels["demo"]) == ["for whom it concerns"]


def test_what_discord_does_not_take_is_posted_as_a_file(gateway: Herald) -> None:
    body = {"code": 50035, "message": "Invalid Form Body", "errors": {"content": {"_errors": [{"message": "No."}]}}}
    gateway.discord.trouble.fault("POST", MESSAGES, status=400, body=body)
    gateway.post("the text", "a", kind="notice")
    gateway.post("after it", "b", kind="notice")
    gateway.delivered()

    reduced, after = gateway.discord.posts(gateway.demo)
    assert gateway.discord.file(reduced.files[0]) == b"the text\n"
    assert after.content == "after it"
    assert "Discord does not take post" in gateway.journal()


def test_what_discord_never_takes_stops_nobody(gateway: Herald) -> None:
    gateway.discord.trouble.fault("POST", MESSAGES, times=3, status=400, body={"code": 50035, "message": "No."})
    gateway.post("the text", "a", kind="notice")
    gateway.post("after it", "b", kind="notice")
    gateway.delivered()

    assert texts(gateway, gateway.demo) == ["after it"]
    assert "heraldctl posts" in gateway.journal()


def test_a_webhook_that_was_removed_is_made_anew(gateway: Herald) -> None:
    gateway.post("first", "a")
    gateway.delivered()
    (hook,) = gateway.discord.webhooks(gateway.demo)
    gateway.discord.remove_webhook(hook.id)
    gateway.post("second", "b")
    gateway.post("first, again", "a", revision=1)
    gateway.delivered()

    (new,) = gateway.discord.webhooks(gateway.demo)
    assert new.id != hook.id
    found = [(each.text, each.webhook) for each in gateway.discord.messages(gateway.demo)]
    assert found[-2:] == [("```\nsecond\n```", new.id), ("```\nfirst, again\n```", new.id)]


def test_without_a_webhook_the_bot_says_it_in_the_agents_name(gateway: Herald) -> None:
    gateway.discord.overwrite(gateway.demo, gateway.discord.bot, deny=("manage_webhooks",))
    gateway.post("the answer", "a", identity="Ava *the* agent")
    gateway.delivered()

    answer = next(each for each in gateway.discord.posts(gateway.demo) if "the answer" in each.text)
    assert answer.author == gateway.discord.bot
    assert answer.content == "**Ava \\*the\\* agent**\n```\nthe answer\n```"


def test_a_name_that_webhooks_may_not_have_is_bent(gateway: Herald) -> None:
    gateway.post("the answer", "a", identity="My Discord agent " + "x" * 80)
    gateway.delivered()

    (answer,) = gateway.discord.posts(gateway.demo)
    assert answer.webhook
    assert answer.name.startswith("My Dis-cord agent xxx")


def test_a_reply_goes_where_it_was_asked_and_an_answer_to_the_projects_channel(gateway: Herald) -> None:
    key = f"discord:{gateway.discord.say(gateway.approver, gateway.elsewhere, '!run demo make it so')}"
    wait_for(lambda: gateway.state(f"SELECT 1 FROM messages WHERE key = '{key}'"))
    gateway.post("queued", "r", kind="reply", answers=key)
    gateway.post("done", "a", answers=key, task="7")
    gateway.delivered()

    assert "queued" in texts(gateway, gateway.elsewhere)
    assert texts(gateway, gateway.demo) == ["done"]


def test_without_a_system_channel_its_posts_are_in_the_log_alone(herald: Herald) -> None:
    herald.channels["herald"] = herald.system = ""
    herald.configure()
    herald.start()
    for key in ("a", "b"):
        herald.post("to nobody", key, kind="notice", project="")
    herald.delivered()

    assert herald.state("SELECT text FROM posts") == [("to nobody",), ("to nobody",)]
    assert herald.journal().count("system channel") == 1


def test_a_webhook_url_of_another_server_is_masked_in_the_journal(herald: Herald) -> None:
    hook = herald.discord.webhook(herald.demo, "by hand")
    herald.configure(webhook_url=herald.discord.webhook_url(hook))
    herald.start()
    herald.discord.trouble.fault("POST", EXECUTE, times=2, drop=True)
    herald.post("the answer", "a")
    herald.delivered()

    assert [each.webhook for each in herald.discord.messages(herald.demo)] == [hook.id]
    assert hook.token not in herald.journal()


def test_the_gateway_goes_on_where_the_one_before_was_stopped(gateway: Herald) -> None:
    gateway.discord.trouble.cut()
    for number in range(3):
        gateway.post(f"{number}", f"k{number}")
    gateway.bus.end(names.GATEWAY)
    gateway.discord.trouble.heal()
    gateway.restart()
    gateway.delivered()

    assert texts(gateway, gateway.demo) == ["0", "1", "2"]
