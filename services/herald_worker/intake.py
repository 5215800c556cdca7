"""How a task comes in: what it brings along first, then the queue or the agent at work, then whoever has to know."""

from asyncvarlink import FileDescriptor

from herald import journal
from herald.database import Database
from herald.interfaces.worker import Enqueued
from herald_worker import steering
from herald_worker.attachments import Attachments
from herald_worker.runner import Runner
from herald_worker.tasks import NewTask


class Intake:
    """Takes tasks in; everything about one is on the disk before it is answered."""

    def __init__(self, database: Database, runner: Runner, attachments: Attachments) -> None:
        self._database = database
        self._runner = runner
        self._attachments = attachments

    async def take(self, new: NewTask, attachments: FileDescriptor | None = None, replies_to: str = "") -> Enqueued:
        """Queue a task, once for each key, or hand it to the agent at work on `replies_to`. Raises HeraldError.

        What brings files along is a task of its own: a run gets its files at its start.
        """
        if attachments is not None and (name := await self._attachments.keep(attachments.fileno())):
            try:
                accepted = await self._accept(new._replace(attachments=name), "")
            finally:
                self._attachments.settled(name)
        else:
            accepted = await self._accept(new, replies_to)
        enqueued = accepted.enqueued
        if accepted.run and not await self._runner.steering.hand_on(accepted.run):
            # The run has been settled meanwhile, and this was made a task with it.
            enqueued = Enqueued(**{**(await self._accept(new, "")).enqueued, "created": True})
        journal.debug("enqueued", project=new.project, task=enqueued["task"])
        self._runner.queued()
        return enqueued

    async def _accept(self, new: NewTask, replies_to: str) -> steering.Accepted:
        return await self._database.write(lambda connection: steering.accept(connection, new, replies_to))
