"""Who may do what in a channel, by roles and overwrites."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.fake_discord.answers import ApiError, unknown
from tests.fake_discord.ids import Json

if TYPE_CHECKING:
    from tests.fake_discord.world import Guild, World

BITS = {
    "administrator": 1 << 3,
    "manage_channels": 1 << 4,
    "manage_guild": 1 << 5,
    "add_reactions": 1 << 6,
    "view_channel": 1 << 10,
    "send_messages": 1 << 11,
    "manage_messages": 1 << 13,
    "embed_links": 1 << 14,
    "attach_files": 1 << 15,
    "read_message_history": 1 << 16,
    "mention_everyone": 1 << 17,
    "manage_roles": 1 << 28,
    "manage_webhooks": 1 << 29,
    "use_application_commands": 1 << 31,
    "manage_threads": 1 << 34,
    "create_public_threads": 1 << 35,
    "create_private_threads": 1 << 36,
    "send_messages_in_threads": 1 << 38,
}
EVERYTHING = (1 << 50) - 1
EVERYBODY = (
    "view_channel", "send_messages", "read_message_history", "add_reactions", "embed_links", "attach_files",
    "use_application_commands", "create_public_threads", "send_messages_in_threads",
)  # fmt: skip
"""What @everyone may on a new guild."""
BOT = ("manage_channels", "manage_roles", "manage_webhooks", "manage_messages", "manage_threads")
"""What the bot's role adds."""

THREADS = (10, 11, 12)


def bits(names: Iterable[str]) -> int:
    """The permissions of these names together. KeyError on an unknown one."""
    together = 0
    for name in names:
        together |= BITS[name]
    return together


def names_of(value: int) -> str:
    return ", ".join(name for name, bit in BITS.items() if value & bit)


def in_guild(guild: "Guild", user: str) -> int:
    """What a member may without regard to channels; 0 for somebody who is none."""
    if user not in guild.members:
        return 0
    if user == guild.owner_id:
        return EVERYTHING
    allowed = int(guild.roles[guild.id]["permissions"])
    for role in guild.members[user]["roles"]:
        allowed |= int(guild.roles[role]["permissions"])
    return EVERYTHING if allowed & BITS["administrator"] else allowed


def in_channel(world: "World", user: str, channel: Json) -> int:
    """What a user may in a channel, a thread or a direct conversation."""
    if channel["type"] == 1:
        return EVERYTHING if user in (world.bot["id"], *(each["id"] for each in channel["recipients"])) else 0
    guild = world.guilds[channel["guild_id"]]
    if channel["type"] in THREADS:
        return _in_thread(world, guild, user, channel)
    allowed = in_guild(guild, user)
    if not allowed or allowed & BITS["administrator"]:
        return allowed
    overwrites = {each["id"]: each for each in channel["permission_overwrites"]}
    allowed = _applied(allowed, [overwrites.get(guild.id)])
    allowed = _applied(allowed, [overwrites.get(role) for role in guild.members[user]["roles"]])
    allowed = _applied(allowed, [overwrites.get(user)])
    return allowed if allowed & BITS["view_channel"] else 0


def _applied(allowed: int, overwrites: list[Json | None]) -> int:
    for overwrite in filter(None, overwrites):
        allowed &= ~int(overwrite["deny"])
    for overwrite in filter(None, overwrites):
        allowed |= int(overwrite["allow"])
    return allowed


def _in_thread(world: "World", guild: "Guild", user: str, thread: Json) -> int:
    parent = world.channels.get(thread["parent_id"])
    allowed = in_channel(world, user, parent) if parent else 0
    private = thread["type"] == 12 and user not in world.thread_members[thread["id"]]
    if private and not allowed & BITS["manage_threads"]:
        return 0
    allowed &= ~BITS["send_messages"]
    return allowed | (BITS["send_messages"] if allowed & BITS["send_messages_in_threads"] else 0)


def require(world: "World", channel_id: str, *names: str) -> Json:
    """The channel, if the bot may do all this in it. 404 10003, 403 50001 (cannot see it) or 403 50013."""
    channel = world.channels.get(channel_id)
    if channel is None:
        raise unknown("Channel")
    allowed = in_channel(world, world.bot["id"], channel)
    if not allowed & BITS["view_channel"]:
        raise ApiError(403, 50001, "Missing Access")
    if bits(names) & ~allowed:
        raise ApiError(403, 50013, "Missing Permissions")
    return channel


def require_in_guild(world: "World", guild_id: str, *names: str) -> "Guild":
    """The guild, if the bot is in it and may do all this there."""
    guild = world.guilds.get(guild_id)
    if guild is None:
        raise unknown("Guild")
    allowed = in_guild(guild, world.bot["id"])
    if not allowed:
        raise ApiError(403, 50001, "Missing Access")
    if bits(names) & ~allowed:
        raise ApiError(403, 50013, "Missing Permissions")
    return guild
