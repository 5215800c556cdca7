"""The worker put together."""

from herald import events, names
from herald.interfaces.worker import Worker
from herald.service import Service
from herald.snapshot import Current
from herald_worker import bundling, posts
from herald_worker.api import WorkerApi
from herald_worker.attachments import Attachments
from herald_worker.carrying import Carrier
from herald_worker.configuration import Watcher
from herald_worker.deploying import Deployer
from herald_worker.intake import Intake
from herald_worker.proposing import Proposer
from herald_worker.readiness import Readied
from herald_worker.resetting import Resetter
from herald_worker.runner import Runner
from herald_worker.schema import MIGRATIONS


async def serve(service: Service) -> None:
    """Open the state, adopt what is going, serve."""
    database = await service.database("worker.sqlite", MIGRATIONS)
    snapshot = Current()
    # The try command prints every STATUS line, for which a look at the duty every few seconds is often enough.
    changed = None if names.mode() == "try" else service.changed
    log = events.EventLog(database, changed)
    outbox = posts.Outbox(database)
    attachments = Attachments(database)
    runner = Runner(database, log, outbox, snapshot, attachments)
    readied = Readied(service.changed)
    watcher = Watcher(database, snapshot, runner, readied)
    proposer = Proposer(database, runner)
    resetter = Resetter(database, runner.preparer)
    bundling.sweep()
    await watcher.begin()

    async def duty() -> str:
        status = await api.GetStatus()
        return status["duty"]

    async def reload() -> None:
        await watcher.reload()

    intake = Intake(database, runner, attachments)
    api = WorkerApi(database, log, outbox, snapshot, runner, intake, proposer, watcher, readied, resetter)
    service.task(attachments.tidy(), "attachments")
    service.task(outbox.deliver(), "outbox")
    service.task(runner.work(), "runner")
    service.task(Carrier(database, snapshot, runner).work(), "votes")
    service.task(Deployer(database, snapshot, runner).work(), "deployments")
    service.task(watcher.watch(), "configuration")
    service.task(runner.preparer.watch(), "workspaces")
    service.task(resetter.tidy(), "kept commits")
    service.duty(duty)
    service.on_reload(reload)
    service.serve(Worker, api)
    service.task(readied.watch(), "readiness")
    if service.once:
        await runner.drain()
        service.stopping.set()
