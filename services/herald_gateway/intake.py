"""Where what people say comes in: who may, what it is, on disk, and only then acted on."""

import sqlite3
import time
from collections.abc import Callable

from herald import journal
from herald.clock import now
from herald.database import Database
from herald.errors import Invalid
from herald.interfaces.gateway import Said
from herald.people import role_of
from herald.snapshot import Current
from herald_gateway import records
from herald_gateway.chat import Message
from herald_gateway.lanes import Lanes
from herald_gateway.meaning import kind_of, lane_of, read_message, refusal_of
from herald_gateway.records import NewMessage, Recorded
from herald_gateway.rendering import well_formed

Also = Callable[[sqlite3.Connection, NewMessage], NewMessage | None]

_PATIENCE = 5.0
"""Seconds in which a message is answered even if the worker does not take it: it is on disk."""

_LONGEST_KEY = 200
_STRANGER_EVERY = 3600.0
_MOST_STRANGERS = 1000


class Intake:
    """The inbox of every chat."""

    def __init__(self, database: Database, snapshot: Current, lanes: Lanes) -> None:
        self._database = database
        self._snapshot = snapshot
        self._lanes = lanes
        self._strangers = Strangers()

    async def take(self, message: Message) -> Said:
        """Record a message once and see that it is acted on. Raises Invalid, Unavailable."""
        recorded = await self.record(message)
        if recorded is None:
            return Said(message=message.key, kind="ignored")
        await self._lanes.passed(recorded, _PATIENCE)
        return Said(message=recorded.key, kind=recorded.kind)

    async def record(self, message: Message, also: Also | None = None) -> Recorded | None:
        """Record a message once; it is acted on from then on. None: the author is a stranger, and it is not kept.

        `also` joins the transaction and may complete the message, or say that there is none after all. Raises
        Invalid, Unavailable.
        """
        if not 0 < len(message.key) <= _LONGEST_KEY:
            raise Invalid(f"the key of a message has 1 to {_LONGEST_KEY} characters")
        new = self.judge(message)
        if new is None:
            self._strangers.note(message)
            return None
        recorded = await self._database.write(lambda db: _record(db, new, also))
        if recorded is not None:
            self._lanes.see_to(recorded)
        return recorded

    def judge(self, message: Message) -> NewMessage | None:
        """What a message is and whether its author may say it; None: a stranger. Raises Invalid, Unavailable."""
        text = well_formed(message.text)
        if not text.strip():
            raise Invalid("the message is empty")
        snapshot = self._snapshot.get()
        if role_of(snapshot, message.author, message.project) is None:
            return None
        meaning = read_message(text, message.project, snapshot.projects)
        return NewMessage(
            key=well_formed(message.key),
            project=message.project,
            author=message.author,
            name=well_formed(message.name),
            text=text,
            at=now(),
            kind=kind_of(meaning),
            lane=lane_of(meaning, message.project),
            refusal=message.refusal or refusal_of(meaning, message.author, message.project, snapshot),
            origin=message.origin,
            proposal=message.proposal,
            withdrawn=message.withdrawn,
            replies_to=message.replies_to,
            attachments=message.attachments,
        )


def _record(connection: sqlite3.Connection, new: NewMessage, also: Also | None) -> Recorded | None:
    completed = new if also is None else also(connection, new)
    return None if completed is None else records.record(connection, completed)


class Strangers:
    """People without a right are not answered; the journal has one line for each of them and hour."""

    def __init__(self) -> None:
        self._noted: dict[str, float] = {}

    def note(self, message: Message) -> None:
        """Note that somebody spoke who has no right here."""
        moment = time.monotonic()
        if moment - self._noted.get(message.author, -_STRANGER_EVERY) < _STRANGER_EVERY:
            return
        if len(self._noted) >= _MOST_STRANGERS:
            self._noted = {who: at for who, at in self._noted.items() if moment - at < _STRANGER_EVERY}
        if len(self._noted) < _MOST_STRANGERS:
            self._noted[message.author] = moment
            journal.notice(
                f"ignored: {message.author} has no right here (herald.yaml, operators)", project=message.project
            )
