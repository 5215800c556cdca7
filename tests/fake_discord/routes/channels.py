"""Channels, their permissions, threads, direct conversations."""

import re

from tests.fake_discord import posting
from tests.fake_discord.answers import ApiError, form_error, unknown
from tests.fake_discord.ids import Json, iso
from tests.fake_discord.permissions import BITS, THREADS, in_channel, in_guild, require, require_in_guild
from tests.fake_discord.rest import Call, Created, Routes
from tests.fake_discord.world import World

routes = Routes()


@routes.add("GET", "/channels/{}")
def one(call: Call, channel: str) -> Json:
    return require(call.world, channel)


@routes.add("GET", "/guilds/{}/channels")
def of_guild(call: Call, guild: str) -> list[Json]:
    require_in_guild(call.world, guild)
    here = [each for each in call.world.channels.values() if each.get("guild_id") == guild]
    return [each for each in here if each["type"] not in THREADS]


@routes.add("POST", "/guilds/{}/channels")
def create(call: Call, guild: str) -> Created:
    world, body = call.world, call.body
    require_in_guild(world, guild, "manage_channels")
    name = str(body.get("name") or "")
    if not 1 <= len(name) <= 100:
        raise form_error("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    here = [each for each in world.channels.values() if each.get("guild_id") == guild and each["type"] not in THREADS]
    parent = str(body["parent_id"]) if body.get("parent_id") else None
    if len(here) >= 500:
        raise ApiError(400, 30013, "Maximum number of guild channels reached (500)")
    if parent and sum(each["parent_id"] == parent for each in here) >= 50:
        raise form_error("parent_id", "CHANNEL_PARENT_MAX_CHANNELS", "Maximum number of channels in category reached")
    overwrites = [_overwrite(world, guild, each) for each in body.get("permission_overwrites") or []]
    kind = body.get("type") or 0
    name = name if kind == 4 else re.sub(r"[\s_]+", "-", name.lower())
    topic = body.get("topic")
    return Created(world.channel(guild, name, kind, parent=parent, topic=topic, overwrites=overwrites))


def _overwrite(world: World, guild: str, given: Json) -> Json:
    """An overwrite as it is kept. Nobody may hand out or deny what he does not have himself."""
    made: Json = {"id": str(given["id"]), "type": int(given["type"]), "allow": str(given.get("allow") or 0),
            "deny": str(given.get("deny") or 0)}  # fmt: skip
    own = in_guild(world.guilds[guild], world.bot["id"])
    if (int(made["allow"]) | int(made["deny"])) & ~own:
        raise ApiError(403, 50013, "Missing Permissions")
    known = world.guilds[guild].roles if made["type"] == 0 else world.users
    if made["id"] not in known:
        raise unknown("Role" if made["type"] == 0 else "User")
    return made


@routes.add("PUT", "/channels/{}/permissions/{}")
def permit(call: Call, channel: str, target: str) -> None:
    there = require(call.world, channel, "manage_roles")
    made = _overwrite(call.world, there["guild_id"], {**call.body, "id": target})
    others = [each for each in there["permission_overwrites"] if each["id"] != target]
    there["permission_overwrites"] = [*others, made]
    call.world.changed(there)


@routes.add("DELETE", "/channels/{}/permissions/{}")
def permit_as_usual(call: Call, channel: str, target: str) -> None:
    there = require(call.world, channel, "manage_roles")
    there["permission_overwrites"] = [each for each in there["permission_overwrites"] if each["id"] != target]
    call.world.changed(there)


@routes.add("PATCH", "/channels/{}")
def change(call: Call, channel: str) -> Json:
    world = call.world
    there = require(world, channel)
    if there["type"] not in THREADS:
        require(world, channel, "manage_channels")
    elif there["owner_id"] != world.bot["id"]:
        require(world, channel, "manage_threads")
    for key, value in call.body.items():
        if there["type"] in THREADS and key in ("archived", "locked", "auto_archive_duration"):
            there["thread_metadata"][key] = value
            there["thread_metadata"]["archive_timestamp"] = iso()
        elif key == "permission_overwrites":
            there[key] = [_overwrite(world, there["guild_id"], each) for each in value]
        else:
            there[key] = str(value) if key == "parent_id" and value else value
    world.changed(there)
    return there


@routes.add("DELETE", "/channels/{}")
def delete(call: Call, channel: str) -> Json:
    there = require(call.world, channel)
    require(call.world, channel, "manage_threads" if there["type"] in THREADS else "manage_channels")
    return call.world.remove_channel(channel)


@routes.add("POST", "/users/@me/channels")
def converse(call: Call) -> Json:
    user = str(call.body["recipient_id"])
    if user not in call.world.users:
        raise unknown("User")
    return call.world.conversation(user)


@routes.add("POST", "/channels/{}/messages/{}/threads")
def thread_of_message(call: Call, channel: str, message: str) -> Created:
    require(call.world, channel, "create_public_threads", "read_message_history")
    found = posting.find(call.world, channel, message)
    minutes = call.body.get("auto_archive_duration") or 1440
    return Created(posting.start_thread(call.world, found, _thread_name(call), minutes))


@routes.add("POST", "/channels/{}/threads")
def thread(call: Call, channel: str) -> Created:
    kind = call.body.get("type") or 12
    there = require(call.world, channel, "create_public_threads" if kind == 11 else "create_private_threads")
    minutes = call.body.get("auto_archive_duration") or 1440
    made = call.world.thread(there, _thread_name(call), call.world.bot["id"], kind=kind, archive_after=minutes)
    return Created(made)


def _thread_name(call: Call) -> str:
    name = str(call.body.get("name") or "")
    if not 1 <= len(name) <= 100:
        raise form_error("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    if call.body.get("auto_archive_duration") not in (None, 60, 1440, 4320, 10080):
        raise form_error("auto_archive_duration", "BASE_TYPE_CHOICES", "Value must be one of (60, 1440, 4320, 10080).")
    return name


@routes.add("GET", "/guilds/{}/threads/active")
def active_threads(call: Call, guild: str) -> Json:
    require_in_guild(call.world, guild)
    bot = call.world.bot["id"]
    threads = call.world.active_threads(guild)
    seen = [each for each in threads if in_channel(call.world, bot, each) & BITS["view_channel"]]
    return {"threads": seen, "members": [], "has_more": False}


@routes.add("GET", "/channels/{}/threads/archived/public")
def archived_threads(call: Call, channel: str) -> Json:
    require(call.world, channel, "read_message_history")
    found = [
        each
        for each in call.world.channels.values()
        if each["type"] == 11 and each["parent_id"] == channel and each["thread_metadata"]["archived"]
    ]
    found.sort(key=lambda each: each["thread_metadata"]["archive_timestamp"], reverse=True)
    before, limit = call.query.get("before"), int(call.query.get("limit", 50))
    if before:
        found = [each for each in found if each["thread_metadata"]["archive_timestamp"] < before]
    return {"threads": found[:limit], "members": [], "has_more": len(found) > limit}


@routes.add("PUT", "/channels/{}/thread-members/@me")
def join(call: Call, channel: str) -> None:
    require(call.world, channel)
    call.world.thread_members[channel].add(call.world.bot["id"])
