"""Commands of the application, and the answers to interactions."""

import re
import time

from tests.fake_discord import limits, posting
from tests.fake_discord.answers import ApiError, form_error, unknown
from tests.fake_discord.ids import Json
from tests.fake_discord.rest import Call, Routes
from tests.fake_discord.world import Interaction, World

routes = Routes()
TOKEN_SECONDS = 900.0
_EPHEMERAL = 64
_MESSAGE, _DEFERRED, _DEFERRED_UPDATE, _UPDATE, _CHOICES, _MODAL = 4, 5, 6, 7, 8, 9


@routes.add("PUT", "/applications/{}/guilds/{}/commands")
def put_of_guild(call: Call, application: str, guild: str) -> list[Json]:
    if guild not in call.world.guilds:
        raise ApiError(403, 50001, "Missing Access")
    return _put(call, guild)


@routes.add("PUT", "/applications/{}/commands")
def put(call: Call, application: str) -> list[Json]:
    return _put(call, None)


@routes.add("GET", "/applications/{}/guilds/{}/commands")
def of_guild(call: Call, application: str, guild: str) -> list[Json]:
    return [each for each in call.world.commands.values() if each.get("guild_id") == guild]


@routes.add("GET", "/applications/{}/commands")
def of_all(call: Call, application: str) -> list[Json]:
    return [each for each in call.world.commands.values() if not each.get("guild_id")]


def _put(call: Call, guild: str | None) -> list[Json]:
    world = call.world
    given = call.body.get("list", [])
    for index, each in enumerate(given):
        _check(each, str(index))
    world.commands = {key: each for key, each in world.commands.items() if each.get("guild_id") != guild}
    made = []
    for each in given:
        command = {"id": world.ids.new(), "application_id": world.application_id, "version": world.ids.new(),
                   "type": 1, "default_member_permissions": None, "nsfw": False, "options": [],
                   **{key: value for key, value in each.items() if value is not None}}  # fmt: skip
        if guild:
            command["guild_id"] = guild
        world.commands[command["id"]] = command
        made.append(command)
    world.changes.note("commands", guild=guild, names=[each["name"] for each in made])
    return made


def _check(option: Json, path: str) -> None:
    if not re.fullmatch(r"[-_'\w]{1,32}", option["name"]) or option["name"] != option["name"].lower():
        raise form_error(f"{path}.name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    if option.get("type", 1) in (1, 2, 3) or "type" in option:
        limit = 100
        if not 1 <= len(option.get("description") or "") <= limit:
            raise form_error(f"{path}.description", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {limit} in length.")
    options = option.get("options") or []
    if len(options) > 25:
        raise form_error(f"{path}.options", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    needed = [bool(each.get("required")) for each in options]
    if needed != sorted(needed, reverse=True):
        raise form_error(f"{path}.options", "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", "Required options first")
    for index, each in enumerate(options):
        if len(each.get("choices") or []) > 25:
            raise form_error(f"{path}.options.{index}.choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer.")
        _check(each, f"{path}.options.{index}")


@routes.add("POST", "/interactions/{}/{}/callback", open_=True)
def answer(call: Call, id_: str, token: str) -> Json | None:
    world, kind, data = call.world, call.body.get("type"), call.body.get("data") or {}
    found = world.interactions.get(token)
    if found is None or found.id != id_ or time.monotonic() - found.born > found.lifetime:
        raise unknown("interaction")
    if found.acked:
        raise ApiError(400, 40060, "Interaction has already been acknowledged.")
    if (kind == _CHOICES) != (found.kind == 4) or kind not in (4, 5, 6, 7, 8, 9):
        raise form_error("type", "INTERACTION_CALLBACK_TYPE_INVALID", "Not a callback of this kind of interaction")
    if kind in (_DEFERRED_UPDATE, _UPDATE) and found.kind != 3:
        raise form_error("type", "INTERACTION_CALLBACK_TYPE_INVALID", "Only components can be updated")
    message = _carry_out(call, found, kind, data)
    found.acked = kind
    world.changes.note("interaction", act="answered", id=id_, type=kind, message=found.original)
    if call.query.get("with_response") not in ("1", "true", "True"):
        return None
    response: Json = {
        "interaction": {
            "id": id_, "type": found.kind, "response_message_id": message["id"] if message else None,
            "response_message_loading": kind == _DEFERRED, "response_message_ephemeral": found.ephemeral,
        }
    }  # fmt: skip
    if message:
        response["resource"] = {"type": kind, "message": posting.public(world, message)}
    return response


def _carry_out(call: Call, found: Interaction, kind: int, data: Json) -> Json | None:
    world = call.world
    if kind == _CHOICES:
        choices = data.get("choices") or []
        if len(choices) > 25 or any(len(each["name"]) > 100 for each in choices):
            raise form_error("data.choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        found.choices = choices
        return None
    if kind in (_DEFERRED, _MODAL):
        found.ephemeral = bool((data.get("flags") or 0) & _EPHEMERAL)
        return None
    if kind == _DEFERRED_UPDATE:
        found.original = found.message
        return None
    limits.check(data, call.files, new=kind == _MESSAGE)
    if kind == _UPDATE:
        found.original = found.message
        there = world.messages[found.channel].get(found.message)
        if there is None:
            raise unknown("Message")
        return posting.edit(world, there, data, call.files)
    found.ephemeral = bool((data.get("flags") or 0) & _EPHEMERAL)
    message = posting.create(world, found.channel, world.bot, data, call.files, kind=20, interaction=found)
    found.original = message["id"]
    return message


def _alive(world: World, token: str) -> Interaction:
    """Its token is good for 15 minutes, and only after the interaction has been answered."""
    found = world.interactions.get(token)
    if found is None or not found.acked:
        raise unknown("Webhook")
    if time.monotonic() - found.born > TOKEN_SECONDS:
        raise ApiError(401, 50027, "Invalid Webhook Token")
    return found


def follow_up(call: Call, token: str) -> Json:
    """The first one after a deferral fills what was deferred."""
    found = _alive(call.world, token)
    limits.check(call.body, call.files)
    if found.acked == _DEFERRED and not found.original:
        return _fill(call, found)
    message = posting.create(call.world, found.channel, call.world.bot, call.body, call.files, interaction=found)
    found.followups.append(message["id"])
    call.world.changes.note("interaction", act="followed up", id=found.id, message=message["id"])
    return posting.public(call.world, message)


def _fill(call: Call, found: Interaction) -> Json:
    flags = (call.body.get("flags") or 0) & ~_EPHEMERAL | (_EPHEMERAL if found.ephemeral else 0)
    body = {**call.body, "flags": flags}
    message = posting.create(call.world, found.channel, call.world.bot, body, call.files, kind=20, interaction=found)
    found.original = message["id"]
    call.world.changes.note("interaction", act="filled", id=found.id, message=message["id"])
    return posting.public(call.world, message)


def message(world: World, token: str, id_: str) -> Json:
    """A message of an interaction, `@original` for its answer."""
    found = _alive(world, token)
    wanted = found.original if id_ == "@original" else id_
    there = world.messages[found.channel].get(wanted)
    if there is None:
        raise unknown("Message")
    return there


def edit_original(call: Call, token: str) -> Json:
    found = _alive(call.world, token)
    if found.acked == _DEFERRED and not found.original:
        return _fill(call, found)
    there = message(call.world, token, "@original")
    return posting.public(call.world, posting.edit(call.world, there, call.body, call.files))
