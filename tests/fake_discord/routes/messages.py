"""Messages, reactions, typing."""

import time

from tests.fake_discord import limits, posting
from tests.fake_discord import world as worlds
from tests.fake_discord.answers import ApiError, unknown
from tests.fake_discord.ids import Json, emoji
from tests.fake_discord.permissions import BITS, THREADS, in_channel, require
from tests.fake_discord.rest import Call, Routes
from tests.fake_discord.world import Event, World

routes = Routes()
_NONCE_SECONDS = 300.0


@routes.add("POST", "/channels/{}/messages")
def send(call: Call, channel: str) -> Json:
    world, body = call.world, call.body
    there = require(world, channel, "send_messages", *_needed(call))
    if there["type"] == 1 and there["recipients"][0]["id"] in world.closed:
        raise ApiError(403, 50007, "Cannot send messages to this user")
    limits.check(body, call.files)
    if body.get("message_reference") and not _allowed(world, there) & BITS["read_message_history"]:
        raise ApiError(403, 160002, "Cannot reply without permission to read message history")
    nonce = str(body.get("nonce") or "")
    earlier = _sent_before(world, channel, nonce) if nonce and body.get("enforce_nonce") else None
    if earlier:
        return posting.public(world, earlier)
    message = posting.create(world, channel, world.bot, body, call.files)
    if nonce:
        world.nonces[world.bot["id"], channel, nonce] = (time.monotonic(), message["id"])
    return posting.public(world, message)


def _needed(call: Call) -> list[str]:
    return (["attach_files"] if call.files else []) + (["embed_links"] if call.body.get("embeds") else [])


def _allowed(world: World, channel: Json) -> int:
    return in_channel(world, world.bot["id"], channel)


def _sent_before(world: World, channel: str, nonce: str) -> Json | None:
    at, id_ = world.nonces.get((world.bot["id"], channel, nonce), (0.0, ""))
    fresh = id_ and time.monotonic() - at < _NONCE_SECONDS
    return world.messages[channel].get(id_) if fresh else None


@routes.add("GET", "/channels/{}/messages")
def history(call: Call, channel: str) -> list[Json]:
    there = require(call.world, channel)
    if not _allowed(call.world, there) & BITS["read_message_history"]:
        return []
    return posting.history(call.world, channel, dict(call.query))


@routes.add("GET", "/channels/{}/messages/{}")
def one(call: Call, channel: str, message: str) -> Json:
    require(call.world, channel, "read_message_history")
    return posting.public(call.world, _seen(call.world, channel, message))


def _seen(world: World, channel: str, message: str) -> Json:
    found = posting.find(world, channel, message)
    if found["_only_for"]:
        raise unknown("Message")
    return found


@routes.add("PATCH", "/channels/{}/messages/{}")
def edit(call: Call, channel: str, message: str) -> Json:
    there = require(call.world, channel)
    found = _seen(call.world, channel, message)
    limits.check(call.body, call.files, new=False)
    if found["author"]["id"] != call.world.bot["id"]:
        raise ApiError(403, 50005, "Cannot edit a message authored by another user")
    if there["type"] in THREADS and there["thread_metadata"]["archived"]:
        raise ApiError(400, 50083, "Thread is archived")
    return posting.public(call.world, posting.edit(call.world, found, call.body, call.files))


@routes.add("DELETE", "/channels/{}/messages/{}")
def delete(call: Call, channel: str, message: str) -> None:
    require(call.world, channel)
    found = _seen(call.world, channel, message)
    if found["author"]["id"] != call.world.bot["id"]:
        require(call.world, channel, "manage_messages")
    posting.remove(call.world, found)


@routes.add("POST", "/channels/{}/typing")
def typing(call: Call, channel: str) -> None:
    world = call.world
    there = require(world, channel, "send_messages")
    world.changes.note("typing", channel=channel)
    data = {"channel_id": channel, "user_id": world.bot["id"], "timestamp": int(time.time())}
    intent = worlds.DIRECT_TYPING
    if there["type"] != 1:
        intent = worlds.TYPING
        data["guild_id"] = there["guild_id"]
        data["member"] = world.guilds[there["guild_id"]].members[world.bot["id"]]
    world.emit(Event("TYPING_START", data, intent, channel))


def _emoji(written: str) -> str:
    found = emoji(written)
    if found is None:
        raise unknown("Emoji")
    return str(found["name"])


@routes.add("PUT", "/channels/{}/messages/{}/reactions/{}/@me")
def react(call: Call, channel: str, message: str, written: str) -> None:
    require(call.world, channel, "read_message_history")
    found, name = _seen(call.world, channel, message), _emoji(written)
    if name not in found["_reactions"]:
        require(call.world, channel, "add_reactions")
    posting.react(call.world, found, name, call.world.bot)


@routes.add("DELETE", "/channels/{}/messages/{}/reactions/{}/@me")
def take_back(call: Call, channel: str, message: str, written: str) -> None:
    require(call.world, channel)
    posting.react(call.world, _seen(call.world, channel, message), _emoji(written), call.world.bot, there=False)


@routes.add("DELETE", "/channels/{}/messages/{}/reactions/{}/{}")
def take_away(call: Call, channel: str, message: str, written: str, user: str) -> None:
    require(call.world, channel, "manage_messages")
    if user not in call.world.users:
        raise unknown("User")
    found = _seen(call.world, channel, message)
    posting.react(call.world, found, _emoji(written), call.world.users[user], there=False)


@routes.add("GET", "/channels/{}/messages/{}/reactions/{}")
def reactors(call: Call, channel: str, message: str, written: str) -> list[Json]:
    require(call.world, channel, "read_message_history")
    users = _seen(call.world, channel, message)["_reactions"].get(_emoji(written), [])
    after, limit = int(call.query.get("after", 0)), int(call.query.get("limit", 25))
    later = sorted((each for each in users if int(each) > after), key=int)
    return [call.world.users[each] for each in later[:limit]]


@routes.add("DELETE", "/channels/{}/messages/{}/reactions")
def clear(call: Call, channel: str, message: str) -> None:
    require(call.world, channel, "manage_messages")
    posting.clear_reactions(call.world, _seen(call.world, channel, message))


@routes.add("DELETE", "/channels/{}/messages/{}/reactions/{}")
def clear_one(call: Call, channel: str, message: str, written: str) -> None:
    require(call.world, channel, "manage_messages")
    posting.clear_reactions(call.world, _seen(call.world, channel, message), _emoji(written))
