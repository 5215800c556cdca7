"""Discord put together: the connection, what comes in and what goes out."""

import asyncio
import os

import discord

from herald.database import Database
from herald.interfaces.gateway import Checked, Progress
from herald.service import Service
from herald.snapshot import Current
from herald_gateway import records
from herald_gateway.credential import token
from herald_gateway.discord_chat.additions import Additions
from herald_gateway.discord_chat.alarm import Alarm
from herald_gateway.discord_chat.attachments import Attachments
from herald_gateway.discord_chat.budget import Budget
from herald_gateway.discord_chat.buttons import Buttons
from herald_gateway.discord_chat.catchup import CatchUp
from herald_gateway.discord_chat.check import Check
from herald_gateway.discord_chat.cursors import Cursors
from herald_gateway.discord_chat.delivery import Sender
from herald_gateway.discord_chat.eyes import Eyes
from herald_gateway.discord_chat.interactions import Deferred
from herald_gateway.discord_chat.late import Late
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.places import Places
from herald_gateway.discord_chat.progress import Showing
from herald_gateway.discord_chat.reactions import Reactions
from herald_gateway.discord_chat.reading import Reading
from herald_gateway.discord_chat.sending import Wire
from herald_gateway.discord_chat.slash import Slash
from herald_gateway.discord_chat.supervision import Supervision
from herald_gateway.discord_chat.threads import Threads
from herald_gateway.discord_chat.webhooks import Webhooks
from herald_gateway.intake import Intake
from herald_gateway.outbox import Outbox


class DiscordChat:
    """Herald in Discord. A chat as the outbox knows it, and a connection as the status shows it."""

    name = "discord"

    def __init__(self, service: Service, database: Database, snapshot: Current, intake: Intake, outbox: Outbox) -> None:
        self._service = service
        self._database = database
        self._link = link = Link(service.changed)
        wire = Wire(link)
        hooks = Webhooks(link, snapshot, outbox, service.state)
        threads = Threads(database, wire, outbox)
        places = Places(snapshot, hooks, threads)
        self._attachments = Attachments(os.path.join(service.state, "attachments"), link.ready.is_set)
        self._deferred = Deferred()
        self._cursors = Cursors(database)
        late = Late(database, intake, outbox, link, self._attachments)
        self._reading = Reading(
            database, snapshot, intake, outbox, self._cursors, self._attachments, late, self._read_again
        )
        self._reactions = Reactions(database, snapshot, intake, outbox, late)
        self._showing = Showing(database, snapshot, link, wire, places)
        self._sender = Sender(database, link, wire, places, outbox, self._showing.ended, self._deferred, self._carded)
        self._eyes = Eyes(database, wire)
        self._slash = Slash(link, snapshot, intake, self._deferred, self._attachments)
        self._alarm = Alarm(link, snapshot)
        self._check = Check(link, snapshot, self._slash.refused)
        self.additions = Additions(database, link, wire, hooks, snapshot, os.path.join(service.state, "pictures"))
        self._supervision = Supervision(
            link, self, CatchUp(snapshot, self._cursors, self._reading), Budget(database), outbox, snapshot, token
        )
        buttons = Buttons(snapshot, intake, self._deferred, late.confirm)
        link.on_interaction(self._slash.act)
        link.on_interaction(buttons.act)
        link.on_ready(self._reactions.recheck)
        link.on_ready(self._looked_at)
        outbox.deliver(snapshot)
        outbox.add(self)

    async def start(self) -> None:
        """Connect, and keep at it as long as the service runs."""
        await asyncio.to_thread(self._attachments.tidy, await self._database.read(records.attached))
        await self._cursors.load()
        for work, name in (
            (self._supervision.run(), "connection"),
            (self._cursors.run(), "cursors"),
            (self._sender.run(), "sending"),
            (self._showing.run(), "progress"),
            (self._eyes.run(), "eyes"),
            (self._slash.run(), "slash commands"),
            (self._alarm.run(), "alarm"),
        ):
            self._service.task(work, f"discord {name}")

    def check_duty(self) -> None:
        """Raises Unavailable when the connection is not looked after any more."""
        self._supervision.check()

    @property
    def connection(self) -> str:
        """How it stands, in words."""
        problem = self._sender.problem
        return f"{self._link.connection} ({problem})" if problem else self._link.connection

    @property
    def latency(self) -> float:
        """Seconds to the gateway and back; negative without a connection."""
        return self._link.latency

    async def backlog(self) -> int:
        """How many posts Discord does not have yet."""
        return await self._sender.backlog()

    async def check(self) -> Checked:
        """What Herald lacks there."""
        return await self._check.run()

    def posted(self) -> None:
        """The log of posts has grown."""
        self._sender.wake()

    def progressed(self, progress: Progress) -> None:
        """A task is doing this now."""
        self._showing.progressed(progress)

    def acted(self) -> None:
        """A message was acted on."""
        self._eyes.wake()

    def connected(self) -> None:
        """A new session has begun."""
        self._reading.hold()

    async def heard(self, message: discord.Message) -> None:
        """Somebody said something."""
        await self._reading.heard(message)

    async def reacted(self, payload: discord.RawReactionActionEvent) -> None:
        """A reaction came or went."""
        await self._reactions.reacted(payload)

    async def cleared(self, message: int) -> None:
        """A moderator took reactions of others away."""
        await self._carded("", str(message))

    async def interacted(self, interaction: discord.Interaction) -> None:
        """A slash command, a button, an autocompletion."""
        await self._link.interacted(interaction)

    def born(self, channel: discord.abc.GuildChannel | discord.Thread) -> None:
        """A channel or thread was made just now: all that is said in it counts."""
        if isinstance(channel, (discord.TextChannel, discord.Thread)):
            self._cursors.begin(channel.id, channel.id)

    def dropped(self) -> None:
        """The gateway is gone."""
        self._link.dropped()

    def _read_again(self) -> None:
        self._supervision.read_again()

    async def _carded(self, _channel: str, message: str) -> None:
        await self._reactions.carded(await self._link.client(), message)

    async def _looked_at(self, _client: discord.Client) -> None:
        self._slash.wake()
        self._eyes.wake()
        self._alarm.wake()
