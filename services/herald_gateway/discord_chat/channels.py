"""The channel of a project that is added: where it may be, what the bot lacks there, the private one that is made.

A channel that Herald made carries a marker in its topic, by which it is found again after a kill.
"""

import difflib
import re
from collections.abc import Iterable
from typing import NamedTuple

import discord

from herald.errors import Conflict, Denied, HeraldError, Invalid, NotFound, Unavailable
from herald.people import role_of
from herald.snapshot import Snapshot
from herald_gateway.discord_chat.rest import Refused
from herald_gateway.discord_chat.sending import Wire
from herald_gateway.discord_chat.webhooks import sure
from herald_gateway.rendering import render_line

_LONGEST_NAME = 100
_NEEDED = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "read_message_history": "Read Message History",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
    "add_reactions": "Add Reactions",
    "manage_webhooks": "Manage Webhooks",
}
"""What the bot does in a project's channel, and the permission as Discord's settings name it."""

_SPEAKING = (
    "view_channel", "read_message_history", "send_messages", "send_messages_in_threads", "add_reactions",
    "attach_files", "embed_links", "use_application_commands",
)  # fmt: skip
_READING = ("view_channel", "read_message_history")
_OF_THE_BOT = (*_SPEAKING, "create_public_threads", "manage_threads", "manage_messages", "manage_webhooks")
_UNKNOWN_MEMBER, _UNKNOWN_USER = 10007, 10013
_MOST_CHANNELS = 30013


class Made(NamedTuple):
    """The id of a channel, whether it is a new one, and the people who may see it but are not in the server."""

    channel: str
    new: bool
    absent: tuple[str, ...] = ()


async def guild_of(client: discord.Client, said_in: str, settings: Snapshot) -> discord.Guild:
    """The server where the command was said; from the terminal the configured one, else the only one."""
    wanted = said_in or settings.discord.guild_id
    guilds = client.guilds
    if not wanted and len(guilds) != 1:
        known = ", ".join(f"{each.name} ({each.id})" for each in guilds) or "none: invite the bot into one"
        raise Conflict(f"in which server? Set discord.guild_id in herald.yaml; the bot is in {known}")
    found = guilds[0] if not wanted else client.get_guild(int(wanted))
    if found is None:
        raise Conflict(f"the bot is not in the server {wanted}; invite it, or correct discord.guild_id in herald.yaml")
    if found.unavailable:
        raise Unavailable(f"the server {found.name or found.id} is not available at the moment")
    return found


def check_guild(guild: discord.Guild) -> None:
    """Raises Denied when the bot may not make a project's channel there."""
    if guild.me is None or guild.me.guild_permissions.administrator:
        return
    names = {**_NEEDED, "manage_channels": "Manage Channels"}
    _demand(names, guild.me.guild_permissions, f"in the server {guild.name} (Server Settings, Roles)")


def check_channel(channel: discord.TextChannel) -> None:
    """Raises Denied when the bot lacks a permission in an existing channel."""
    if channel.guild.me is not None:
        _demand(
            _NEEDED, channel.permissions_for(channel.guild.me), f"in <#{channel.id}> (channel settings, Permissions)"
        )


def _demand(names: dict[str, str], held: discord.Permissions, where: str) -> None:
    missing = [name for permission, name in names.items() if not getattr(held, permission)]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise Denied(f"Herald lacks the permission{plural} {', '.join(missing)} {where}")


async def existing(guild: discord.Guild, words: str) -> discord.TextChannel:
    """The channel that somebody named: `#name`, a mention or an id. Raises NotFound, Conflict, Invalid."""
    channels = await _text_channels(guild)
    wanted = words.strip().strip("<>").removeprefix("#").lower()
    found = [each for each in channels if str(each.id) == wanted or each.name.lower() == wanted]
    if len(found) > 1:
        ids = ", ".join(str(each.id) for each in found)
        raise Conflict(f"several channels are named #{wanted[:40]}; give the id of one: {ids}")
    if not found:
        near = difflib.get_close_matches(wanted, [each.name for each in channels], 1)
        hint = f"; the nearest is #{near[0]}" if near else ""
        raise NotFound(f"there is no text channel {render_line(words, 60)} in {guild.name} that Herald can see{hint}")
    return found[0]


async def still_there(guild: discord.Guild, channel: str) -> discord.TextChannel | None:
    """A channel by id, None when it is gone."""
    return next((each for each in await _text_channels(guild) if str(each.id) == channel), None)


async def find_marked(guild: discord.Guild, project: str) -> discord.TextChannel | None:
    """The channel that Herald made for a project of this name before."""
    marker = re.compile(rf"{re.escape(marker_of(project))}(?![a-z0-9-])")
    marked = [each for each in await _text_channels(guild) if each.topic and marker.match(each.topic)]
    return min(marked, key=lambda each: each.id, default=None)


async def create_private(wire: Wire, guild: discord.Guild, project: str, agent: str, settings: Snapshot) -> Made:
    """The project's private channel, found again or made: for the bot and the project's people alone.

    It is asked for once: discord.py itself would ask again after a 5xx, and there might be two. Raises Denied,
    Conflict, Unavailable.
    """
    found = await find_marked(guild, project)
    if found is not None:
        return Made(str(found.id), new=False)
    overwrites: dict[discord.Role | discord.Member, discord.PermissionOverwrite] = {
        guild.default_role: discord.PermissionOverwrite(view_channel=False)
    }
    held = None if guild.me is None else guild.me.guild_permissions
    absent = []
    for person, name in _people(settings).items():
        member = await _member(guild, person)
        if member is None:
            absent.append(f"{name} ({person})".strip())
        elif guild.me is None or member.id != guild.me.id:
            reads_only = role_of(settings, f"discord:{person}", project) == "reader"
            overwrites[member] = _allowed(_READING if reads_only else _SPEAKING, held)
    if guild.me is not None:
        overwrites[guild.me] = _allowed(_OF_THE_BOT, held)
    topic = f"{marker_of(project)}. A plain message here is a task for {agent}."
    body = {
        "name": slug_of(agent) or project, "type": discord.ChannelType.text.value, "topic": topic,
        "permission_overwrites": [_written(who, what) for who, what in overwrites.items()],
    }  # fmt: skip
    try:
        made = await sure(lambda: wire.make_channel(str(guild.id), body))
    except Refused as refusal:
        raise _reason(refusal, guild) from refusal
    return Made(made, new=True, absent=tuple(absent))


def marker_of(project: str) -> str:
    """What the topic of a project's channel begins with."""
    return f"Herald project {project}"


def slug_of(agent: str) -> str:
    """An agent's name as the name of a channel."""
    return re.sub(r"[^\w-]+", "-", agent.lower()).strip("-_")[:_LONGEST_NAME]


def _people(settings: Snapshot) -> dict[str, str]:
    """Discord id and name of those who have a right in a project that nobody names yet."""
    return {each.discord_id: each.name for each in settings.operators if each.discord_id and not each.projects}


def _allowed(permissions: Iterable[str], held: discord.Permissions | None) -> discord.PermissionOverwrite:
    """An overwrite that allows these, as far as the bot has them: it cannot give away what it lacks."""
    given = {name: True for name in permissions if held is None or held.administrator or getattr(held, name)}
    return discord.PermissionOverwrite(**given)


def _written(who: discord.Role | discord.Member, what: discord.PermissionOverwrite) -> dict[str, str | int]:
    allow, deny = what.pair()
    kind = 0 if isinstance(who, discord.Role) else 1
    return {"id": str(who.id), "type": kind, "allow": str(allow.value), "deny": str(deny.value)}


async def _member(guild: discord.Guild, person: str) -> discord.Member | None:
    number = int(person)
    known = guild.get_member(number)
    if known is not None:
        return known
    try:
        return await sure(lambda: guild.fetch_member(number))
    except Refused as refusal:
        if refusal.code in (_UNKNOWN_MEMBER, _UNKNOWN_USER) or refusal.status == 404:
            return None
        raise _reason(refusal, guild) from refusal


async def _text_channels(guild: discord.Guild) -> list[discord.TextChannel]:
    """The text channels that the bot can see, as Discord has them now."""
    try:
        channels = await sure(guild.fetch_channels)
    except Refused as refusal:
        raise _reason(refusal, guild) from refusal
    texts = [each for each in channels if isinstance(each, discord.TextChannel)]
    return [each for each in texts if guild.me is None or each.permissions_for(guild.me).view_channel]


def _reason(refusal: Refused, guild: discord.Guild) -> HeraldError:
    if refusal.status == 403:
        return Denied(
            f"Discord does not let Herald make a channel in {guild.name}: give the bot's role Manage Channels, and"
            " everything that it does in a channel (Server Settings, Roles)"
        )
    if refusal.code == _MOST_CHANNELS:
        return Conflict(f"the server {guild.name} has as many channels as Discord allows; remove one")
    return Invalid(f"Discord does not take the channel: {refusal.text or refusal}")
