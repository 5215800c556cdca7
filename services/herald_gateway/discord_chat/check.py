"""What Herald lacks in Discord: intents of the application, servers, channels, permissions, each with the remedy."""

from typing import NamedTuple

import discord

from herald.errors import Unavailable
from herald.interfaces.gateway import Checked, Finding
from herald.snapshot import Current, Snapshot
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.rest import Ambiguous, Refused, attempt

_PORTAL = "https://discord.com/developers/applications"
_LINK_WITHIN = 10.0

_NEEDED = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "read_message_history": "Read Message History",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
    "add_reactions": "Add Reactions",
}
_FOR_AGENTS = {"manage_webhooks": "Manage Webhooks"}
_FOR_THREADS = {
    "create_public_threads": "Create Public Threads",
    "send_messages_in_threads": "Send Messages in Threads",
}
_FOR_NEW_PROJECTS = {"manage_channels": "Manage Channels"}

INVITED = discord.Permissions(**dict.fromkeys((*_NEEDED, *_FOR_AGENTS, *_FOR_THREADS, *_FOR_NEW_PROJECTS), True))
"""What the bot is invited with."""


class _Place(NamedTuple):
    """A channel that Herald needs. `name` says what for."""

    channel: str
    name: str
    permissions: dict[str, str]
    where: str


def invitation(application: int | None) -> str:
    """The address that invites the bot with all it needs."""
    number = application or "APPLICATION_ID"
    scopes = "scope=bot+applications.commands"
    return f"https://discord.com/oauth2/authorize?client_id={number}&{scopes}&permissions={INVITED.value}"


class Check:
    """Asks Discord; `refused` are the servers that do not take the slash commands, and why."""

    def __init__(self, link: Link, snapshot: Current, refused: dict[int, str]) -> None:
        self._link = link
        self._snapshot = snapshot
        self._refused = refused

    async def run(self) -> Checked:
        """What is missing now. Raises Unavailable without a connection."""
        if self._link.state == "refused":
            finding = Finding(place="the bot", problem=self._link.problem, remedy=_PORTAL)
            return Checked(bot="", places=[], findings=[finding])
        if self._link.state != "ready":
            raise Unavailable(f"there is no connection to Discord: {self._link.problem or 'it is being made'}")
        client = await self._link.client()
        snapshot = self._snapshot.get()
        findings = await _application(client)
        findings += await _servers(client, snapshot)
        findings += self._commands(client)
        places = [f"server {guild.name}" for guild in client.guilds]
        for place in _places(snapshot):
            channel, problems = await _channel(client, place)
            findings += problems
            if channel is not None:
                places.append(f"#{channel.name} in {channel.guild.name}: {place.name}")
        if not any(each.discord_id for each in snapshot.operators):
            problem = "nobody may say anything: no operator has a discord_id"
            findings.append(Finding(place="herald.yaml", problem=problem, remedy="operators, discord_id; then !reload"))
        return Checked(bot=str(client.user or ""), places=places, findings=findings)

    def _commands(self, client: discord.Client) -> list[Finding]:
        remedy = f"invite the bot once more: {invitation(client.application_id)}"
        return [
            Finding(place=f"server {guild.name}", problem=f"no /herald: {self._refused[guild.id]}", remedy=remedy)
            for guild in client.guilds
            if guild.id in self._refused
        ]


async def _application(client: discord.Client) -> list[Finding]:
    """The intent that lets Herald read what people say."""
    try:
        flags = (await attempt(client.application_info, _LINK_WITHIN)).flags
    except (Ambiguous, Refused) as error:
        raise Unavailable(f"Discord does not tell about the application: {error}") from error
    if not flags.value or flags.gateway_message_content or flags.gateway_message_content_limited:
        return []  # a server that tells no flags took the intent when it took the connection
    return [
        Finding(
            place="the bot",
            problem="the message content intent is off: Herald could not read what people say after the next connect",
            remedy=f"{_PORTAL}, the application, Bot, Privileged Gateway Intents: Message Content Intent",
        )
    ]


async def _servers(client: discord.Client, snapshot: Snapshot) -> list[Finding]:
    """The servers the bot is in, and what `!addproject` needs there."""
    invite = f"open {invitation(client.application_id)}"
    if not client.guilds:
        return [Finding(place="the bot", problem="it is in no server", remedy=invite)]
    wanted = snapshot.discord.guild_id
    if wanted and client.get_guild(int(wanted)) is None:
        problem = "the bot is not in the server of discord.guild_id"
        return [Finding(place=f"server {wanted}", problem=problem, remedy=invite)]
    found = []
    for guild in client.guilds:
        if wanted and str(guild.id) != wanted:
            continue
        needed = _NEEDED | _FOR_AGENTS | _FOR_NEW_PROJECTS
        me = await _me(client, guild)
        missing = [] if me is None else _missing(me.guild_permissions, needed)
        if missing:
            problem = f"for !addproject the bot lacks {', '.join(missing)}"
            remedy = f"Server Settings, Roles, the bot's role; or {invite}"
            found.append(Finding(place=f"server {guild.name}", problem=problem, remedy=remedy))
    return found


def _places(snapshot: Snapshot) -> list[_Place]:
    """Every channel that is named in the configuration, once."""
    places = []
    for project in sorted(snapshot.projects.values()):
        if not (project.enabled and project.channel):
            continue
        needed = _NEEDED | _FOR_AGENTS | (_FOR_THREADS if project.threads == "task" else {})
        where = f"discord_channel_id in projects/{project.name}.yaml"
        places.append(_Place(project.channel, f"project {project.name}", needed, where))
    for key in ("system_channel", "work_channel"):
        channel = getattr(snapshot.discord, key)
        if channel or key == "system_channel":
            places.append(_Place(channel, key.replace("_", " "), _NEEDED, f"discord.{key} in herald.yaml"))
    return places


async def _channel(client: discord.Client, place: _Place) -> tuple[discord.TextChannel | None, list[Finding]]:
    """The channel, and what is missing there."""
    named = f"the channel of {place.name}" if place.name.startswith("project") else f"the {place.name}"
    if not place.channel:
        remedy = f"set {place.where}, then !reload"
        return None, [Finding(place=named, problem="there is none: nothing is said there", remedy=remedy)]
    channel = client.get_channel(int(place.channel))
    if channel is None:
        problem, remedy = await _look_for(client, place)
        return None, [Finding(place=named, problem=problem, remedy=remedy)]
    if not isinstance(channel, discord.TextChannel):
        problem = f"{place.channel} is no text channel"
        return None, [Finding(place=named, problem=problem, remedy=f"set {place.where} to one, then !reload")]
    me = await _me(client, channel.guild)
    missing = [] if me is None else _missing(channel.permissions_for(me), place.permissions)
    if not missing:
        return channel, []
    shown = f"#{channel.name} in {channel.guild.name} ({place.name})"
    remedy = f"#{channel.name}, Edit Channel, Permissions: allow them for the bot's role"
    return channel, [Finding(place=shown, problem=f"the bot lacks {', '.join(missing)}", remedy=remedy)]


async def _look_for(client: discord.Client, place: _Place) -> tuple[str, str]:
    """Why a channel is not known, and what to do. Raises Unavailable."""
    number = int(place.channel)
    try:
        await attempt(lambda: client.fetch_channel(number), _LINK_WITHIN)
    except Refused as error:
        if error.status == 403:
            return f"the bot does not see {place.channel}", "Edit Channel, Permissions: View Channel for the bot's role"
    except Ambiguous as error:
        raise Unavailable(f"Discord does not tell about the channel {place.channel}: {error}") from error
    return f"there is no channel {place.channel} where the bot is", f"set {place.where} to another, then !reload"


async def _me(client: discord.Client, guild: discord.Guild) -> discord.Member | None:
    """The bot as a member of a server; None: the server, which can't be Discord's own, keeps no account of it.

    Raises Unavailable.
    """
    own = client.user.id if client.user else 0
    try:
        return guild.me or await attempt(lambda: guild.fetch_member(own), _LINK_WITHIN)
    except Refused as error:
        if error.status == 404:
            return None
        raise Unavailable(f"Discord does not tell what the bot may do in {guild.name}: {error}") from error
    except Ambiguous as error:
        raise Unavailable(f"Discord does not tell what the bot may do in {guild.name}: {error}") from error


def _missing(has: discord.Permissions, needed: dict[str, str]) -> list[str]:
    """The names of permissions that are not held; without View Channel the rest does not matter."""
    missing = [shown for name, shown in needed.items() if not getattr(has, name)]
    return missing[:1] if "View Channel" in missing else missing
