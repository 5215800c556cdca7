"""`/herald`: every command of the table as a subcommand. What is filled in is written as text and goes the same way.

Discord keeps the commands of each server; they are compared at every connect, and written only when they differ:
a server takes 200 new commands a day.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import discord
from discord import app_commands

from herald import journal
from herald.errors import HeraldError, Unavailable
from herald.people import role_of
from herald.snapshot import Current
from herald_gateway.arguments import LARGEST_NUMBER, write_command
from herald_gateway.chat import Inbox, Message
from herald_gateway.commands import Command, Parameter
from herald_gateway.discord_chat import interactions
from herald_gateway.discord_chat.attachments import Attachments, LostConnection
from herald_gateway.discord_chat.interactions import Deferred
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.rest import Ambiguous, Refused, attempt
from herald_gateway.operations import TABLE

NAME = "herald"
_DESCRIPTION = "Direct Herald and its agents; /herald help lists the commands"
_MOST_CHOICES = 25
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0
"""Seconds until a server that could not be asked is asked again."""

_MISSING_ACCESS = 50001

_SUBCOMMAND, _STRING, _INTEGER, _BOOLEAN, _CHANNEL, _ATTACHMENT = 1, 3, 4, 5, 7, 11
_TEXT_CHANNEL = 0
_COMPARED = ("name", "description", "type", "required", "autocomplete", "min_value", "max_value", "channel_types")


class Slash:
    """The slash command, in every server that the bot is in."""

    def __init__(
        self, link: Link, snapshot: Current, inbox: Inbox, deferred: Deferred, attachments: Attachments
    ) -> None:
        self._link = link
        self._snapshot = snapshot
        self._inbox = inbox
        self._deferred = deferred
        self._attachments = attachments
        self._wanted = asyncio.Event()
        self._written: set[int] = set()
        """Servers that were given the commands since the start: one that shows them otherwise is not written again."""
        self.refused: dict[int, str] = {}
        """Servers that do not take the commands, and why."""

    def wake(self) -> None:
        """Look whether each server has the commands: after a connect, and when a server is new."""
        self._wanted.set()

    async def run(self) -> None:
        """Keep the commands of all servers as they shall be."""
        pause: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            self._wanted.clear()
            settled = await self._write_all()
            pause = None if settled else min(2 * (pause or _FIRST_PAUSE / 2), _LONGEST_PAUSE)

    async def act(self, interaction: discord.Interaction) -> None:
        """A slash command, or a look for what could be filled in; anything else is not for here."""
        if interaction.type is discord.InteractionType.autocomplete:
            await self._complete(interaction)
        elif interaction.type is discord.InteractionType.application_command:
            await self._take(interaction)

    async def _take(self, interaction: discord.Interaction) -> None:
        snapshot = self._snapshot.get()
        name, options = _subcommand(interaction)
        command = TABLE.get(name)
        refusal = interactions.refusal_of(snapshot, interaction)
        if refusal == interactions.NO_RIGHT:
            await interactions.ignore(self._inbox, snapshot, interaction, f"!{name}")
            return
        if refusal or command is None:
            await interactions.answer_at_once(interaction, refusal or "Herald does not know this command any more.")
            return
        if not await interactions.give_sign(interaction, ephemeral=False):
            return
        key, origin = f"interaction:{interaction.id}", interactions.origin_of(interaction)
        path, attached = "", _attached(interaction, options)
        if attached:
            try:
                kept = await self._attachments.keep(key, attached)
            except (HeraldError, LostConnection) as error:
                await interactions.say(interaction, f"What is attached cannot be fetched; say it again. {error}")
                return
            if kept.refused:
                await interactions.say(interaction, f"Nothing was done, for this is not passed on: {kept.refused}")
                return
            path = kept.path
        message = Message(
            key=key,
            project=interactions.project_of(snapshot, origin),
            author=interactions.author_of(interaction),
            name=interaction.user.display_name,
            text=write_command(command, _values(command, options)),
            origin=origin,
            attachments=path,
        )
        await interactions.take(self._inbox, self._deferred, interaction, message)

    async def _complete(self, interaction: discord.Interaction) -> None:
        """Offer the projects that this person may see."""
        snapshot, author = self._snapshot.get(), interactions.author_of(interaction)
        name, options = _subcommand(interaction)
        focused = next((each for each in options if each.get("focused")), None)
        command = TABLE.get(name)
        found: list[str] = []
        if command and focused and _kind(command, focused["name"]) in ("project", "filter"):
            begun = str(focused.get("value", "")).strip().lower().removeprefix("#")
            seen = [each for each in snapshot.projects if role_of(snapshot, author, each) and begun in each]
            found = sorted(seen, key=lambda each: (not each.startswith(begun), each))[:_MOST_CHOICES]
        choices = [app_commands.Choice(name=each, value=each) for each in found]
        try:
            await attempt(lambda: interaction.response.autocomplete(choices), 2.5)
        except (Unavailable, Ambiguous, Refused):
            return  # who types on asks again

    async def _write_all(self) -> bool:
        """Whether every server has the commands, or will not take them."""
        try:
            client = await self._link.client()
        except Unavailable:
            return True  # the next connect wakes
        settled = True
        for guild in list(client.guilds):
            try:
                await self._write(client, guild)
                self.refused.pop(guild.id, None)
            except Refused as error:
                if guild.id not in self.refused:
                    journal.warning(f"the server {guild.name} does not take the slash commands: {error}")
                self.refused[guild.id] = (
                    "the bot was invited without applications.commands"
                    if error.code == _MISSING_ACCESS
                    else f"Discord refuses the slash commands: {error.text}"
                )
            except (Unavailable, Ambiguous) as error:
                journal.notice(f"the slash commands of {guild.name} are looked at again later: {error}")
                settled = False
        return settled

    async def _write(self, client: discord.Client, guild: discord.Guild) -> None:
        """Give a server the commands if it does not have them."""
        if client.application_id is None:
            return
        application = client.application_id
        there = await attempt(lambda: client.http.get_guild_commands(application, guild.id))
        if _comparable(there) == _comparable([PAYLOAD]) or guild.id in self._written:
            return
        await attempt(lambda: client.http.bulk_upsert_guild_commands(application, guild.id, [PAYLOAD]))
        self._written.add(guild.id)
        journal.notice(f"the slash commands of {guild.name} were written")


def payload(table: Mapping[str, Command]) -> dict[str, Any]:
    """The slash command as Discord wants it told."""
    return {
        "type": 1,
        "name": NAME,
        "description": _DESCRIPTION,
        "options": [
            {
                "type": _SUBCOMMAND,
                "name": command.name,
                "description": command.help,
                "options": [
                    _option(command, each, table)
                    for each in sorted(command.parameters, key=lambda each: not _is_required(command, each))
                ],
            }
            for command in table.values()
        ],
    }


def _option(command: Command, parameter: Parameter, table: Mapping[str, Command]) -> dict[str, Any]:
    option: dict[str, Any] = {"type": _STRING, "name": parameter.name, "description": parameter.help}
    if _is_required(command, parameter):
        option["required"] = True
    match parameter.kind:
        case "project" | "filter":
            option["autocomplete"] = True
        case "choice":
            option["choices"] = [{"name": each, "value": each} for each in parameter.choices]
        case "command":
            option["choices"] = [{"name": each, "value": each} for each in table]
        case "number" | "option":
            option |= {"type": _INTEGER, "min_value": 1, "max_value": LARGEST_NUMBER}
        case "flag":
            option["type"] = _BOOLEAN
        case "channel":
            option |= {"type": _CHANNEL, "channel_types": [_TEXT_CHANNEL]}
        case "attachment":
            option["type"] = _ATTACHMENT
    return option


def _is_required(command: Command, parameter: Parameter) -> bool:
    """A project that the channel can tell need not be filled in, as in text."""
    return parameter.required and (parameter.kind != "project" or command.has("text") is not None)


def _comparable(commands: Sequence[Any]) -> Any:
    """What matters of commands, however much else a server tells of them."""
    return sorted((_comparable_part(each) for each in commands), key=lambda each: str(each.get("name")))


def _comparable_part(part: Any) -> dict[str, Any]:
    shown = {name: part[name] for name in _COMPARED if part.get(name)}
    if part.get("options"):
        shown["options"] = [_comparable_part(each) for each in part["options"]]
    if part.get("choices"):
        shown["choices"] = [(each["name"], each["value"]) for each in part["choices"]]
    return shown


def _subcommand(interaction: discord.Interaction) -> tuple[str, list[dict[str, Any]]]:
    """The name of the subcommand, and what was filled in; of another command: nothing."""
    data: Any = interaction.data or {}
    if data.get("name") != NAME or not data.get("options"):
        return "", []
    chosen = data["options"][0]
    return str(chosen["name"]), list(chosen.get("options") or [])


def _values(command: Command, options: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What was filled in, by the name of the parameter; a flag is there when it is set."""
    values = {}
    for option in options:
        if _kind(command, option["name"]) != "flag":
            values[str(option["name"])] = str(option["value"])
        elif option["value"]:
            values[str(option["name"])] = ""
    return values


def _attached(interaction: discord.Interaction, options: Sequence[Any]) -> list[discord.Attachment]:
    data: Any = interaction.data
    filled = app_commands.Namespace(interaction, data.get("resolved", {}), list(options))
    return [value for _, value in filled if isinstance(value, discord.Attachment)]


def _kind(command: Command, name: str) -> str:
    return next((each.kind for each in command.parameters if each.name == name), "")


PAYLOAD = payload(TABLE)
"""The slash command of the table."""
