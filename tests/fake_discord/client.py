"""The client that tests use: what people do, what there is to see. What goes wrong is in `Discord.trouble`."""

import base64
from typing import Any

from tests.fake_discord import things
from tests.fake_discord.process import Connection
from tests.fake_discord.things import Change, Interaction, Message, Request, Webhook
from tests.fake_discord.trouble import Trouble


class Discord(Connection):
    """A running server. Users, channels, messages are named by their ids."""

    def __init__(self, addresses: dict[str, str]) -> None:
        super().__init__(addresses)
        self.trouble = Trouble(self)
        self.reset()

    def reset(self) -> None:
        """A new Discord with one guild, its owner and the bot."""
        self.call("reset")
        about = self.call("about")
        self.token: str = about["token"]
        self.bot: str = about["bot"]
        self.application: str = about["application"]
        self.guild: str = about["guild"]
        self.owner: str = about["owner"]

    # What an administrator sets up

    def user(self, name: str, *, bot: bool = False, guilds: list[str] | None = None) -> str:
        """A new user, a member of these guilds, default the first."""
        return str(self.call("user", name=name, bot=bot, guilds=guilds))

    def new_guild(self, name: str) -> str:
        return str(self.call("guild", name=name))

    def role(self, name: str, permissions: list[str], members: list[str], guild: str = "") -> str:
        return str(
            self.call("role", guild=guild or self.guild, name=name, permissions=permissions, members=members)
        )  # fmt: skip

    def permissions(self, *names: str, guild: str = "") -> None:
        """What the bot's own role adds to what everybody may; names as in permissions.BITS."""
        self.call("permissions", guild=guild or self.guild, names=names)

    def everybody(self, *names: str, guild: str = "") -> None:
        """What @everyone may."""
        self.call("everybody", guild=guild or self.guild, names=names)

    def channel(self, name: str, guild: str = "") -> str:
        return str(self.call("channel", name=name, guild=guild))

    def overwrite(self, channel: str, target: str, *, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> None:
        """What a role or a user may or may not in one channel."""
        self.call("overwrite", channel=channel, target=target, allow=allow, deny=deny)

    def remove_channel(self, channel: str) -> None:
        self.call("remove_channel", channel=channel)

    def remove_bot(self, guild: str) -> None:
        self.call("remove_bot", guild=guild)

    def thread(self, user: str, channel: str, name: str, message: str = "") -> str:
        """A thread by a user, of a message or of its own."""
        return str(self.call("thread", user=user, channel=channel, name=name, message=message))

    def archive(self, thread: str, *, archived: bool = True) -> None:
        self.call("archive", thread=thread, archived=archived)

    def webhook(self, channel: str, name: str, application: str = "") -> Webhook:
        """A webhook that a person makes by hand, or that of another application."""
        return things.webhook(self.call("webhook", channel=channel, name=name, application=application))

    def remove_webhook(self, webhook: str) -> None:
        self.call("remove_webhook", webhook=webhook)

    def webhook_url(self, webhook: Webhook) -> str:
        return f"{self.api.removesuffix('/v10')}/webhooks/{webhook.id}/{webhook.token}"

    # What people do

    def say(
        self, user: str, channel: str, text: str = "", files: dict[str, bytes] | None = None, reply_to: str = "",
        at: float | None = None, kind: int = 0,
    ) -> str:  # fmt: skip
        """A message; `at`: of that time; `kind`: of that type, for system messages."""
        encoded = [(name, base64.b64encode(data).decode()) for name, data in (files or {}).items()]
        return str(
            self.call("say", user=user, channel=channel, text=text, files=encoded, reply_to=reply_to, at=at, kind=kind)
        )  # fmt: skip

    def dm(self, user: str, text: str) -> str:
        """A direct message to the bot."""
        return str(self.call("dm", user=user, text=text))

    def close_dms(self, user: str) -> None:
        """From now on the user takes no direct messages."""
        self.call("close_dms", user=user)

    def webhook_says(self, webhook: str, text: str) -> str:
        return str(self.call("webhook_says", webhook=webhook, text=text))

    def edit(self, message: str, text: str) -> None:
        self.call("edit", message=message, text=text)

    def delete(self, message: str) -> None:
        self.call("delete", message=message)

    def react(self, user: str, message: str, emoji: str) -> None:
        self.call("react", user=user, message=message, emoji=emoji)

    def unreact(self, user: str, message: str, emoji: str) -> None:
        self.call("unreact", user=user, message=message, emoji=emoji)

    def click(self, user: str, message: str, custom_id: str, lifetime: float = 3.0) -> str:
        """Press a button; the interaction's id."""
        return str(self.call("click", user=user, message=message, custom_id=custom_id, lifetime=lifetime))

    def slash(self, user: str, channel: str, command: str, /, *, lifetime: float = 3.0, **options: Any) -> str:
        """Use a command, `herald run` for a subcommand; the interaction's id."""
        return str(
            self.call("slash", user=user, channel=channel, command=command, options=options, lifetime=lifetime)
        )  # fmt: skip

    def autocomplete(self, user: str, channel: str, command: str, focused: str, /, **options: Any) -> list[str]:
        """The completions that are offered for what has been typed into one option."""
        arguments = {"user": user, "channel": channel, "command": command, "focused": focused, "options": options}
        made = str(self.call("autocomplete", **arguments))
        self.wait(lambda: self.interaction(made).choices is not None, what="completions")
        return [each["value"] for each in self.interaction(made).choices or []]

    # What there is to see

    def messages(self, channel: str) -> list[Message]:
        """All messages of a channel, oldest first."""
        return [things.message(each) for each in self.call("messages", channel=channel)]

    def posts(self, channel: str) -> list[Message]:
        """Those of them that the bot or one of its webhooks wrote."""
        own = {self.bot, *(each.id for each in self.webhooks() if each.application == self.application)}
        return [each for each in self.messages(channel) if each.author in own and each.kind != 21]

    def message(self, id_: str) -> Message:
        """AssertionError when it is not there (any more)."""
        told = self.call("message", message=id_)
        assert told, f"no message {id_}"
        return things.message(told)

    def exists(self, id_: str) -> bool:
        return self.call("message", message=id_) is not None

    def file(self, file: things.File) -> bytes:
        return base64.b64decode(self.call("file", id=file.id))

    def channels(self, guild: str = "") -> list[dict[str, Any]]:
        """Channels and threads as Discord's own objects."""
        found: list[dict[str, Any]] = self.call("channels", guild=guild)
        return found

    def webhooks(self, channel: str = "") -> list[Webhook]:
        return [things.webhook(each) for each in self.call("webhooks", channel=channel)]

    def commands(self) -> list[dict[str, Any]]:
        """The commands that the bot has registered."""
        found: list[dict[str, Any]] = self.call("commands")
        return found

    def interaction(self, id_: str) -> Interaction:
        return Interaction(**self.call("interaction", id=id_))

    def answer(self, interaction: str, seconds: float = 20.0) -> Message:
        """The message that an interaction is answered with, waited for."""
        self.wait(lambda: self._answered(interaction), seconds, "the answer to an interaction")
        return self.message(self.interaction(interaction).original)

    def _answered(self, interaction: str) -> bool:
        original = self.interaction(interaction).original
        return bool(original) and self.exists(original)

    def requests(self, method: str = "", path: str = "", since: int = 0) -> list[Request]:
        """REST requests of the bot; `path` is a part of theirs."""
        found = [Request(**each) for each in self.call("requests", since=since)]
        return [each for each in found if method in ("", each.method) and path in each.path]

    def leaks(self, text: str) -> list[Request]:
        """The requests that hold this text anywhere but in their Authorization."""
        numbers = set(self.call("leaks", text=text))
        return [each for each in self.requests() if each.seq in numbers]

    def changes(self, kind: str = "", since: int = 0) -> list[Change]:
        return [things.change(each) for each in self.call("changes", since=since, kind=kind)]

    def now(self) -> int:
        """The number of the newest change, to ask for what comes after it."""
        return int(self.call("wait", since=0, seconds=0))

    def frames(self) -> list[dict[str, Any]]:
        """What the bot sent over the gateway: `at`, `op`, `d`."""
        found: list[dict[str, Any]] = self.call("frames")
        return found

    def gateway(self) -> things.Gateway:
        return things.Gateway(**self.call("gateway_state"))

    def wait_ready(self, seconds: float = 20.0) -> None:
        """Until the bot has a session on a connection."""
        self.wait(lambda: self.gateway().ready, seconds, "a ready gateway connection")

    def wait_gone(self, seconds: float = 20.0) -> None:
        """Until the bot has no session on a connection any more."""
        self.wait(lambda: not self.gateway().ready, seconds, "the end of the gateway connection")
