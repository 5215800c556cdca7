"""Webhooks: made, listed, executed, their messages changed; and the follow-ups of interactions, which look alike."""

import re
import secrets

from tests.fake_discord import limits, posting
from tests.fake_discord import world as worlds
from tests.fake_discord.answers import ApiError, form_error, unknown
from tests.fake_discord.ids import Json
from tests.fake_discord.permissions import require, require_in_guild
from tests.fake_discord.rest import Call, Routes
from tests.fake_discord.routes import interactions
from tests.fake_discord.world import Event, World

routes = Routes()


def make(world: World, channel: str, name: str, by: Json, application: str | None, avatar: str | None = None) -> Json:
    """A new webhook; `application` None: a person made it by hand."""
    made = {"id": world.ids.new(), "type": 1, "guild_id": world.channels[channel]["guild_id"], "channel_id": channel,
            "user": by, "name": name, "avatar": avatar, "token": secrets.token_urlsafe(51),
            "application_id": application}  # fmt: skip
    world.webhooks[made["id"]] = made
    told(world, made, "created")
    return made


def told(world: World, webhook: Json, act: str) -> None:
    where = {"guild_id": webhook["guild_id"], "channel_id": webhook["channel_id"]}
    world.changes.note("webhook", act=act, id=webhook["id"], name=webhook["name"], channel=webhook["channel_id"])
    world.emit(Event("WEBHOOKS_UPDATE", where, worlds.WEBHOOKS, webhook["channel_id"]))


def _shown(world: World, webhook: Json) -> Json:
    """Without its token if another application made it."""
    shown = webhook["application_id"] in (None, world.application_id)
    return webhook if shown else {key: value for key, value in webhook.items() if key != "token"}


def _avatar(world: World, given: str | None) -> str | None:
    if given is None:
        return None
    if not re.match(r"data:image/(png|jpeg|gif|webp);base64,", given):
        raise form_error("avatar", "IMAGE_INVALID", "Invalid image data")
    return "a" + secrets.token_hex(16)


@routes.add("POST", "/channels/{}/webhooks")
def create(call: Call, channel: str) -> Json:
    world = call.world
    require(world, channel, "manage_webhooks")
    limits.check_name(call.body.get("name") or "", "name")
    if sum(each["channel_id"] == channel for each in world.webhooks.values()) >= 15:
        raise ApiError(400, 30007, "Maximum number of webhooks reached (15)")
    avatar = _avatar(world, call.body.get("avatar"))
    return make(world, channel, call.body["name"], world.bot, world.application_id, avatar)


@routes.add("GET", "/channels/{}/webhooks")
def of_channel(call: Call, channel: str) -> list[Json]:
    require(call.world, channel, "manage_webhooks")
    here = [each for each in call.world.webhooks.values() if each["channel_id"] == channel]
    return [_shown(call.world, each) for each in here]


@routes.add("GET", "/guilds/{}/webhooks")
def of_guild(call: Call, guild: str) -> list[Json]:
    require_in_guild(call.world, guild, "manage_webhooks")
    return [_shown(call.world, each) for each in call.world.webhooks.values() if each["guild_id"] == guild]


def _known(world: World, id_: str, token: str | None = None) -> Json:
    found = world.webhooks.get(id_)
    if found is None:
        raise unknown("Webhook")
    if token is not None and found["token"] != token:
        raise ApiError(401, 50027, "Invalid Webhook Token")
    return found


def _managed(world: World, id_: str) -> Json:
    found = _known(world, id_)
    require(world, found["channel_id"], "manage_webhooks")
    return found


@routes.add("GET", "/webhooks/{}")
def one(call: Call, webhook: str) -> Json:
    return _shown(call.world, _managed(call.world, webhook))


@routes.add("GET", "/webhooks/{}/{}", open_=True)
def one_by_token(call: Call, webhook: str, token: str) -> Json:
    found = _known(call.world, webhook, token)
    return {key: value for key, value in found.items() if key != "user"}


@routes.add("PATCH", "/webhooks/{}")
def change(call: Call, webhook: str) -> Json:
    return _change(call, _managed(call.world, webhook))


@routes.add("PATCH", "/webhooks/{}/{}", open_=True)
def change_by_token(call: Call, webhook: str, token: str) -> Json:
    return _change(call, _known(call.world, webhook, token))


def _change(call: Call, found: Json) -> Json:
    if "name" in call.body:
        limits.check_name(call.body["name"], "name")
        found["name"] = call.body["name"]
    if "avatar" in call.body:
        found["avatar"] = _avatar(call.world, call.body["avatar"])
    if call.body.get("channel_id"):
        found["channel_id"] = str(call.body["channel_id"])
    told(call.world, found, "changed")
    return found


@routes.add("DELETE", "/webhooks/{}")
def delete(call: Call, webhook: str) -> None:
    gone = _managed(call.world, webhook)
    del call.world.webhooks[webhook]
    told(call.world, gone, "deleted")


@routes.add("DELETE", "/webhooks/{}/{}", open_=True)
def delete_by_token(call: Call, webhook: str, token: str) -> None:
    gone = _known(call.world, webhook, token)
    del call.world.webhooks[webhook]
    told(call.world, gone, "deleted")


@routes.add("POST", "/webhooks/{}/{}", open_=True)
def execute(call: Call, webhook: str, token: str) -> Json | None:
    world, body = call.world, dict(call.body)
    if webhook == world.application_id:
        return interactions.follow_up(call, token)
    hook = _known(world, webhook, token)
    own = hook["application_id"] == world.application_id
    if not own and body.get("components"):
        if call.query.get("with_components") in ("1", "true", "True"):
            raise form_error("components", "APPLICATION_WEBHOOK_REQUIRED", "Webhook must be owned by an application")
        del body["components"]  # without the wish for them they are not looked at
    limits.check(body, call.files)
    limits.check_name(body.get("username"), "username")
    channel = _where(world, hook, call.query.get("thread_id"))
    message = posting.create(world, channel, {}, body, call.files, webhook=hook)
    return posting.public(world, message) if call.query.get("wait") in ("1", "true", "True") else None


def _where(world: World, hook: Json, thread: str | None) -> str:
    if not thread:
        return str(hook["channel_id"])
    there = world.channels.get(thread)
    if there is None or there.get("parent_id") != hook["channel_id"]:
        raise unknown("Channel")
    return thread


def _message(call: Call, webhook: str, token: str, message: str) -> Json:
    if webhook == call.world.application_id:
        return interactions.message(call.world, token, message)
    _known(call.world, webhook, token)
    for channel in call.world.messages.values():
        if message in channel and channel[message].get("webhook_id") == webhook:
            return channel[message]
    raise unknown("Message")


@routes.add("GET", "/webhooks/{}/{}/messages/{}", open_=True)
def read(call: Call, webhook: str, token: str, message: str) -> Json:
    return posting.public(call.world, _message(call, webhook, token, message))


@routes.add("PATCH", "/webhooks/{}/{}/messages/{}", open_=True)
def edit(call: Call, webhook: str, token: str, message: str) -> Json:
    limits.check(call.body, call.files, new=False)
    if webhook == call.world.application_id and message == "@original":
        return interactions.edit_original(call, token)
    found = _message(call, webhook, token, message)
    return posting.public(call.world, posting.edit(call.world, found, call.body, call.files))


@routes.add("DELETE", "/webhooks/{}/{}/messages/{}", open_=True)
def delete_message(call: Call, webhook: str, token: str, message: str) -> None:
    posting.remove(call.world, _message(call, webhook, token, message))
