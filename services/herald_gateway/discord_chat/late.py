"""Messages that were found long after they were said: not run, but asked about, once."""

import sqlite3
import time

from herald.database import Database
from herald.errors import Conflict, Denied, NotFound, Unavailable
from herald_gateway import records
from herald_gateway.chat import Message
from herald_gateway.discord_chat.attachments import Attachments, Kept
from herald_gateway.discord_chat.link import Link
from herald_gateway.discord_chat.rest import Ambiguous, Refused, attempt
from herald_gateway.intake import Intake
from herald_gateway.outbox import Draft, Outbox
from herald_gateway.records import NewMessage, Recorded
from herald_gateway.rendering import render_line

KEY = "late:"
"""Begins the key of a question; the message's id follows."""

_LATE = 24 * 3600.0
_ASKED = "asked about: it was found more than a day after it was said"
_EPOCH = 1420070400.0
"""Discord's, in seconds; an id holds the milliseconds since then above 22 other bits."""


def said_at(message: int) -> float:
    """When a message was said, in seconds since the epoch."""
    return (message >> 22) / 1000 + _EPOCH


class Late:
    """Asks about late messages, and takes those that somebody wants."""

    def __init__(
        self, database: Database, intake: Intake, outbox: Outbox, link: Link, attachments: Attachments
    ) -> None:
        self._database = database
        self._intake = intake
        self._outbox = outbox
        self._link = link
        self._attachments = attachments

    def is_late(self, message: int) -> bool:
        """Whether a message that is found now is asked about."""
        return time.time() - said_at(message) > _LATE

    async def ask(self, message: int, said: Message) -> None:
        """Ask whether to act on it. May be called again: it is asked once, and not if it was taken in time."""
        recorded = await self._database.read(lambda db: records.message_of(db, said.key))
        if recorded is not None and recorded.refusal != _ASKED:
            return
        await self._intake.record(said._replace(refusal=_ASKED), _put_aside)
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(said_at(message)))
        text = (
            f"Herald was away when this was said, on {at}: {render_line(said.text, 200)}\nIt was not done. \U0001f44d"
            " or the button does it now, \U0001f44e leaves it."
        )
        await self._post(message, said.project, text, 0, asks=True)

    async def confirm(self, message: str, author: str) -> str:
        """Act on a message that was asked about, as this person says; returns what to tell. Raises HeraldError."""
        row = await self._asked(message, author)
        key = f"{row.key}:late"
        path, refused = await self._files(row, key)
        asked = Message(
            key=key,
            project=row.project,
            author=row.author,
            name=row.name,
            text=f"{row.text}\n\n[Herald did not pass on: {refused}]" if refused else row.text,
            origin=row.origin,
            replies_to=row.replies_to,
            attachments=path,
        )
        await self._intake.record(asked)
        await self._post(int(message), row.project, f"Done now: {render_line(row.text, 200)}", 1, asks=False)
        return "It is done now."

    async def leave(self, message: str, author: str) -> None:
        """Do not act on it, as this person says. Raises HeraldError."""
        row = await self._asked(message, author)
        await self._post(int(message), row.project, f"Left undone: {render_line(row.text, 200)}", 1, asks=False)

    async def _asked(self, message: str, author: str) -> Recorded:
        """The message that was asked about, if this person may decide on it and nobody has. Raises HeraldError."""

        def look(connection: sqlite3.Connection) -> tuple[Recorded | None, bool]:
            return records.message_of(connection, f"discord:{message}"), records.is_logged(connection, KEY + message, 1)

        row, decided = await self._database.read(look)
        if row is None or row.refusal != _ASKED:
            raise NotFound("Herald has no such question.")
        judged = self._intake.judge(Message(row.key, row.project, author, "", row.text))
        if judged is None or judged.refusal:
            raise Denied(judged.refusal if judged else "You have no right here.")
        if decided:
            raise Conflict("This was decided already.")
        return row

    async def _files(self, row: Recorded, key: str) -> tuple[str, str]:
        """What is attached to the message still: the path of the tar, and what is not passed on and why."""
        if row.origin is None:
            return "", ""
        origin, client = row.origin, await self._link.client()
        channel = client.get_partial_messageable(int(origin.channel))
        try:
            message = await attempt(lambda: channel.fetch_message(int(origin.message)))
        except Refused:
            return "", ""  # it was deleted; its text is here
        except Ambiguous as error:
            raise Unavailable(f"Discord does not answer: {error}; try again") from error
        kept = await self._attachments.keep(key, message.attachments) if message.attachments else Kept()
        return kept.path, kept.refused

    async def _post(self, message: int, project: str, text: str, revision: int, *, asks: bool) -> None:
        await self._outbox.post(
            Draft(
                key=f"{KEY}{message}",
                project=project,
                kind="reply",
                text=text,
                revision=revision,
                answers=f"discord:{message}",
                last=not asks,
                votable=asks,
            )
        )


def _put_aside(connection: sqlite3.Connection, new: NewMessage) -> None:
    """Keep it, without anything being done about it."""
    if records.record(connection, new).refusal == _ASKED:
        records.mark(connection, new.key, "done")
