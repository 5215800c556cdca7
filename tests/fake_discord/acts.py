"""What people do: they write, react, press buttons, use commands; and what an administrator sets up."""

import base64
import secrets
import time
from typing import Any

from tests.fake_discord import posting
from tests.fake_discord import world as worlds
from tests.fake_discord.ids import Json
from tests.fake_discord.permissions import EVERYBODY, THREADS, bits, in_channel
from tests.fake_discord.routes import webhooks
from tests.fake_discord.world import Event, Interaction, Upload, World


class Acts:
    """The users' side. What the real client would not let them do raises ValueError."""

    def __init__(self, world: World) -> None:
        self._world = world

    def user(self, name: str, bot: bool = False, guilds: list[str] | None = None) -> str:
        """A new user, a member of these guilds (default: the first one)."""
        made = self._world.user(name, bot=bot)
        for guild in [self._world.guild_id] if guilds is None else guilds:
            member = self._world.join(self._world.guilds[guild], made["id"], [])
            self._world.emit(Event("GUILD_MEMBER_ADD", {**member, "guild_id": guild}, worlds.MEMBERS))
        return str(made["id"])

    def guild(self, name: str) -> str:
        """A new guild with the bot in it."""
        made = self._world.guild(name)
        self._world.emit(Event("GUILD_CREATE", self._world.guild_create(made), worlds.GUILDS))
        return made.id

    def role(self, guild: str, name: str, permissions: list[str], members: list[str]) -> str:
        there = self._world.guilds[guild]
        made = self._world.role(self._world.ids.new(), name, bits(permissions), len(there.roles))
        there.roles[made["id"]] = made
        self._world.emit(Event("GUILD_ROLE_CREATE", {"guild_id": guild, "role": made}, worlds.GUILDS))
        for member in members:
            there.members[member]["roles"].append(made["id"])
            self._member_changed(guild, member)
        return str(made["id"])

    def permissions(self, guild: str, names: list[str]) -> None:
        """What the bot's own role adds to what everybody may."""
        self._set_role(guild, self._world.guilds[guild].members[self._world.bot["id"]]["roles"][0], names)

    def everybody(self, guild: str, names: list[str] | None = None) -> None:
        """What @everyone may."""
        self._set_role(guild, guild, list(EVERYBODY) if names is None else names)

    def _set_role(self, guild: str, role: str, names: list[str]) -> None:
        changed = self._world.guilds[guild].roles[role]
        changed["permissions"] = str(bits(names))
        self._world.emit(Event("GUILD_ROLE_UPDATE", {"guild_id": guild, "role": changed}, worlds.GUILDS))

    def _member_changed(self, guild: str, member: str) -> None:
        data = {**self._world.guilds[guild].members[member], "guild_id": guild}
        own = member == self._world.bot["id"]
        self._world.emit(Event("GUILD_MEMBER_UPDATE", data, worlds.GUILDS if own else worlds.MEMBERS))

    def channel(self, name: str, guild: str = "", kind: int = 0) -> str:
        return str(self._world.channel(guild or self._world.guild_id, name, kind)["id"])

    def overwrite(self, channel: str, target: str, allow: list[str], deny: list[str]) -> None:
        """What a role or a user may or may not in one channel."""
        there = self._world.channels[channel]
        kind = 1 if target in self._world.users else 0
        made = {"id": target, "type": kind, "allow": str(bits(allow)), "deny": str(bits(deny))}
        others = [each for each in there["permission_overwrites"] if each["id"] != target]
        there["permission_overwrites"] = [*others, made]
        self._world.changed(there)

    def remove_channel(self, channel: str) -> None:
        self._world.remove_channel(channel)

    def remove_bot(self, guild: str) -> None:
        """The bot is thrown out of a guild."""
        del self._world.guilds[guild].members[self._world.bot["id"]]
        self._world.emit(Event("GUILD_DELETE", {"id": guild}, worlds.GUILDS))

    def thread(self, user: str, channel: str, name: str, message: str = "") -> str:
        """A thread made by a user, of a message or of its own."""
        there = self._world.channels[channel]
        if message:
            return str(posting.start_thread(self._world, self._world.messages[channel][message], name, 1440)["id"])
        return str(self._world.thread(there, name, user)["id"])

    def archive(self, thread: str, archived: bool = True) -> None:
        there = self._world.channels[thread]
        if there["type"] not in THREADS:
            raise ValueError("no thread")
        there["thread_metadata"]["archived"] = archived
        self._world.changed(there)

    def webhook(self, channel: str, name: str, application: str = "") -> Json:
        """A webhook that a person makes by hand, which belongs to no application, or that of another application."""
        return webhooks.make(self._world, channel, name, self._world.owner, application or None)

    def remove_webhook(self, webhook: str) -> None:
        gone = self._world.webhooks.pop(webhook)
        webhooks.told(self._world, gone, "deleted")

    def say(
        self,
        user: str,
        channel: str,
        text: str = "",
        files: list[tuple[str, str]] | None = None,
        reply_to: str = "",
        at: float | None = None,
        kind: int = 0,
    ) -> str:
        """A user writes. Contents of files are base64; `at`: it was said then; `kind`: the type of a system message."""
        self._present(user, channel)
        body: Json = {"content": text}
        if reply_to:
            body["message_reference"] = {"message_id": reply_to}
        uploads = [Upload(name, base64.b64decode(data)) for name, data in files or []]
        author = self._world.users[user]
        return str(posting.create(self._world, channel, author, body, uploads, kind=kind, at=at)["id"])

    def _present(self, user: str, channel: str) -> None:
        if not in_channel(self._world, user, self._world.channels[channel]):
            raise ValueError(f"user {user} does not see channel {channel}")

    def dm(self, user: str, text: str) -> str:
        """A user writes to the bot directly."""
        return self.say(user, self._world.conversation(user)["id"], text)

    def close_dms(self, user: str) -> None:
        """From now on the user takes no direct messages."""
        self._world.closed.add(user)

    def webhook_says(self, webhook: str, text: str) -> str:
        """Somebody else's program posts through a webhook."""
        hook = self._world.webhooks[webhook]
        return str(posting.create(self._world, hook["channel_id"], {}, {"content": text}, webhook=hook)["id"])

    def edit(self, message: str, text: str) -> None:
        posting.edit(self._world, self._found(message), {"content": text}, [])

    def delete(self, message: str) -> None:
        posting.remove(self._world, self._found(message))

    def _found(self, message: str) -> Json:
        for channel in self._world.messages.values():
            if message in channel:
                return channel[message]
        raise LookupError(f"no message {message}")

    def react(self, user: str, message: str, emoji: str) -> None:
        found = self._found(message)
        self._present(user, found["channel_id"])
        posting.react(self._world, found, emoji, self._world.users[user])

    def unreact(self, user: str, message: str, emoji: str) -> None:
        posting.react(self._world, self._found(message), emoji, self._world.users[user], there=False)

    def click(self, user: str, message: str, custom_id: str, lifetime: float = 3.0) -> str:
        """A user presses a button that is under a message and is not disabled."""
        found = self._found(message)
        if found["author"]["id"] != self._world.bot["id"] and found.get("application_id") != self._world.application_id:
            raise ValueError("a button of somebody else")
        buttons = [each for row in found["components"] for each in row["components"]]
        if not any(each.get("custom_id") == custom_id and not each.get("disabled") for each in buttons):
            raise ValueError(f"no button {custom_id!r} among {[each.get('custom_id') for each in buttons]}")
        data = {"custom_id": custom_id, "component_type": 2}
        return self._interact(user, found["channel_id"], 3, data, lifetime, found)

    def slash(self, user: str, channel: str, command: str, options: Json, lifetime: float = 3.0) -> str:
        """A user uses a command (`name` or `name subcommand`) with these options."""
        data = self._command(channel, command, options, "")
        return self._interact(user, channel, 2, data, lifetime)

    def autocomplete(self, user: str, channel: str, command: str, focused: str, options: Json) -> str:
        """A user has typed into the option `focused` of a command."""
        data = self._command(channel, command, options, focused)
        return self._interact(user, channel, 4, data, 3.0)

    def _command(self, channel: str, words: str, options: Json, focused: str) -> Json:
        name, *below = words.split()
        guild = self._world.channels[channel].get("guild_id")
        known = [each for each in self._world.commands.values() if each.get("guild_id") in (None, guild)]
        command = next((each for each in known if each["name"] == name), None)
        if command is None:
            raise ValueError(f"no command {name!r} is registered here")
        data: Json = {"id": command["id"], "name": name, "type": 1}
        if command.get("guild_id"):
            data["guild_id"] = command["guild_id"]  # without it clients look for a global command
        here, declared = data, command
        for word in below:
            declared = next((each for each in declared["options"] if each["name"] == word), {})
            if declared.get("type") not in (1, 2):
                raise ValueError(f"no subcommand {word!r}")
            here["options"] = [{"name": word, "type": declared["type"]}]
            here = here["options"][0]
        here["options"] = _filled(declared.get("options") or [], options, focused)
        return data

    def _interact(
        self, user: str, channel: str, kind: int, data: Json, lifetime: float, message: Json | None = None
    ) -> str:
        self._present(user, channel)
        world, there = self._world, self._world.channels[channel]
        made = Interaction(
            world.ids.new(), secrets.token_hex(24), kind, world.users[user], channel, there.get("guild_id", ""),
            message["id"] if message else "", time.monotonic(), lifetime,
        )  # fmt: skip
        world.interactions[made.token] = made
        payload: Json = {
            "id": made.id, "application_id": world.application_id, "type": kind, "token": made.token, "version": 1,
            "channel_id": channel, "channel": there, "locale": "en-US", "entitlements": [], "data": data,
            "app_permissions": str(in_channel(world, world.bot["id"], there)), "context": 0,
            "authorizing_integration_owners": {"0": made.guild}, "attachment_size_limit": 10485760,
        }  # fmt: skip
        if made.guild:
            member = {**world.guilds[made.guild].members[user], "permissions": str(in_channel(world, user, there))}
            payload |= {"guild_id": made.guild, "member": member, "guild_locale": "en-US",
                        "guild": {"id": made.guild, "locale": "en-US", "features": []}}  # fmt: skip
        else:
            payload |= {"user": world.users[user], "context": 1}
        if message:
            payload["message"] = posting.public(world, message)
        world.changes.note("interaction", act="made", id=made.id, author=user, channel=channel, type=kind)
        world.emit(Event("INTERACTION_CREATE", payload))
        return made.id


def _filled(declared: list[Json], given: Json, focused: str) -> list[Json]:
    """The options as the client sends them: only known ones, all needed ones, of the declared type."""
    known = {each["name"]: each for each in declared}
    unknown = [name for name in given if name not in known]
    missing = [] if focused else [name for name, each in known.items() if each.get("required") and name not in given]
    if unknown or missing:
        raise ValueError(f"options unknown: {unknown}, missing: {missing}; known: {sorted(known)}")
    filled: list[dict[str, Any]] = []
    for name, value in given.items():
        choices = [each["value"] for each in known[name].get("choices") or []]
        if choices and not focused and value not in choices:
            raise ValueError(f"{name}: {value!r} is none of {choices}")
        one = {"name": name, "type": known[name]["type"], "value": value}
        filled.append({**one, "focused": True} if name == focused else one)
    if focused and not known[focused].get("autocomplete"):
        raise ValueError(f"{focused} has no completions")
    return filled
