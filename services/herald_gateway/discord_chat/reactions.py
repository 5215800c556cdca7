"""Votes by reaction: thumbs under cards and under questions about late messages, also those of while Herald was away.

What was seen last is on disk, so each change is a vote once, whether it came as an event or was found. A thumb of any
skin tone counts; the bot's own never do.
"""

import sqlite3
from functools import partial
from typing import NamedTuple

import discord

from herald import journal
from herald.database import Database
from herald.errors import Denied, HeraldError, Unavailable
from herald.people import may, role_of
from herald.snapshot import Current
from herald_gateway.chat import Message, Origin
from herald_gateway.discord_chat import late
from herald_gateway.discord_chat.late import Late
from herald_gateway.discord_chat.rest import Ambiguous, Refused, attempt
from herald_gateway.intake import Intake
from herald_gateway.lanes import insist
from herald_gateway.outbox import Draft, Outbox
from herald_gateway.records import NewMessage
from herald_gateway.votes import Choice, vote_of

_WITHDRAWABLE = 24 * 3600 * 1000 << 22
"""How long a card that was approved is looked at again, as ids count it."""


class Card(NamedTuple):
    """A post that can be voted on, or could."""

    key: str
    channel: str
    message: str
    proposal: str
    votable: bool
    project: str


class Mark(NamedTuple):
    """One thumb of one person. `author` is the id in Discord alone."""

    author: str
    choice: Choice


Marks = dict[Mark, str]
"""With the person's name."""


class Reactions:
    """Turns thumbs into votes."""

    def __init__(self, database: Database, snapshot: Current, intake: Intake, outbox: Outbox, late: Late) -> None:
        self._database = database
        self._snapshot = snapshot
        self._intake = intake
        self._outbox = outbox
        self._late = late

    async def reacted(self, payload: discord.RawReactionActionEvent) -> None:
        """A reaction was put under a message or taken away, not by the bot."""
        choice = vote_of(payload.emoji.name or "") if payload.emoji.id is None else None
        member = payload.member
        if choice is None or (member is not None and member.bot):
            return
        message = str(payload.message_id)
        card = await insist(lambda: self._database.read(partial(_card_of, message=message)))
        if card is None:
            return
        mark, name = Mark(str(payload.user_id), choice), member.display_name if member is not None else ""
        present = payload.event_type == "REACTION_ADD"
        await insist(partial(self._change, card, mark, name, present=present, guild=str(payload.guild_id or "")))

    async def recheck(self, client: discord.Client) -> None:
        """Read the thumbs under all cards that are open, or were approved a short while ago."""
        since = discord.utils.time_snowflake(discord.utils.utcnow()) - _WITHDRAWABLE
        for card in await insist(lambda: self._database.read(partial(_cards, since=since))):
            await insist(partial(self._recheck, client, card))

    async def carded(self, client: discord.Client, message: str) -> None:
        """A card was posted just now: somebody may have been faster than the note of where it is."""
        card = await insist(lambda: self._database.read(partial(_card_of, message=message)))
        if card is not None:
            await insist(partial(self._recheck, client, card))

    async def _recheck(self, client: discord.Client, card: Card) -> None:
        """Compare what is there with what was seen last. Raises Unavailable."""
        before = await self._database.read(partial(_seen, message=card.message))
        try:
            message, there = await attempt(lambda: _thumbs(client, card), 30.0)
        except Ambiguous as error:
            raise Unavailable(str(error)) from error
        except Refused as error:
            journal.notice(f"the votes under card {card.message} cannot be read: {error}", project=card.project)
            return
        guild = str(message.guild.id) if message.guild else ""
        new = {mark: name for mark, name in there.items() if not before.get(mark, (False, 0))[0]}
        gone = [mark for mark, (present, _) in before.items() if present and mark not in there]
        for mark in gone:
            await self._change(card, mark, "", present=False, guild=guild, before=before)
        torn = card.votable and card.proposal and self._is_torn(card, new, there)
        for mark, name in sorted(new.items()):
            await self._change(card, mark, name, present=True, guild=guild, before=before, silent=bool(torn))
        if torn:
            await self._ask_again(card)

    def _is_torn(self, card: Card, new: Marks, there: Marks) -> bool:
        """Whether approvers want both, and some of that is new: then nobody can say what came first."""
        voters = {mark for mark in there if self._may_vote(mark.author, card.project)}
        return any(mark in voters for mark in new) and {mark.choice for mark in voters} == {"approve", "reject"}

    def _may_vote(self, author: str, project: str) -> bool:
        return may(role_of(self._snapshot.get(), f"discord:{author}", project), "approver")

    async def _ask_again(self, card: Card) -> None:
        text = (
            "\U0001f44d and \U0001f44e were both put under this card while Herald was away, so nothing was done. Take"
            " them back and vote again."
        )
        await self._outbox.post(Draft(key=f"torn:{card.key}", project=card.project, kind="notice", text=text))

    async def _change(
        self,
        card: Card,
        mark: Mark,
        name: str,
        *,
        present: bool,
        guild: str,
        before: dict[Mark, tuple[bool, int]] | None = None,
        silent: bool = False,
    ) -> None:
        """Note a change, and vote if it is one. `before`: unless something changed since. Raises Unavailable."""
        said = Message(
            key=f"reaction:{card.message}:{mark.author}:{mark.choice}",
            project=card.project,
            author=f"discord:{mark.author}",
            name=name or self._name_of(mark.author),
            text="\U0001f44d" if mark.choice == "approve" else "\U0001f44e",
            origin=Origin(guild=guild, channel=card.channel, parent="", message=card.message),
            proposal=card.proposal,
            withdrawn=not present,
        )
        counts = card.votable if present else mark.choice == "approve"
        votes = not silent and bool(card.proposal) and counts
        changed = False

        def note(connection: sqlite3.Connection, new: NewMessage) -> NewMessage | None:
            nonlocal changed
            number = _flip(connection, card, mark, present=present, before=before)
            changed = number > 0
            if not changed or not votes or (new.refusal and not present):
                return None
            return new._replace(key=f"{new.key}:{number}")

        await self._intake.record(said, note)
        if changed and present and card.key.startswith(late.KEY) and card.votable:
            await self._decide(card, mark)

    async def _decide(self, card: Card, mark: Mark) -> None:
        """A thumb under the question about a late message."""
        decide = self._late.confirm if mark.choice == "approve" else self._late.leave
        message = card.key.removeprefix(late.KEY)
        try:
            await decide(message, f"discord:{mark.author}")
        except Denied as error:
            key, answers = f"reply:reaction:{card.message}:{mark.author}", f"discord:{message}"
            await self._outbox.post(
                Draft(key=key, project=card.project, kind="reply", text=error.message, answers=answers)
            )
        except HeraldError as error:
            journal.notice(f"a thumb under {card.key} changes nothing: {error.message}", project=card.project)

    def _name_of(self, author: str) -> str:
        """Events of a removal bring no name."""
        return next((each.name for each in self._snapshot.get().operators if each.discord_id == author), author)


async def _thumbs(client: discord.Client, card: Card) -> tuple[discord.Message, Marks]:
    message = await client.get_partial_messageable(int(card.channel)).fetch_message(int(card.message))
    own = client.user.id if client.user is not None else 0
    there: Marks = {}
    for reaction in message.reactions:
        choice = vote_of(str(reaction.emoji)) if isinstance(reaction.emoji, str) else None
        if choice is not None:
            async for user in reaction.users():
                if not user.bot and user.id != own:
                    there[Mark(str(user.id), choice)] = user.display_name
    return message, there


_CARD = (
    "SELECT sent.key, sent.channel, sent.message, sent.proposal, sent.votable,"
    " (SELECT project FROM posts WHERE posts.key = sent.key ORDER BY revision DESC LIMIT 1) FROM sent"
)


def _card_of(connection: sqlite3.Connection, message: str) -> Card | None:
    row = connection.execute(f"{_CARD} WHERE message = ? AND (proposal <> '' OR votable)", (message,)).fetchone()
    return _as_card(row) if row else None


def _cards(connection: sqlite3.Connection, since: int) -> list[Card]:
    rows = connection.execute(
        f"{_CARD} WHERE votable UNION {_CARD} WHERE NOT votable AND proposal <> '' AND message IN"
        " (SELECT message FROM reactions WHERE choice = 'approve' AND present AND CAST(message AS INTEGER) > ?)",
        (since,),
    )
    return [_as_card(row) for row in rows]


def _as_card(row: tuple[str, str, str, str, int, str | None]) -> Card:
    return Card(row[0], row[1], row[2], row[3], bool(row[4]), row[5] or "")


def _seen(connection: sqlite3.Connection, message: str) -> dict[Mark, tuple[bool, int]]:
    rows = connection.execute("SELECT author, choice, present, changes FROM reactions WHERE message = ?", (message,))
    return {Mark(author, choice): (bool(present), changes) for author, choice, present, changes in rows}


def _flip(
    connection: sqlite3.Connection,
    card: Card,
    mark: Mark,
    *,
    present: bool,
    before: dict[Mark, tuple[bool, int]] | None,
) -> int:
    """The number of the change; 0 when it is none, or another one came before."""
    was, changes = _seen(connection, card.message).get(mark, (False, 0))
    if was == present or (before is not None and before.get(mark, (False, 0))[1] != changes):
        return 0
    connection.execute(
        "INSERT INTO reactions (message, author, choice, present, changes) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (message, author, choice) DO UPDATE SET present = excluded.present, changes = excluded.changes",
        (card.message, mark.author, mark.choice, present, changes + 1),
    )
    return changes + 1
