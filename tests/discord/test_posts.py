"""What Herald says in Discord: by whom, in which order, once."""

import pytest

from tests.discord.herald import Herald


def _texts(herald: Herald) -> list[str]:
    """What was posted, without the marks of a code block."""
    return [each.content.strip("`\n") for each in herald.discord.posts(herald.demo)]


def test_an_answer_comes_under_the_agents_name_and_a_notice_from_the_bot(gateway: Herald) -> None:
    gateway.post("made it so", "p1", identity="Demo")
    gateway.post("something happened", "p2", "notice")

    answer = gateway.posted(gateway.demo, "made it so")
    notice = gateway.posted(gateway.demo, "something happened")
    assert (answer.name, answer.webhook != "") == ("Demo", True)
    assert (notice.author, notice.webhook) == (gateway.discord.bot, "")
    assert len(gateway.discord.webhooks(gateway.demo)) == 1


def test_without_the_permission_the_bot_says_it_for_the_agent(herald: Herald) -> None:
    herald.discord.permissions("manage_channels")
    herald.start()
    herald.post("made it so", "p1", identity="Demo")

    answer = herald.posted(herald.demo, "made it so")
    assert answer.author == herald.discord.bot
    assert answer.content.splitlines()[0] == "**Demo**"


def test_nobody_is_mentioned_by_what_an_agent_writes(gateway: Herald) -> None:
    text = f"@everyone @here <@{gateway.approver}> <@&{gateway.discord.guild}> hello"
    gateway.post(text, "p1", identity="Demo")
    gateway.post(text, "p2", "notice")

    gateway.delivered()
    assert [each.notified for each in gateway.discord.posts(gateway.demo)] == [[], []]


def test_posts_of_a_channel_keep_their_order_through_429s_and_failures(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.seed(5)
    discord.trouble.fault("POST", ".*(messages|/webhooks/.*)", times=0, chance=0.3, retry_after=0.05)
    discord.trouble.fault("POST", ".*(messages|/webhooks/.*)", times=5, chance=0.5, status=503)
    discord.trouble.fault("POST", ".*(messages|/webhooks/.*)", times=3, chance=0.5, drop=True)
    for number in range(20):
        gateway.post(f"post {number:02}", f"p{number}", "answer" if number % 2 else "notice", identity="Demo")

    gateway.delivered(60)

    assert _texts(gateway) == [f"post {number:02}" for number in range(20)]


@pytest.mark.parametrize("kind", ["notice", "answer"])
@pytest.mark.parametrize("failure", [{"status": 502}, {"drop": True}, {"status": 504, "times": 2}])
def test_a_post_whose_answer_was_lost_is_there_once(gateway: Herald, kind: str, failure: dict[str, int]) -> None:
    gateway.post("warm up", "p0", kind, identity="Demo")
    gateway.delivered()
    gateway.discord.trouble.fault("POST", ".*(messages|/webhooks/.*)", after=True, **failure)

    gateway.post("only once", "p1", kind, identity="Demo")
    gateway.post("and then", "p2", kind, identity="Demo")

    gateway.delivered(40)
    assert _texts(gateway) == ["warm up", "only once", "and then"]


@pytest.mark.parametrize("kind", ["notice", "answer"])
def test_a_post_that_was_being_sent_when_the_gateway_was_killed_is_there_once(gateway: Herald, kind: str) -> None:
    discord = gateway.discord
    gateway.post("warm up", "p0", kind, identity="Demo")
    gateway.delivered()
    discord.trouble.fault("POST", ".*(messages|/webhooks/.*)", after=True, hold=True)
    gateway.post("only once", "p1", kind, identity="Demo")
    discord.wait(lambda: "only once" in _texts(gateway))
    gateway.kill()
    discord.trouble.clear_faults()

    gateway.restart()

    gateway.delivered()
    assert _texts(gateway) == ["warm up", "only once"]


def test_posts_made_while_discord_is_away_come_in_order(gateway: Herald) -> None:
    gateway.discord.trouble.cut()
    for number in range(10):
        gateway.post(f"post {number}", f"p{number}", "answer" if number % 2 else "notice", identity="Demo")
    gateway.kill()
    gateway.discord.trouble.heal()

    gateway.restart()

    gateway.delivered()
    assert _texts(gateway) == [f"post {number}" for number in range(10)]


def test_a_webhook_that_somebody_deletes_is_made_anew(gateway: Herald) -> None:
    discord = gateway.discord
    gateway.post("first", "p1", identity="Demo")
    gateway.posted(gateway.demo, "first")
    (hook,) = discord.webhooks(gateway.demo)
    discord.remove_webhook(hook.id)

    gateway.post("second", "p2", identity="Demo")

    assert gateway.posted(gateway.demo, "second").name == "Demo"
    assert [each.id for each in discord.webhooks(gateway.demo)] != [hook.id]


@pytest.mark.parametrize(("length", "as_file"), [(1899, False), (5000, True), (5_000_000, True)])
def test_a_long_answer_is_a_file(gateway: Herald, length: int, as_file: bool) -> None:
    text = ("x" * 99 + "\n") * (length // 100) + "y" * (length % 100)
    gateway.post(text[:length], "p1", identity="Demo")

    gateway.delivered()
    (post,) = gateway.discord.posts(gateway.demo)
    assert bool(post.files) == as_file
    if as_file:
        assert gateway.discord.file(post.files[0]).decode().strip() == text[:length].strip()


def test_a_later_revision_changes_the_post_that_is_there(gateway: Herald) -> None:
    gateway.post("first words", "p1", "notice")
    gateway.posted(gateway.demo, "first words")
    gateway.post("second words", "p1", "notice", revision=1)

    gateway.posted(gateway.demo, "second words")
    gateway.delivered()
    assert _texts(gateway) == ["second words"]


def test_a_storm_of_429s_is_no_loop(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.fault("*", "/channels/.*", times=10, retry_after=0.2, everywhere=True)
    said = discord.say(gateway.approver, gateway.demo, "in the storm")
    gateway.post("through the storm", "p1", "notice")

    gateway.eyes(said, 40)
    gateway.delivered(40)
    assert len([each for each in discord.requests() if each.status == 429]) == 10
    assert _texts(gateway) == ["through the storm"]


def test_progress_is_one_message_that_ends_with_the_task(gateway: Herald) -> None:
    discord = gateway.discord
    said = discord.say(gateway.approver, gateway.demo, "go")
    gateway.tasks(1)
    gateway.progress("reading files", f"discord:{said}")
    shown = gateway.posted(gateway.demo, "reading files")
    gateway.progress("writing files", f"discord:{said}")
    gateway.posted(gateway.demo, "writing files")
    gateway.post("made it so", "p1", identity="Demo", answers=f"discord:{said}", task="7", ends="done", last=True)

    answer = gateway.posted(gateway.demo, "made it so")
    discord.wait(lambda: not discord.exists(shown.id) or discord.message(shown.id).buttons == [], what="its end")
    assert shown.name == "Demo"
    assert shown.button_ids == ["herald:cancel:7"]
    assert int(answer.id) > int(shown.id)
    assert len([each for each in discord.posts(gateway.demo) if each.id not in (shown.id, answer.id)]) == 0
