"""Messages and reactions: made, changed, removed, shown."""

import hashlib
import re
from typing import Any

from tests.fake_discord import world as worlds
from tests.fake_discord.answers import ApiError, form_error, unknown
from tests.fake_discord.ids import Json, iso, moment
from tests.fake_discord.permissions import THREADS
from tests.fake_discord.world import Event, Interaction, Upload, World

_EPHEMERAL = 64
_HAS_THREAD = 32


def public(world: World, message: Json) -> Json:
    """A message as it goes over the wire."""
    shown = {key: value for key, value in message.items() if not key.startswith("_")}
    if message["_reactions"]:
        shown["reactions"] = [
            {"emoji": {"id": None, "name": name}, "count": len(users), "burst_colors": [], "burst_count": 0,
             "count_details": {"burst": 0, "normal": len(users)}, "me": world.bot["id"] in users, "me_burst": False}
            for name, users in message["_reactions"].items()
        ]  # fmt: skip
    return shown


def find(world: World, channel: str, message: str) -> Json:
    """404 when there is no such channel or message."""
    if channel not in world.channels:
        raise unknown("Channel")
    found = world.messages[channel].get(message)
    if found is None:
        raise unknown("Message")
    return found


def create(
    world: World,
    channel: str,
    author: Json,
    body: Json,
    files: list[Upload] | None = None,
    *,
    kind: int = 0,
    webhook: Json | None = None,
    interaction: Interaction | None = None,
    at: float | None = None,
) -> Json:
    """A new message. A body of a user, of the bot or of a webhook looks the same."""
    id_ = world.ids.new(at)
    content = body.get("content") or ""
    message: Json = {
        "id": id_, "type": kind, "channel_id": channel, "author": author, "content": content,
        "timestamp": iso(moment(id_)), "edited_timestamp": None, "tts": False, "mention_everyone": False,
        "mentions": [], "mention_roles": [], "attachments": [], "pinned": False, "flags": body.get("flags") or 0,
        "embeds": [{"type": "rich", **each} for each in body.get("embeds") or []],
        "components": _numbered(body.get("components")),
        "_reactions": {}, "_notified": _notified(world, content, body.get("allowed_mentions")), "_only_for": "",
    }  # fmt: skip
    message["mentions"] = [world.users[each] for each in message["_notified"] if each in world.users]
    message["mention_everyone"] = "everyone" in message["_notified"]
    if webhook:
        message |= {"webhook_id": webhook["id"], "application_id": webhook["application_id"]}
        message["author"] = _speaker(webhook, body)
    if interaction:
        message |= {"webhook_id": world.application_id, "application_id": world.application_id}
        message["interaction_metadata"] = {
            "id": interaction.id, "type": interaction.kind, "user": interaction.user,
            "authorizing_integration_owners": {"0": interaction.guild},
        }  # fmt: skip
    if body.get("nonce"):
        message["nonce"] = body["nonce"]
    _refer(world, channel, message, body.get("message_reference"))
    attach(world, message, files or [])
    if message["flags"] & _EPHEMERAL and interaction:
        message["_only_for"] = interaction.user["id"]
    _put(world, message)
    return message


def _put(world: World, message: Json) -> None:
    channel = world.channels[message["channel_id"]]
    if channel["type"] in THREADS:
        if channel["thread_metadata"]["archived"]:
            channel["thread_metadata"] |= {"archived": False, "archive_timestamp": iso()}
            world.changed(channel)
        channel["message_count"] += 1
    world.messages[channel["id"]][message["id"]] = message
    _noted(world, "created", message)
    if not message["_only_for"]:
        channel["last_message_id"] = max(message["id"], channel["last_message_id"] or "0", key=int)
        world.emit(_event(world, "MESSAGE_CREATE", message))


def _noted(world: World, act: str, message: Json) -> None:
    world.changes.note(
        "message", act=act, id=message["id"], channel=message["channel_id"], author=message["author"]["id"],
        name=message["author"]["username"], content=message["content"],
    )  # fmt: skip


def _event(world: World, name: str, message: Json) -> Event:
    channel = world.channels[message["channel_id"]]
    if channel["type"] == 1:
        data = {**public(world, message), "channel_type": 1}
        return Event(name, data, worlds.DIRECT_MESSAGES, channel["id"])
    data = {**public(world, message), "guild_id": channel["guild_id"], "channel_type": channel["type"]}
    member = world.guilds[channel["guild_id"]].members.get(message["author"]["id"])
    if member and "webhook_id" not in message:
        data["member"] = {key: value for key, value in member.items() if key != "user"}
    return Event(name, data, worlds.MESSAGES, channel["id"])


def _speaker(webhook: Json, body: Json) -> Json:
    picture = body.get("avatar_url")
    avatar = hashlib.md5(picture.encode(), usedforsecurity=False).hexdigest() if picture else webhook["avatar"]
    return {"id": webhook["id"], "username": body.get("username") or webhook["name"], "avatar": avatar, "bot": True,
            "discriminator": "0000", "global_name": None, "public_flags": 0}  # fmt: skip


def _numbered(rows: list[Json] | None) -> list[Json]:
    numbered, number = [], 0
    for row in rows or []:
        inside = []
        for each in row.get("components") or []:
            number += 1
            inside.append({"id": number, **each})
        numbered.append({**row, "components": inside})
    return numbered


def _notified(world: World, content: str, allowed: Json | None) -> list[str]:
    """Who is pinged: all that are mentioned, unless `allowed_mentions` says less."""
    users = [each for each in re.findall(r"<@!?(\d+)>", content) if each in world.users]
    roles = re.findall(r"<@&(\d+)>", content)
    everyone = ["everyone"] if re.search(r"@(everyone|here)\b", content) else []
    if allowed is None:
        return everyone + users + roles
    parse = allowed.get("parse") or []
    named = {str(each) for each in (allowed.get("users") or []) + (allowed.get("roles") or [])}
    users = users if "users" in parse else [each for each in users if each in named]
    roles = roles if "roles" in parse else [each for each in roles if each in named]
    return (everyone if "everyone" in parse else []) + users + roles


def _refer(world: World, channel: str, message: Json, reference: Json | None) -> None:
    if not reference or not reference.get("message_id"):
        return
    id_ = str(reference["message_id"])
    there = world.messages[channel].get(id_)
    if there is None and reference.get("fail_if_not_exists", True):
        raise form_error("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
    if there is None:
        return
    message["type"] = message["type"] or 19
    message["message_reference"] = {"type": 0, "message_id": id_, "channel_id": channel}
    message["referenced_message"] = public(world, there) if there else None


def attach(world: World, message: Json, files: list[Upload]) -> None:
    for each in files:
        id_ = world.ids.new()
        world.files[id_] = each
        url = f"{world.cdn}/attachments/{message['channel_id']}/{id_}/{each.name}"
        message["attachments"].append(
            {"id": id_, "filename": each.name, "size": len(each.data), "url": url, "proxy_url": url,
             "content_type": _type_of(each.name)}
        )  # fmt: skip


def _type_of(name: str) -> str:
    kinds = {"txt": "text/plain; charset=utf-8", "png": "image/png", "zip": "application/zip", "md": "text/markdown"}
    return kinds.get(name.rpartition(".")[2].lower(), "application/octet-stream")


def edit(world: World, message: Json, body: Json, files: list[Upload]) -> Json:
    """Change what the body names; null empties."""
    changed: dict[str, Any] = {"content": "", "embeds": [], "components": [], "flags": 0}
    for key, empty in changed.items():
        if key in body:
            message[key] = empty if body[key] is None else body[key]
    message["components"] = _numbered(message["components"])
    if "attachments" in body:
        kept = {str(each["id"]) for each in body["attachments"] or []}
        message["attachments"] = [each for each in message["attachments"] if each["id"] in kept]
    attach(world, message, files)
    message["edited_timestamp"] = iso()
    _noted(world, "edited", message)
    if not message["_only_for"]:
        world.emit(_event(world, "MESSAGE_UPDATE", message))
    return message


def remove(world: World, message: Json) -> None:
    channel = world.channels[message["channel_id"]]
    del world.messages[channel["id"]][message["id"]]
    _noted(world, "deleted", message)
    if not message["_only_for"]:
        guild = {} if channel["type"] == 1 else {"guild_id": channel["guild_id"]}
        intent = worlds.DIRECT_MESSAGES if channel["type"] == 1 else worlds.MESSAGES
        data = {"id": message["id"], "channel_id": channel["id"], **guild}
        world.emit(Event("MESSAGE_DELETE", data, intent, channel["id"]))


def react(world: World, message: Json, name: str, user: Json, *, there: bool = True) -> None:
    """Put a reaction under a message or take it away; nothing happens if it is so already."""
    users = message["_reactions"].get(name, [])
    if (user["id"] in users) == there:
        return
    if there and not users and len(message["_reactions"]) >= 20:
        raise ApiError(400, 30010, "Maximum number of reactions reached (20)")
    message["_reactions"][name] = [*users, user["id"]] if there else [each for each in users if each != user["id"]]
    if not message["_reactions"][name]:
        del message["_reactions"][name]
    channel = world.channels[message["channel_id"]]
    world.changes.note(
        "reaction", act="added" if there else "removed", id=message["id"], channel=channel["id"], author=user["id"],
        emoji=name,
    )  # fmt: skip
    data: Json = {"user_id": user["id"], "channel_id": channel["id"], "message_id": message["id"], "type": 0,
                  "emoji": {"id": None, "name": name}, "burst": False}  # fmt: skip
    intent = worlds.DIRECT_REACTIONS
    if channel["type"] != 1:
        intent = worlds.REACTIONS
        data["guild_id"] = channel["guild_id"]
        if there:
            data["member"] = world.guilds[channel["guild_id"]].members.get(user["id"])
            data["message_author_id"] = message["author"]["id"]
    world.emit(Event("MESSAGE_REACTION_ADD" if there else "MESSAGE_REACTION_REMOVE", data, intent, channel["id"]))


def clear_reactions(world: World, message: Json, name: str = "") -> None:
    """Remove all reactions, or all of one emoji."""
    channel = world.channels[message["channel_id"]]
    message["_reactions"] = {key: users for key, users in message["_reactions"].items() if name and key != name}
    world.changes.note("reaction", act="cleared", id=message["id"], channel=channel["id"], author="", emoji=name)
    data: Json = {"channel_id": channel["id"], "message_id": message["id"], "guild_id": channel.get("guild_id")}
    if name:
        data["emoji"] = {"id": None, "name": name}
    event = "MESSAGE_REACTION_REMOVE_EMOJI" if name else "MESSAGE_REACTION_REMOVE_ALL"
    world.emit(Event(event, data, worlds.REACTIONS, channel["id"]))


def start_thread(world: World, message: Json, name: str, archive_after: int) -> Json:
    """The thread of a message has the message's id; it begins with a starter of type 21."""
    if message["id"] in world.channels:
        raise ApiError(400, 160004, "A thread has already been created for this message")
    parent = world.channels[message["channel_id"]]
    thread = world.thread(parent, name, world.bot["id"], id_=message["id"], archive_after=archive_after)
    message["flags"] |= _HAS_THREAD
    world.emit(_event(world, "MESSAGE_UPDATE", message))
    starter = create(world, thread["id"], world.bot, {}, kind=21)
    starter["message_reference"] = {"type": 0, "message_id": message["id"], "channel_id": parent["id"]}
    return thread


def history(world: World, channel: str, query: dict[str, str]) -> list[Json]:
    """A page of a channel, always newest first; `after` gives the oldest ones that are newer."""
    limit = int(query.get("limit", 50))
    if not 1 <= limit <= 100:
        raise form_error("limit", "NUMBER_TYPE_MAX", "int value should be less than or equal to 100.")
    there = [each for each in world.messages[channel].values() if not each["_only_for"]]
    there.sort(key=lambda each: int(each["id"]))
    if "after" in query:
        page = [each for each in there if int(each["id"]) > int(query["after"])][:limit]
    elif "before" in query:
        page = [each for each in there if int(each["id"]) < int(query["before"])][-limit:]
    elif "around" in query:
        near = sorted(there, key=lambda each: abs(int(each["id"]) - int(query["around"])))[:limit]
        page = [each for each in there if each in near]
    else:
        page = there[-limit:]
    return [public(world, each) for each in reversed(page)]
