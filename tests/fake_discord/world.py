"""The things there are: users, guilds, channels, threads, webhooks, commands, files."""

import dataclasses
import secrets
from collections.abc import Callable
from typing import NamedTuple

from tests.fake_discord.answers import unknown
from tests.fake_discord.changes import Changes
from tests.fake_discord.ids import Json, Snowflakes, iso
from tests.fake_discord.permissions import BOT, EVERYBODY, THREADS, bits

GUILDS, MEMBERS, WEBHOOKS, MESSAGES, REACTIONS, TYPING = 1, 1 << 1, 1 << 5, 1 << 9, 1 << 10, 1 << 11
DIRECT_MESSAGES, DIRECT_REACTIONS, DIRECT_TYPING, CONTENT = 1 << 12, 1 << 13, 1 << 14, 1 << 15


class Event(NamedTuple):
    """What the gateway may have to say. `intent` 0: to everybody; `channel`: only to who sees it."""

    type: str
    data: Json
    intent: int = 0
    channel: str = ""


class Upload(NamedTuple):
    name: str
    data: bytes


@dataclasses.dataclass
class Guild:
    """A server with its roles and members by id. The id of @everyone is the guild's."""

    id: str
    name: str
    owner_id: str
    roles: dict[str, Json]
    members: dict[str, Json]


@dataclasses.dataclass
class Interaction:
    """A command, a press of a button or a question for completions, and how it was answered."""

    id: str
    token: str
    kind: int
    user: Json
    channel: str
    guild: str
    message: str
    born: float
    lifetime: float
    acked: int = 0
    ephemeral: bool = False
    original: str = ""
    choices: list[Json] | None = None
    followups: list[str] = dataclasses.field(default_factory=list)


class World:
    """Everything that exists. Objects are kept as they go over the wire; keys with `_` are the fake's own."""

    def __init__(self, changes: Changes, cdn: str, token: str = "") -> None:
        self.changes = changes
        self.cdn = cdn
        self.emit: Callable[[Event], None] = lambda _: None
        self.ids = Snowflakes()
        self.users: dict[str, Json] = {}
        self.guilds: dict[str, Guild] = {}
        self.channels: dict[str, Json] = {}
        self.messages: dict[str, dict[str, Json]] = {}
        self.thread_members: dict[str, set[str]] = {}
        self.webhooks: dict[str, Json] = {}
        self.commands: dict[str, Json] = {}
        self.interactions: dict[str, Interaction] = {}
        self.files: dict[str, Upload] = {}
        self.closed: set[str] = set()
        """users who take no direct messages"""
        self.nonces: dict[tuple[str, str, str], tuple[float, str]] = {}
        self.bot = self.user("herald-bot", bot=True)
        self.token = token or f"MTA{secrets.token_urlsafe(18)[:21]}.G{secrets.token_hex(3)[:5]}.{secrets.token_hex(19)}"
        self.owner = self.user("owner")
        self.guild_id = self.guild("test guild").id

    @property
    def application_id(self) -> str:
        return str(self.bot["id"])  # they are the same for applications of our days

    def user(self, name: str, *, bot: bool = False) -> Json:
        made: Json = {
            "id": self.ids.new(), "username": name, "discriminator": "0001" if bot else "0", "global_name": None,
            "avatar": None, "bot": bot, "public_flags": 0,
        }  # fmt: skip
        self.users[made["id"]] = made
        return made

    def guild(self, name: str) -> Guild:
        """A new guild with the bot and the owner in it; the bot's role has what the setup guide of a bot asks for."""
        id_ = self.ids.new()
        made = Guild(id_, name, self.owner["id"], {id_: self.role(id_, "@everyone", bits(EVERYBODY), 0)}, {})
        own = self.role(self.ids.new(), "herald-bot", bits(BOT), 1)
        made.roles[own["id"]] = own
        self.guilds[id_] = made
        self.join(made, self.bot["id"], [own["id"]])
        self.join(made, self.owner["id"], [])
        return made

    def role(self, id_: str, name: str, permissions: int, position: int) -> Json:
        return {"id": id_, "name": name, "color": 0, "hoist": False, "position": position, "mentionable": False,
                "permissions": str(permissions), "managed": False, "flags": 0,
                "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None}}  # fmt: skip

    def join(self, guild: Guild, user: str, roles: list[str]) -> Json:
        member = {"user": self.users[user], "nick": None, "avatar": None, "roles": roles, "joined_at": iso(),
                  "deaf": False, "mute": False, "flags": 0, "pending": False}  # fmt: skip
        guild.members[user] = member
        return member

    def channel(
        self, guild: str, name: str, kind: int = 0, *, parent: str | None = None, topic: str | None = None,
        overwrites: list[Json] | None = None,
    ) -> Json:  # fmt: skip
        """A new channel; says so on the gateway."""
        made: Json = {
            "id": self.ids.new(), "type": kind, "guild_id": guild, "name": name, "position": len(self.channels),
            "permission_overwrites": overwrites or [], "parent_id": parent, "topic": topic, "nsfw": False,
            "rate_limit_per_user": 0, "last_message_id": None, "flags": 0,
        }  # fmt: skip
        self.channels[made["id"]] = made
        self.messages[made["id"]] = {}
        self.changes.note("channel", act="created", id=made["id"], name=name)
        self.emit(Event("CHANNEL_CREATE", made, GUILDS))
        return made

    def thread(
        self, parent: Json, name: str, owner: str, *, kind: int = 11, id_: str = "", archive_after: int = 1440
    ) -> Json:
        """A new thread; says so on the gateway."""
        made = {"id": id_ or self.ids.new(), "type": kind, "guild_id": parent["guild_id"], "parent_id": parent["id"],
                "owner_id": owner, "name": name, "last_message_id": None, "message_count": 0, "member_count": 1,
                "total_message_sent": 0, "rate_limit_per_user": 0, "flags": 0,
                "thread_metadata": {"archived": False, "auto_archive_duration": archive_after, "locked": False,
                                    "archive_timestamp": iso(), "create_timestamp": iso()}}  # fmt: skip
        self.channels[made["id"]] = made
        self.messages[made["id"]] = {}
        self.thread_members[made["id"]] = {owner}
        self.changes.note("channel", act="created", id=made["id"], name=name, parent=parent["id"])
        self.emit(Event("THREAD_CREATE", {**made, "newly_created": True}, GUILDS, parent["id"]))
        return made

    def changed(self, channel: Json) -> None:
        """Say on the gateway that a channel or thread is different now."""
        thread = channel["type"] in THREADS
        self.changes.note("channel", act="changed", id=channel["id"], name=channel["name"])
        self.emit(Event("THREAD_UPDATE" if thread else "CHANNEL_UPDATE", channel, GUILDS))

    def remove_channel(self, id_: str) -> Json:
        gone = self.channels.pop(id_, None)
        if gone is None:
            raise unknown("Channel")
        self.changes.note("channel", act="deleted", id=id_, name=gone.get("name", ""))
        self.webhooks = {key: each for key, each in self.webhooks.items() if each["channel_id"] != id_}
        for thread in [each for each in self.channels.values() if each.get("parent_id") == id_ and each["type"] != 0]:
            if thread["type"] in THREADS:
                self.remove_channel(thread["id"])
        self.emit(Event("THREAD_DELETE" if gone["type"] in THREADS else "CHANNEL_DELETE", gone, GUILDS))
        return gone

    def conversation(self, user: str) -> Json:
        """The direct channel between the bot and a user."""
        for each in self.channels.values():
            if each["type"] == 1 and each["recipients"][0]["id"] == user:
                return each
        made: Json = {
            "id": self.ids.new(),
            "type": 1,
            "recipients": [self.users[user]],
            "last_message_id": None,
            "flags": 0,
        }
        self.channels[made["id"]] = made
        self.messages[made["id"]] = {}
        return made

    def active_threads(self, guild: str) -> list[Json]:
        return [
            each
            for each in self.channels.values()
            if each["type"] in THREADS and each["guild_id"] == guild and not each["thread_metadata"]["archived"]
        ]

    def guild_object(self, guild: Guild) -> Json:
        """A guild as REST answers it."""
        return {
            "id": guild.id, "name": guild.name, "icon": None, "splash": None, "discovery_splash": None, "banner": None,
            "description": None, "owner_id": guild.owner_id, "afk_channel_id": None, "afk_timeout": 300,
            "verification_level": 0, "default_message_notifications": 0, "explicit_content_filter": 0,
            "roles": list(guild.roles.values()), "emojis": [], "stickers": [], "features": [], "mfa_level": 0,
            "nsfw_level": 0, "system_channel_id": None, "system_channel_flags": 0, "rules_channel_id": None,
            "public_updates_channel_id": None, "preferred_locale": "en-US", "premium_tier": 0,
            "premium_subscription_count": 0, "premium_progress_bar_enabled": False, "vanity_url_code": None,
            "max_members": 500000,
        }  # fmt: skip

    def guild_create(self, guild: Guild) -> Json:
        """A guild as the gateway announces it."""
        here = [each for each in self.channels.values() if each.get("guild_id") == guild.id]
        return {
            **self.guild_object(guild), "unavailable": False, "joined_at": iso(), "large": False,
            "member_count": len(guild.members), "members": list(guild.members.values()),
            "channels": [each for each in here if each["type"] not in THREADS],
            "threads": self.active_threads(guild.id), "voice_states": [], "presences": [], "stage_instances": [],
            "guild_scheduled_events": [], "soundboard_sounds": [],
        }  # fmt: skip
