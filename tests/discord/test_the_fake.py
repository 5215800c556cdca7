"""What the other tests rest on: that the fake treats a bare discord.py client as Discord does."""

import io
import time
from collections.abc import Callable, Iterator

import pytest

from tests.discord.bare import ConnectionClosed, Running, app_commands, discord, point_at
from tests.fake_discord.client import Discord
from tests.fake_discord.process import RefusedError

Server = Discord


@pytest.fixture
def running(discord: Server) -> Iterator[Callable[..., Running]]:
    """Starts bare clients that are ended with the test."""
    point_at(discord)
    made: list[Running] = []

    def run(**settings: int) -> Running:
        made.append(Running(discord, **settings))
        return made[-1]

    yield run
    for each in made:
        each.close()


@pytest.fixture
def bot(running: Callable[..., Running]) -> Running:
    """A bare client that is connected."""
    return running().ready()


def test_messages_come_once_in_the_order_in_which_they_were_written(bot: Running) -> None:
    server = bot.server
    user, channel = server.user("ada"), server.channel("demo")

    ids = [server.say(user, channel, f"m{number}") for number in range(50)]

    bot.wait(lambda: len(bot.client.texts()) >= 50)
    assert bot.client.texts() == [f"m{number}" for number in range(50)]
    assert [each.id for each in server.messages(channel)] == ids
    assert ids == sorted(ids, key=int)


def test_what_a_session_missed_is_sent_when_it_is_resumed(bot: Running) -> None:
    server = bot.server
    user, channel = server.user("ada"), server.channel("demo")
    server.trouble.settings(delay=0.5)

    server.say(user, channel, "before")
    server.trouble.abort()
    server.say(user, channel, "between")
    bot.wait(lambda: ("resumed", "") in bot.client.heard)
    server.say(user, channel, "after")

    bot.wait(lambda: "after" in bot.client.texts())
    assert bot.client.texts() == ["before", "between", "after"]
    assert server.gateway().identifies == 1


def test_a_session_that_is_forgotten_has_to_begin_anew(bot: Running) -> None:
    server = bot.server
    user, channel = server.user("ada"), server.channel("demo")

    server.trouble.settings(delay=0.5)
    server.trouble.invalidate()
    server.wait_gone()
    server.say(user, channel, "lost")
    bot.wait(lambda: bot.client.heard.count(("ready", "")) == 2)

    history = bot.do(_history(bot.channel(channel)))
    assert bot.client.texts() == []
    assert history == ["lost"]
    assert server.gateway().identifies == 2


async def _history(channel: discord.TextChannel, after: int = 1) -> list[str]:
    found = channel.history(limit=None, after=discord.Object(after), oldest_first=True)
    return [each.content async for each in found]


def test_history_is_paged_from_the_oldest_that_is_newer(bot: Running) -> None:
    server = bot.server
    user, channel = server.user("ada"), server.channel("demo")
    ids = [server.say(user, channel, f"m{number}") for number in range(230)]

    history = bot.do(_history(bot.channel(channel), int(ids[9])))

    assert history == [f"m{number}" for number in range(10, 230)]
    assert len(server.requests("GET", "/messages")) == 3


def test_without_the_intent_a_message_has_no_content(running: Callable[..., Running]) -> None:
    bot = running(intents=513).ready()  # guilds, guild_messages
    server = bot.server

    server.say(server.user("ada"), server.channel("demo"), "secret")

    bot.wait(lambda: bot.client.texts() == [""])


def test_an_intent_that_is_not_allowed_and_a_bad_token_end_the_client(
    running: Callable[..., Running], discord: Server
) -> None:
    discord.trouble.settings(allowed_intents=513)
    refused = running()
    refused.wait(lambda: refused.failure)
    discord.trouble.revoke()
    unknown = running()
    unknown.wait(lambda: unknown.failure)

    assert isinstance(refused.failure, ConnectionClosed)
    assert refused.failure.code == 4014
    assert type(unknown.failure).__name__ == "LoginFailure"


def test_the_same_nonce_is_the_same_message(bot: Running) -> None:
    channel = bot.server.channel("demo")
    bot.server.trouble.fault("POST", r"/channels/\d+/messages", status=502, after=True)

    first = bot.do(bot.channel(channel).send("once", nonce="p1"))
    again = bot.do(bot.channel(channel).send("once", nonce="p1"))

    assert [each.content for each in bot.server.posts(channel)] == ["once"]
    assert first.id == again.id
    assert [each.status for each in bot.server.requests("POST", "/messages")] == [502, 200, 200]


def test_a_lost_answer_of_a_webhook_doubles_the_post(bot: Running) -> None:
    channel = bot.server.channel("demo")
    hook = bot.do(bot.channel(channel).create_webhook(name="Pounce"))
    bot.server.trouble.fault("POST", rf"/webhooks/{hook.id}/.*", status=502, after=True)

    bot.do(hook.send("twice", username="Demo", wait=True))

    assert [(each.name, each.content, each.bot) for each in bot.server.posts(channel)] == [("Demo", "twice", True)] * 2


def test_what_the_bot_may_not_is_refused_with_discords_codes(bot: Running) -> None:
    server = bot.server
    user, hidden, mute = server.user("ada"), server.channel("hidden"), server.channel("mute")
    said = server.say(user, mute, "hello")
    server.overwrite(hidden, server.bot, deny=("view_channel",))
    server.overwrite(mute, server.guild, deny=("send_messages", "add_reactions", "create_public_threads"))
    server.overwrite(mute, server.bot, deny=("manage_webhooks", "manage_messages"))
    server.permissions()
    message = bot.channel(mute).get_partial_message(int(said))
    refusals = [
        bot.client.get_partial_messageable(int(hidden)).send("x"), bot.channel(mute).send("x"),
        message.add_reaction("👍"), message.delete(), bot.channel(mute).create_webhook(name="x"),
        message.create_thread(name="x"), bot.client.guilds[0].create_text_channel("x"),
    ]  # fmt: skip

    codes = [_code(bot, refused) for refused in refusals]

    assert codes == [50001, 50013, 50013, 50013, 50013, 50013, 50013]
    assert server.posts(mute) == []
    server.say(user, hidden, "not for the bot")
    server.say(user, mute, "for the bot")
    bot.wait(lambda: "for the bot" in bot.client.texts())
    assert "not for the bot" not in bot.client.texts()


def _code(bot: Running, refused: object) -> int:
    with pytest.raises(discord.Forbidden) as raised:
        bot.do(refused)  # type: ignore[arg-type]
    return raised.value.code


def test_a_bucket_tells_what_is_left_and_then_429(bot: Running) -> None:
    server = bot.server
    channel = server.channel("demo")
    server.trouble.limit("POST", "/channels/{}/messages", 5, 1.0)

    begun = time.monotonic()
    for number in range(11):
        bot.do(bot.channel(channel).send(f"m{number}"))

    assert time.monotonic() - begun > 1.8
    assert [each.content for each in server.posts(channel)] == [f"m{number}" for number in range(11)]
    assert all(each.status == 200 for each in server.requests("POST", "/messages"))
    server.trouble.fault("POST", ".*/messages", retry_after=0.2, times=2)
    bot.do(bot.channel(channel).send("late"))
    assert [each.status for each in server.requests("POST", "/messages")][-3:] == [429, 429, 200]


def test_commands_buttons_and_completions_are_answered_as_by_a_person(bot: Running) -> None:
    server = bot.server
    user, channel = server.user("ada"), server.channel("demo")
    bot.do(_register(bot))

    ran = server.answer(server.slash(user, channel, "herald run", project="demo"))
    whispered = server.answer(server.slash(user, channel, "herald whisper"))

    assert (ran.content, ran.only_for) == ("ran demo", "")
    assert (whispered.content, whispered.only_for) == ("psst", user)
    assert server.autocomplete(user, channel, "herald run", "project", project="de") == ["demo"]
    with pytest.raises(RefusedError, match="missing: \\['project'\\]"):
        server.slash(user, channel, "herald run")
    pressed = server.answer(server.click(user, ran.id, "again"))
    assert (pressed.id, pressed.content, pressed.buttons) == (ran.id, "pressed", [])
    late = server.slash(user, channel, "herald whisper", lifetime=0)
    server.wait(lambda: any(each.status == 404 for each in server.requests("POST", "/callback")))
    assert server.interaction(late).acked == 0


async def _register(bot: Running) -> None:
    group = app_commands.Group(name="herald", description="Herald")
    view = discord.ui.View(timeout=None)
    button: discord.ui.Button[discord.ui.View] = discord.ui.Button(label="again", custom_id="again")

    async def press(interaction: discord.Interaction) -> None:
        await interaction.response.edit_message(content="pressed", view=None)

    button.callback = press  # type: ignore[method-assign]
    view.add_item(button)

    @group.command(description="run")
    async def run(interaction: discord.Interaction, project: str) -> None:
        await interaction.response.defer()
        await interaction.followup.send(f"ran {project}", view=view)

    @run.autocomplete("project")
    async def complete(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        names = [each for each in ("demo", "other") if current in each]
        return [app_commands.Choice(name=each, value=each) for each in names]

    @group.command(description="whisper")
    async def whisper(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("psst", ephemeral=True)

    guild = discord.Object(int(bot.server.guild))
    bot.client.tree.add_command(group, guild=guild)
    await bot.client.tree.sync(guild=guild)


def test_events_are_lost_doubled_and_let_go_in_another_order(bot: Running) -> None:
    server = bot.server
    user, channel = server.user("ada"), server.channel("demo")

    server.trouble.duplicate("MESSAGE_CREATE")
    server.say(user, channel, "twice")
    server.trouble.hide("MESSAGE_CREATE")
    server.say(user, channel, "never")
    server.trouble.hide()
    server.trouble.hold("MESSAGE_CREATE")
    for text in ("a", "b", "c"):
        server.say(user, channel, text)
    server.trouble.release([2, 0, 1])

    bot.wait(lambda: len(bot.client.texts()) == 5)
    assert bot.client.texts() == ["twice", "twice", "c", "a", "b"]


def test_files_go_up_and_down_and_nobody_is_pinged(bot: Running) -> None:
    server = bot.server
    user, channel = server.user("ada"), server.channel("demo")

    said = server.say(user, channel, "look", files={"a.txt": b"abc"})
    message = bot.do(bot.channel(channel).fetch_message(int(said)))
    read = bot.do(message.attachments[0].read())
    bot.do(bot.channel(channel).send(f"@everyone <@{user}>", file=discord.File(io.BytesIO(b"out"), "out.txt")))

    (post,) = server.posts(channel)
    assert read == b"abc"
    assert server.file(post.files[0]) == b"out"
    assert post.notified == []
    assert len(server.leaks("out")) == 1


def test_a_frozen_server_answers_nothing_until_it_thaws(bot: Running) -> None:
    server = bot.server
    user, channel = server.user("ada"), server.channel("demo")

    server.trouble.freeze()
    server.say(user, channel, "hello")
    time.sleep(0.1)
    silent = bot.client.texts()
    server.trouble.thaw()

    bot.wait(lambda: bot.client.texts() == ["hello"])
    assert silent == []


def test_a_cut_server_refuses_and_comes_back_at_the_same_place(bot: Running, running: Callable[..., Running]) -> None:
    bot.server.trouble.cut()
    bot.wait(lambda: bot.failure)
    refused = running()
    refused.wait(lambda: refused.failure)

    bot.server.trouble.heal()

    assert isinstance(refused.failure, OSError)
    running().ready()


def test_what_is_too_long_or_too_much_is_refused_by_field(bot: Running) -> None:
    channel = bot.channel(bot.server.channel("demo"))
    big = discord.File(io.BytesIO(bytes(10 * 1024 * 1024 + 1)), "big.bin")
    refused = [
        channel.send("x" * 2001), channel.send(embed=discord.Embed(description="x" * 4097)), channel.send(" "),
        channel.send("x", nonce="n" * 26), channel.send(file=big), channel.create_webhook(name="my discord"),
    ]  # fmt: skip

    errors = [_error(bot, each) for each in refused]

    assert [(each.status, each.code) for each in errors] == [
        (400, 50035), (400, 50035), (400, 50006), (400, 50035), (413, 40005), (400, 50035),
    ]  # fmt: skip
    assert "content" in errors[0].text
    assert "embeds.0.description" in errors[1].text


def _error(bot: Running, refused: object) -> discord.HTTPException:
    with pytest.raises(discord.HTTPException) as raised:
        bot.do(refused)  # type: ignore[arg-type]
    return raised.value


def test_a_thread_has_the_id_of_its_message_and_wakes_when_something_is_said(bot: Running) -> None:
    server = bot.server
    user, channel = server.user("ada"), server.channel("demo")
    said = server.say(user, channel, "begin")
    message = bot.channel(channel).get_partial_message(int(said))

    thread = bot.do(message.create_thread(name="t"))
    again = _error(bot, message.create_thread(name="t"))
    server.archive(said)
    closed = bot.do(_active(bot))
    server.say(user, said, "more")

    assert (str(thread.id), again.code, closed) == (said, 160004, [])
    assert bot.do(_active(bot)) == ["t"]
    bot.wait(lambda: "more" in bot.client.texts())


async def _active(bot: Running) -> list[str]:
    return [each.name for each in await bot.client.guilds[0].active_threads()]


def test_one_identify_too_many_resets_the_token(running: Callable[..., Running], discord: Server) -> None:
    discord.trouble.settings(identify_limit=1)
    running().ready()
    refused = running()
    refused.wait(lambda: refused.failure)
    unknown = running()
    unknown.wait(lambda: unknown.failure)

    assert isinstance(refused.failure, ConnectionClosed)
    assert refused.failure.code == 4004
    assert type(unknown.failure).__name__ == "LoginFailure"
