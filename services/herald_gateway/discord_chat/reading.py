"""What people say in Discord, on its way to the intake: each message once, in order, and recorded before it counts.

Messages of one project go one after the other, whichever of its channels and threads they are in; so do those of a
channel that belongs to none. While what was missed is read (`catchup`), new ones wait behind it. What does not fit
into the queue, or waits when the connection is lost, is found in the channel's history again.
"""

import asyncio
import sqlite3
import traceback
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

import discord

from herald import journal
from herald.database import Database
from herald.errors import Invalid
from herald.snapshot import Current
from herald_gateway import records
from herald_gateway.chat import Message, Origin
from herald_gateway.discord_chat import cursors
from herald_gateway.discord_chat.attachments import Attachments, Kept, LostConnection
from herald_gateway.discord_chat.cursors import Cursors
from herald_gateway.discord_chat.late import Late
from herald_gateway.intake import Intake
from herald_gateway.lanes import insist
from herald_gateway.meaning import is_command
from herald_gateway.outbox import Draft, Outbox
from herald_gateway.records import NewMessage

_MOST_WAITING = 200
_DIRECT = "direct"
_SAID = (discord.MessageType.default, discord.MessageType.reply)
NOT_DIRECTLY = "Herald takes nothing in direct messages; say it in a channel of a server."


class Where(NamedTuple):
    """A channel, or a thread with the channel that it belongs to. `guild` is 0 for a direct message."""

    guild: int
    channel: int
    parent: int = 0


class Line:
    """Messages that are taken one after the other."""

    def __init__(self, *, held: bool) -> None:
        self.held = held
        """What was missed is read first."""
        self.missed = False
        """More came than could wait: the history has it."""
        self.waiting: deque[discord.Message] = deque()
        self.lock = asyncio.Lock()

    def leave_to_history(self) -> None:
        """What waits, and what follows, is read from the history."""
        self.held = self.missed = True
        self.waiting.clear()


class Reading:
    """Takes messages."""

    def __init__(
        self,
        database: Database,
        snapshot: Current,
        intake: Intake,
        outbox: Outbox,
        cursors: Cursors,
        attachments: Attachments,
        late: Late,
        again: Callable[[], None],
    ) -> None:
        """`again` is called when something has to be read from the history once more."""
        self._database = database
        self._snapshot = snapshot
        self._intake = intake
        self._outbox = outbox
        self._cursors = cursors
        self._attachments = attachments
        self._late = late
        self._again = again
        self._lines: dict[str, Line] = {}
        self._holding = True

    def hold(self) -> None:
        """A new session has begun: what it brings waits until what was missed is read."""
        self._holding = True
        for name, line in self._lines.items():
            if name != _DIRECT:
                line.leave_to_history()

    async def heard(self, message: discord.Message) -> None:
        """A message came over the gateway."""
        if isinstance(message.channel, discord.PartialMessageable):
            self._leave_to_history(self.line(str(message.channel.id)))  # of a thread or server not announced yet
            return
        line = self.line(self.name_of(where_of(message)))
        if len(line.waiting) >= _MOST_WAITING:
            self._leave_to_history(line)
            return
        line.waiting.append(message)
        if not line.held and not line.lock.locked():
            async with line.lock:
                await self.drain(line)

    def _leave_to_history(self, line: Line) -> None:
        if not line.held:
            self._again()
        line.leave_to_history()

    async def drain(self, line: Line) -> None:
        """Take what waits. Its lock is held."""
        while line.waiting and not line.held:
            message = line.waiting.popleft()
            where = where_of(message)
            if where.guild and self.first_of(where, message.id - 1) >= message.id:
                continue
            try:
                await self.take(message, where)
            except LostConnection:
                line.leave_to_history()
                self._again()

    def first_of(self, where: Where, otherwise: int) -> int:
        """Where the channel begins to count; one that was never seen begins at `otherwise`, a thread at its birth."""
        cursor = self._cursors.of(where.channel)
        if cursor is not None:
            return cursor.first
        parent = self._cursors.of(where.parent) if where.parent else None
        first = max(where.channel, parent.first) if parent is not None else otherwise
        self._cursors.begin(where.channel, first)
        return first

    async def release(self, names: Collection[str]) -> None:
        """What was missed is read, but for the lines of these names."""
        self._holding = False
        for name, line in list(self._lines.items()):
            if name not in names and line.held:
                line.held = line.missed = False
                if not line.lock.locked():  # else whoever has it goes on by himself
                    async with line.lock:
                        await self.drain(line)

    def line(self, name: str) -> Line:
        """The line of that name."""
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = Line(held=self._holding and name != _DIRECT)
        return line

    def name_of(self, where: Where) -> str:
        """The project whose channel this is, or the channel."""
        if not where.guild:
            return _DIRECT
        return self._project_of(where) or str(where.parent or where.channel)

    async def take(self, message: discord.Message, where: Where, *, found: bool = False) -> None:
        """See a message through: recorded, asked about, or left alone. `found`: in the history.

        The boundary for a message that nothing foresaw: it is reported, and the next one is taken.
        """
        try:
            await insist(partial(self._take, message, where, found=found))
        except LostConnection:
            raise
        except Invalid as error:
            journal.notice(f"message {message.id} is not taken: {error.message}")
        except Exception:  # noqa: BLE001 - the named boundary
            journal.error(f"message {message.id} could not be read\n{traceback.format_exc()}")

    async def _take(self, message: discord.Message, where: Where, *, found: bool) -> None:
        said = self._said(message, where)
        judged = self._intake.judge(said) if said is not None else None
        if said is None or judged is None:
            if said is not None:
                await self._intake.record(said)  # a stranger: noted, not kept
            self._deal_with(where, message.id)
            return
        if found and not judged.refusal and self._late.is_late(message.id):
            await self._late.ask(message.id, said)
            self._deal_with(where, message.id)
            return
        kept = Kept()
        if message.attachments and not judged.refusal and judged.kind != "vote":
            if await self._database.read(lambda db: records.message_of(db, said.key)) is not None:
                self._deal_with(where, message.id)
                return
            kept = await self._attachments.keep(said.key, message.attachments)
        moves = self._cursors.moves(where.channel, message.id) if where.guild else {}
        also = partial(_complete, moves=moves, reference=_reference_of(message, where))
        recorded = await self._intake.record(_with(said, kept, message), also)
        self._cursors.written(moves)
        if kept.refused and recorded is not None and not recorded.refusal:
            text = f"Not passed on: {kept.refused}"
            key = f"attachments:{said.key}"
            await self._outbox.post(Draft(key=key, project=said.project, kind="reply", text=text, answers=said.key))

    def _deal_with(self, where: Where, message: int) -> None:
        if where.guild:
            self._cursors.move(where.channel, message)

    def _said(self, message: discord.Message, where: Where) -> Message | None:
        """A message as the intake takes it; None when it is none of Herald's."""
        if message.author.bot or message.webhook_id is not None or message.type not in _SAID:
            return None
        text = message.content.strip()
        if not text and not message.attachments:
            return None
        snapshot = self._snapshot.get()
        project = self._project_of(where)
        own = {snapshot.discord.system_channel, snapshot.discord.work_channel} - {""}
        elsewhere = not project and str(where.parent or where.channel) not in own
        if where.guild and elsewhere and not is_command(text):
            return None
        return Message(
            key=f"discord:{message.id}",
            project=project,
            author=f"discord:{message.author.id}",
            name=message.author.display_name,
            text=text or f"({len(message.attachments)} attached)",
            origin=Origin(
                guild=str(where.guild or ""),
                channel=str(where.channel),
                parent=str(where.parent or ""),
                message=str(message.id),
            ),
            refusal="" if where.guild else NOT_DIRECTLY,
        )

    def _project_of(self, where: Where) -> str:
        channel = str(where.parent or where.channel)
        return next((each.name for each in self._snapshot.get().projects.values() if each.channel == channel), "")


def where_of(message: discord.Message) -> Where:
    """Where a message was said."""
    channel = message.channel
    parent = channel.parent_id if isinstance(channel, discord.Thread) else 0
    return Where(message.guild.id if message.guild else 0, channel.id, parent)


def _with(said: Message, kept: Kept, message: discord.Message) -> Message:
    """The message with its files; one that has nothing else says so, and is refused when none of them is left."""
    if not message.attachments:
        return said
    text = message.content.strip()
    if not text and kept.refused and not kept.path:
        return said._replace(refusal=f"Not passed on: {kept.refused}")
    notes = [text or "The attached files are the message."]
    if kept.refused and not text.startswith("!"):  # a command would not read the same any more
        notes.append(f"[Herald did not pass on: {kept.refused}]")
    return said._replace(text="\n\n".join(notes), attachments=kept.path)


def _reference_of(message: discord.Message, where: Where) -> str:
    """The message that this one answers; in a thread it is the one that the thread was made from."""
    reference = message.reference
    if message.type is discord.MessageType.reply and reference is not None and reference.message_id is not None:
        return str(reference.message_id)
    return str(where.channel) if where.parent else ""


def _complete(
    connection: sqlite3.Connection, new: NewMessage, *, moves: dict[int, cursors.Cursor], reference: str
) -> NewMessage:
    cursors.write(connection, moves)
    return new._replace(replies_to=records.task_of(connection, reference)) if reference else new
