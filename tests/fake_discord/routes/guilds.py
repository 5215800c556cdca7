"""Who and where: the application, users, guilds, members, the address of the gateway."""

from tests.fake_discord.answers import unknown
from tests.fake_discord.ids import Json
from tests.fake_discord.permissions import in_guild, require_in_guild
from tests.fake_discord.rest import Call, Routes

routes = Routes()
_CONTENT_INTENT = 1 << 19
_MEMBERS_INTENT = 1 << 15


@routes.add("GET", "/users/@me")
def me(call: Call) -> Json:
    return {**call.world.bot, "verified": True, "mfa_enabled": False, "email": None, "flags": 0}


@routes.add("GET", "/users/@me/guilds")
def my_guilds(call: Call) -> list[Json]:
    bot = call.world.bot["id"]
    here = [each for each in call.world.guilds.values() if bot in each.members]
    return [
        {"id": each.id, "name": each.name, "icon": None, "owner": False, "features": [],
         "permissions": str(in_guild(each, bot))}
        for each in here
    ]  # fmt: skip


@routes.add("GET", "/oauth2/applications/@me")
def application(call: Call) -> Json:
    return _application(call)


@routes.add("GET", "/applications/@me")
def own_application(call: Call) -> Json:
    return _application(call)


def _application(call: Call) -> Json:
    """Which privileged intents the application has is in its flags."""
    intents = call.gateway.intents
    flags = (_CONTENT_INTENT if intents & (1 << 15) else 0) | (_MEMBERS_INTENT if intents & (1 << 1) else 0)
    return {"id": call.world.application_id, "name": call.world.bot["username"], "icon": None, "description": "",
            "rpc_origins": [], "summary": "", "verify_key": "", "bot_public": False, "bot_require_code_grant": False,
            "flags": flags, "owner": call.world.owner, "team": None, "interactions_endpoint_url": None}  # fmt: skip


@routes.add("GET", "/gateway", open_=True)
def gateway(call: Call) -> Json:
    return {"url": call.gateway.url}


@routes.add("GET", "/gateway/bot")
def gateway_of_bot(call: Call) -> Json:
    total, left = call.gateway.limit, call.gateway.left
    limit = {"total": total, "remaining": left, "reset_after": 86400000, "max_concurrency": 1}
    return {"url": call.gateway.url, "shards": 1, "session_start_limit": limit}


@routes.add("GET", "/users/{}")
def user(call: Call, user: str) -> Json:
    if user not in call.world.users:
        raise unknown("User")
    return call.world.users[user]


@routes.add("GET", "/guilds/{}")
def guild(call: Call, guild: str) -> Json:
    found = require_in_guild(call.world, guild)
    count = len(found.members)
    counts = {"approximate_member_count": count, "approximate_presence_count": count}
    return {**call.world.guild_object(found), **(counts if call.query.get("with_counts") else {})}


@routes.add("GET", "/guilds/{}/roles")
def roles(call: Call, guild: str) -> list[Json]:
    return list(require_in_guild(call.world, guild).roles.values())


@routes.add("GET", "/guilds/{}/members/{}")
def member(call: Call, guild: str, user: str) -> Json:
    found = require_in_guild(call.world, guild).members.get(user)
    if found is None:
        raise unknown("Member")
    return found
