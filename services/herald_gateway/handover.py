"""What is done about one recorded message: the worker gets it, a command is carried out, a refusal is said."""

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
from herald_gateway.commands import Asked, Invocation, Misuse
from herald_gateway.lanes import insist
from herald_gateway.meaning import Meaning, Vote, read_message
from herald_gateway.outbox import Draft, Outbox
from herald_gateway.records import Recorded

_PROPOSE_DEADLINE = 240.0
"""Seconds for a look into the remote and into the clone, each of which may take two minutes."""

_COMPILE_DEADLINE = 60.0
"""Seconds for herald-config, which is started by the call and reads the whole configuration."""

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

    async def act(self, message: Recorded) -> None:
        """Act on one message. Raises Unavailable or Busy when it has to be tried again: what it did carries the key."""
        reply = await self._outcome(message)
        await insist(partial(self._finish, message, reply))

    async def _outcome(self, message: Recorded) -> str | None:
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

    async def _carry_out(self, message: Recorded) -> str | None:
        meaning = read_message(message.text, message.project, self._snapshot.get().projects)
        if isinstance(meaning, Misuse):
            return meaning.text
        if isinstance(meaning, Invocation):
            return await self._carry_out_command(message, meaning)
        if not message.project:
            return "This channel belongs to no project: !run <project> <task> gives a task, !help lists all commands."
        await self._hand_over(message, meaning)
        return None

    async def _hand_over(self, message: Recorded, meaning: Meaning) -> None:
        author = Author(id=message.author, name=message.name)
        if isinstance(meaning, Vote):
            await self._worker.Vote(key=message.key, vote=meaning.choice, project=message.project, author=author)
            return
        await self._worker.Enqueue(
            key=message.key,
            project=message.project,
            text=message.text,
            author=author,
            history=await self._history(message, message.project),
        )

    async def _carry_out_command(self, message: Recorded, invocation: Invocation) -> str | None:
        command = invocation.command
        asked = Asked(
            key=message.key,
            author=Author(id=message.author, name=message.name),
            given=invocation.given,
            history=partial(self._history, message),
            worker=self._worker,
            patient=self._patient,
            config=self._config,
        )
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

    async def _history(self, message: Recorded, project: str) -> list[Quote]:
        lines = await self._database.read(lambda db: records.history_before(db, project, message, history.MESSAGES))
        return history.quotes_of(lines)

    async def _finish(self, message: Recorded, reply: str | None) -> None:
        if reply is not None:
            await self._outbox.post(
                Draft(
                    key=f"reply:{message.key}",
                    project=message.project,
                    kind="reply",
                    text=reply,
                    answers=message.key,
                    last=True,
                )
            )
        await self._database.write(lambda db: records.mark(db, message.key, "done"))

    async def _say_that_it_waits(self, message: Recorded, error: HeraldError) -> None:
        text = f"Not taken yet: {error.message}. The message is kept and handed over as soon as that is possible."
        key = f"waits:{message.key}"
        await self._outbox.post(Draft(key=key, project=message.project, kind="notice", text=text, answers=message.key))
