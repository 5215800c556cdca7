"""`!addproject`: from an address to an agent that introduces itself. `!webhook`: its name and picture in Discord.

What was asked for is on the disk before anything is made, and each step sees what is there already. So the same
command, said again or handed over again after a kill, goes on where it stopped; nothing is made twice.

| step | sees by | makes |
|---|---|---|
| checks | | nothing |
| configuration | the snapshot | projects/NAME.yaml, not enabled yet |
| clone | the folder | herald-git@ fetches, the agent's unit makes the clone |
| channel | the row, then the marker in its topic | a private channel |
| webhook | the channel's webhooks | a webhook with name and picture, written into webhooks.json |
| enable | the file | channel, schedule and `enabled: true` |
| introduction | the key | the agent's first task |
"""

import asyncio
import json
import os
import random
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import discord

from herald import journal
from herald.bus.client import peer
from herald.database import Database
from herald.errors import Busy, Conflict, HeraldError, Invalid, Unavailable
from herald.interfaces.config import Compiled, Config, Setting
from herald.interfaces.worker import Worker
from herald.snapshot import Current, Project, Snapshot
from herald_gateway.commands import Asked
from herald_gateway.discord_chat import addition, channels
from herald_gateway.discord_chat.addition import Addition
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.pictures import Pictures, picture_of
from herald_gateway.discord_chat.sending import Wire
from herald_gateway.discord_chat.webhooks import FORBIDDEN, LONGEST_NAME, Webhooks, name_for

_CLONE_DEADLINE = 2400.0
"""Seconds for a first fetch and the checkout, each of which grows with the size of the repository."""

_COMPILE_DEADLINE = 60.0
_READY_WITHIN = 20.0
_PATIENCE = 45.0
"""Seconds in which a part of Herald or the remote is asked again; then the one who asked is told."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

_JOURNAL = """\
Read .herald/SOUL.md and .herald/MEMORY.md. Write a brief journal entry: status of the project, open questions, \
anything that looks inconsistent or needs attention. Update .herald/MEMORY.md if anything is worth remembering. \
Keep it under 200 words."""

_BLOG = """\
Write a short blog post (300-500 words) about the past week's work: what shipped, what didn't, what you learned, what \
surprised you. Save it as blog/YYYY-MM-DD-weekly.md (make the folder if it is not there). Commit it."""

_SCHEDULE = ({"cron": "0 8 * * *", "task": _JOURNAL}, {"cron": "0 9 * * 1", "task": _BLOG})
"""The entries that a new project begins with."""

T = TypeVar("T")


class Additions:
    """What the commands about projects in Discord do."""

    def __init__(
        self, database: Database, link: Link, wire: Wire, webhooks: Webhooks, snapshot: Current, folder: str
    ) -> None:
        """`folder` keeps the pictures of agents until they are set."""
        self._database = database
        self._link = link
        self._wire = wire
        self._webhooks = webhooks
        self._snapshot = snapshot
        self._pictures = Pictures(folder)
        self._worker = peer(Worker, _CLONE_DEADLINE)
        self._config = peer(Config, _COMPILE_DEADLINE)
        self._turns: dict[str, asyncio.Lock] = {}
        self._cloned: dict[str, tuple[str, str]] = {}
        """By project: for which message its clone was made since this process started, and from where."""

    async def webhook(self, asked: Asked, project: str) -> str:
        """Make or update the agent's webhook, with the picture that came along. Raises HeraldError."""
        found = self._snapshot.get().project(project)
        picture = await asyncio.to_thread(picture_of, asked.attachments)
        await self._connected()
        await self._webhooks.renew(found, picture)
        what = "name and picture are" if picture else "name is"
        return f"The agent of {project} speaks as {name_for(found)} in <#{found.channel}>; its {what} set."

    async def add(self, asked: Asked, name: str, url: str, agent_name: str, channel: str) -> str:
        """Add a project, or go on where adding it stopped; the reply says what was done, and what is missing.

        Raises Unavailable while Discord does not answer, and what can be said before the first step.
        """
        async with self._turns.setdefault(name, asyncio.Lock()):
            this = await self._begin(asked, name, url, agent_name.strip() or name, channel)
            done: list[str] = []
            if not this.finished:
                try:
                    this = await self._carry_out(this, asked, done)
                except Unavailable:
                    raise  # Discord is away: this is handed over again until it is there
                except HeraldError as error:
                    journal.warning(f"adding {name} stopped: {error.message}", project=name)
                    return _stopped(name, done, error)
            return "\n".join(
                [f"{name} is added.", *(f"- {line}" for line in done), f"Its channel is <#{this.channel}>."]
            )

    async def _begin(self, asked: Asked, name: str, url: str, agent: str, channel: str) -> Addition:
        """Check all that can be checked, then write down what is to be done. Raises HeraldError."""
        _check_names(name, agent)
        settings = self._snapshot.get()
        known = await self._database.read(lambda connection: addition.load(connection, name))
        if name in settings.projects and (known is None or known.finished):
            if known is not None and known.asked == asked.key:
                return known  # it was done, and Herald ended before it could say so
            raise Conflict(
                f"there is a project {name} already (projects/{name}.yaml); `!webhook {name}` renews its webhook"
            )
        picture = await asyncio.to_thread(picture_of, asked.attachments)
        client = await self._connected()
        if known is None or known.finished:
            known = Addition(name, addition.new_id(), "", "", "", "", existing=False, channel="")
        said_in = asked.origin.guild if asked.origin else ""
        guild = await channels.guild_of(client, known.guild if known.channel and not channel else said_in, settings)
        this = known._replace(asked=asked.key, url=url, agent=agent, guild=str(guild.id))
        if channel:
            found = await channels.existing(guild, channel)
            _check_free(settings, name, str(found.id))
            channels.check_channel(found)
            this = this._replace(existing=True, channel=str(found.id))
        else:
            channels.check_guild(guild)
            this = this._replace(existing=False, channel="" if known.existing else known.channel)
        if picture:
            await asyncio.to_thread(self._pictures.keep, name, picture)
        await self._save(this)
        return this

    async def _carry_out(self, this: Addition, asked: Asked, done: list[str]) -> Addition:
        """All steps; each appends to `done`. Raises HeraldError; Unavailable: Discord is away."""
        project = await self._configure(this, done)
        await self._clone(this, asked, done)
        this = await self._find_channel(this, done)
        project = project._replace(channel=this.channel)
        await self._webhooks.renew(project, await asyncio.to_thread(self._pictures.get, this.name))
        done.append(f"{this.agent} speaks through a webhook of its own")
        await self._enable(this, done)
        key = f"bootstrap:{this.name}:{this.id}"
        await _patiently(lambda: self._worker.Bootstrap(key=key, project=this.name, author=asked.author))
        done.append(f"{this.agent} is reading the repository and introduces itself soon")
        this = this._replace(finished=True)
        await self._save(this)
        await asyncio.to_thread(self._pictures.drop, this.name)
        return this

    async def _configure(self, this: Addition, done: list[str]) -> Project:
        """The project's file, with the remote and the name that are wanted now. Raises HeraldError."""
        settings = self._snapshot.get()
        project = settings.projects.get(this.name)
        wanted: dict[str, Any] = {"agent_name": this.agent, "git.remote": this.url}
        if project is None:
            path = os.path.join(settings.projects_root, this.name)
            new = {"path": path, "enabled": False, **wanted}
            try:
                _demand_applied(
                    await _patiently(lambda: self._config.AddProject(name=this.name, settings=_settings(new)))
                )
            except Conflict:
                if this.name not in self._snapshot.get().projects:
                    raise
                project = self._snapshot.get().projects[this.name]  # by an attempt whose answer was lost
        if project is not None and (project.remote, project.agent_name) != (this.url, this.agent):
            await self._set(this.name, wanted)
        done.append(f"projects/{this.name}.yaml is written")
        return self._snapshot.get().project(this.name)

    async def _clone(self, this: Addition, asked: Asked, done: list[str]) -> None:
        if self._cloned.get(this.name) != (asked.key, this.url):
            cloned = await _patiently(lambda: self._worker.Clone(project=this.name, author=asked.author))
            self._cloned[this.name] = (asked.key, this.url)
            journal.info(f"{cloned['branch']} at {cloned['head'][:12]} is in {cloned['path']}", project=this.name)
        done.append("the repository is cloned")

    async def _find_channel(self, this: Addition, done: list[str]) -> Addition:
        """The channel, made if there is none; it is written down before anything else happens. Raises HeraldError."""
        client = await self._connected()
        settings = self._snapshot.get()
        guild = await channels.guild_of(client, this.guild, settings)
        if this.channel and await channels.still_there(guild, this.channel) is not None:
            done.append(f"<#{this.channel}> is its channel")
            return this
        if this.existing:
            raise Conflict("the channel that was named is gone; name another one")
        made = await channels.create_private(self._wire, guild, this.name, this.agent, settings)
        _check_free(settings, this.name, made.channel)
        this = this._replace(channel=made.channel)
        await self._save(this)
        done.append(f"<#{this.channel}> is its channel, private to Herald and the project's people")
        if made.absent:
            done.append(f"not in this server, so not let in: {', '.join(made.absent)}")
        return this

    async def _enable(self, this: Addition, done: list[str]) -> None:
        project = self._snapshot.get().project(this.name)
        if not (project.enabled and project.channel == this.channel):
            keys = {"discord_channel_id": this.channel, "schedule": _SCHEDULE, "enabled": True}
            await self._set(this.name, keys)
        done.append("it is enabled, with a daily journal and a weekly blog post in its schedule")

    async def _set(self, name: str, keys: dict[str, Any]) -> None:
        _demand_applied(await _patiently(lambda: self._config.SetProject(name=name, settings=_settings(keys))))

    async def _save(self, this: Addition) -> None:
        await self._database.write(lambda connection: addition.save(connection, this))

    async def _connected(self) -> discord.Client:
        """The client, with servers and channels known. Raises Unavailable; Conflict: until somebody acts."""
        try:
            async with asyncio.timeout(_READY_WITHIN):
                await self._link.ready.wait()
        except TimeoutError:
            if self._link.state == "refused":
                raise Conflict(self._link.problem) from None
            raise Unavailable(self._link.problem or "there is no connection to Discord") from None
        return await self._link.client()


def _check_names(name: str, agent: str) -> None:
    """Raises Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid(f"{name[:60]!r} cannot be the name of a project: 1 to 40 of a-z, 0-9 and '-', no '-' in front")
    if len(agent) > LONGEST_NAME or not agent.isprintable():
        raise Invalid(f"the agent's name is one line of at most {LONGEST_NAME} characters")
    word = next((each for each in FORBIDDEN if each in agent.lower()), "")
    if word:
        raise Invalid(f"the agent cannot be named {agent!r}: Discord refuses names with {word!r}; give another name")


def _check_free(settings: Snapshot, name: str, channel: str) -> None:
    """Raises Conflict when the channel is somebody else's."""
    for project in settings.projects.values():
        if project.channel == channel and project.name != name:
            raise Conflict(f"<#{channel}> is the channel of {project.name} already; give each project its own")
    if channel in (settings.discord.system_channel, settings.discord.work_channel):
        raise Conflict(f"<#{channel}> is where Herald speaks of itself or of work; give the project its own channel")


def _settings(keys: dict[str, Any]) -> list[Setting]:
    return [Setting(key=key, value=json.dumps(value)) for key, value in keys.items()]


def _demand_applied(compiled: Compiled) -> None:
    """Raises Invalid with what is wrong."""
    if not compiled["applied"]:
        lines = [f"{each['file']}: {each['field']}: {each['message']}" for each in compiled["problems"][:5]]
        raise Invalid("the configuration does not allow it: " + "; ".join(lines))


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Ask a part of Herald, again if need be. Raises its last error, which is then no reason to ask for ever."""
    until = time.monotonic() + _PATIENCE
    pause = 0.2
    while True:
        try:
            return await call()
        except (Unavailable, Busy) as error:
            if time.monotonic() + pause > until:
                raise Conflict(error.message) from error
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, 10.0)


def _stopped(name: str, done: list[str], error: HeraldError) -> str:
    lines = [f"{name} is not added yet: {error.message}."]
    if done:
        lines += ["Done so far:", *(f"- {line}" for line in done)]
    return "\n".join([*lines, "When that is mended, say the same command again: it goes on from here."])
