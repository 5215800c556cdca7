"""What is done about one recorded message: the worker gets it, a command is carried out, a refusal is said."""

import asyncio
import contextlib
import os
import traceback
from functools import partial

from herald import journal
from herald.bus.client import peer
from herald.database import Database
from herald.errors import Busy, HeraldError, Unavailable
from herald.interfaces.config import Config
from herald.interfaces.worker import Author, Quote, Worker
from herald.snapshot import Current
from herald_gateway import history, records
from herald_gateway.commands import Additions, Asked, Command, Given, Invocation, Misuse, Reply
from herald_gateway.lanes import insist
from herald_gateway.meaning import Vote, read_message, refusal_of
from herald_gateway.operations import enqueue
from herald_gateway.outbox import Draft, Outbox
from herald_gateway.records import Recorded

_PROPOSE_DEADLINE = 240.0
"""Seconds for a look into the remote and into the clone, each of which may take two minutes."""

_COMPILE_DEADLINE = 60.0
"""Seconds for herald-config, which is started by the call and reads the whole configuration."""

_VOTED: dict[str, str] = {
    "open": "Withdrawn",
    "approved": "Approved, it is being pushed",
    "pushing": "Approved, it is being pushed",
    "rejected": "Rejected, it is being discarded",
}
"""What became of a vote, by the state of the proposal after it."""

_CUT_SHORT = "Herald was interrupted while it did this. Look whether it is done before you say it again."


class Handover:
    """Acts on a message, says what has to be said about it, and marks it done."""

    def __init__(self, database: Database, outbox: Outbox, snapshot: Current) -> None:
        self._database = database
        self._outbox = outbox
        self._snapshot = snapshot
        self._worker = peer(Worker)
        self._patient = peer(Worker, _PROPOSE_DEADLINE)
        self._config = peer(Config, _COMPILE_DEADLINE)
        self._projects: Additions | None = None

    def knows_discord(self, projects: Additions) -> None:
        """From now on projects can be added."""
        self._projects = projects

    async def act(self, message: Recorded) -> None:
        """Act on one message. Raises Unavailable or Busy when it has to be tried again: what it did carries the key."""
        reply = await self._outcome(message)
        await insist(partial(self._finish, message, reply))

    async def _outcome(self, message: Recorded) -> str | Reply | None:
        """The reply, None when the worker's posts answer. The boundary for a message that nothing foresaw: it is
        reported in full and answered, so that it blocks nobody."""
        try:
            return message.refusal or await self._carry_out(message)
        except (Unavailable, Busy) as error:
            await self._say_that_it_waits(message, error)
            raise
        except HeraldError as error:
            return error.message
        except Exception as error:  # noqa: BLE001 - the named boundary
            details = "".join(traceback.format_exception(error))
            journal.error(f"message {message.key} could not be acted on\n{details}", project=message.project)
            return "Herald failed on this message; the journal of herald-gateway has the details."

    async def _carry_out(self, message: Recorded) -> str | Reply | None:
        snapshot = self._snapshot.get()
        meaning = read_message(message.text, message.project, snapshot.projects)
        refusal = refusal_of(meaning, message.author, message.project, snapshot)
        if refusal:  # it was allowed when it came; since then the configuration has changed
            return refusal
        if isinstance(meaning, Misuse):
            return meaning.text
        if isinstance(meaning, Invocation):
            return await self._carry_out_command(message, self._asked(message, meaning.given), meaning.command)
        if isinstance(meaning, Vote) and (message.project or message.proposal):
            return await self._vote(message, meaning)
        if not message.project:
            return "This channel belongs to no project: !run <project> <task> gives a task, !help lists all commands."
        asked = self._asked(message, Given(message.project, message.text, frozenset()))
        await enqueue(asked, message.replies_to)
        return None

    async def _vote(self, message: Recorded, vote: Vote) -> str | None:
        """The card itself shows what became of a vote; a button that was pressed wants an answer of its own."""
        proposal = await self._worker.Vote(
            key=message.key,
            vote="withdraw" if message.withdrawn else vote.choice,
            proposal=message.proposal or None,
            project=None if message.proposal else message.project,
            author=Author(id=message.author, name=message.name),
        )
        if message.origin is None or not message.origin.interaction:
            return None
        return f"{_VOTED.get(proposal['state'], proposal['state'])}: {proposal['head'][:12]} of {proposal['project']}."

    async def _carry_out_command(self, message: Recorded, asked: Asked, command: Command) -> str | Reply | None:
        if command.effect == "keyed":
            return await command.handler(asked)
        if command.effect == "once":
            if message.state == "begun":
                return _CUT_SHORT
            await self._database.write(lambda db: records.mark(db, message.key, "begun"))
        try:
            return await command.handler(asked)
        except (Unavailable, Busy) as error:
            return error.message  # somebody waits for the answer: no answer is one, too

    def _asked(self, message: Recorded, given: Given) -> Asked:
        return Asked(
            key=message.key,
            author=Author(id=message.author, name=message.name),
            given=given,
            history=partial(self._history, message),
            worker=self._worker,
            patient=self._patient,
            config=self._config,
            snapshot=self._snapshot.get(),
            channel=message.project,
            origin=message.origin,
            attachments=message.attachments,
            replies_to=message.replies_to,
            projects=self._projects,
        )

    async def _history(self, message: Recorded, project: str) -> list[Quote]:
        lines = await self._database.read(lambda db: records.history_before(db, project, message, history.MESSAGES))
        return history.quotes_of(lines)

    async def _finish(self, message: Recorded, reply: str | Reply | None) -> None:
        if reply is not None:
            said = Reply(reply, last=True) if isinstance(reply, str) else reply
            await self._outbox.post(
                Draft(
                    key=f"reply:{message.key}",
                    project=message.project,
                    kind="reply",
                    text=said.text,
                    answers=message.key,
                    last=said.last,
                    actions=said.actions,
                )
            )
        await self._database.write(lambda db: records.mark(db, message.key, "done"))
        if message.attachments:
            await asyncio.to_thread(_remove, message.attachments)

    async def _say_that_it_waits(self, message: Recorded, error: HeraldError) -> None:
        text = f"Not taken yet: {error.message}. The message is kept and handed over as soon as that is possible."
        key = f"waits:{message.key}"
        await self._outbox.post(Draft(key=key, project=message.project, kind="notice", text=text, answers=message.key))


def _remove(path: str) -> None:
    """What was attached is the worker's now; what cannot be removed here is cleaned up at the next start."""
    with contextlib.suppress(OSError):
        os.unlink(path)
