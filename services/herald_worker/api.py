"""io.herald.Worker as it is served: who may do what, then the queue, the runner, the proposals."""

from collections.abc import AsyncIterator
from typing import Literal

from asyncvarlink import FileDescriptor

from herald import events
from herald.bus import callers, limits
from herald.database import Database
from herald.errors import Conflict, Denied, Invalid
from herald.interfaces import worker
from herald.interfaces.worker import (
    Author,
    Cloned,
    Deployment,
    Enqueued,
    Event,
    ExportedCard,
    Kind,
    Owned,
    Proposal,
    Quote,
    Stashed,
    Status,
    Surveyed,
    Task,
    WorkspaceReset,
)
from herald.people import may, role_of
from herald.snapshot import Current, Project, Role
from herald_worker import bootstrap, bundling, deployments, posts, proposals, settling, tasks
from herald_worker.cloning import Cloner, check_right
from herald_worker.configuration import Watcher
from herald_worker.intake import Intake
from herald_worker.proposing import Proposer
from herald_worker.readiness import Readied
from herald_worker.resetting import Resetter
from herald_worker.runner import Runner

_LONGEST_KEY = 200
_MOST_LISTED = 1000
_MOST_LACKS = 2
_LONGEST_LACK = 200
"""Characters of what is missing, in the status line."""


class WorkerApi(worker.Worker):
    """The worker's methods."""

    def __init__(
        self,
        database: Database,
        log: events.EventLog,
        outbox: posts.Outbox,
        snapshot: Current,
        runner: Runner,
        intake: Intake,
        proposer: Proposer,
        watcher: Watcher,
        readied: Readied,
        resetter: Resetter,
    ) -> None:
        self._database = database
        self._log = log
        self._outbox = outbox
        self._snapshot = snapshot
        self._runner = runner
        self._intake = intake
        self._proposer = proposer
        self._watcher = watcher
        self._readied = readied
        self._resetter = resetter
        self._cloner = Cloner(database, runner.fetcher)

    async def Enqueue(
        self,
        *,
        key: str,
        project: str,
        text: str,
        kind: Kind = "operator",
        author: Author | None = None,
        history: list[Quote] | None = None,
        replies_to: str | None = None,
        attachments: FileDescriptor | None = None,
    ) -> Enqueued:
        _check_key(key)
        found = self._project(project)
        if not found.enabled:
            raise Conflict(f"{project} is disabled; set `enabled: true` in its file")
        speaker = self._speaker(author)
        self._need(speaker, project, "operator", "hand in tasks")
        if len(text.encode("utf-8", "replace")) > limits.PROMPT:
            raise Invalid(f"a task may have {limits.PROMPT} bytes; put long material into a file of the project")
        if not text.strip():
            raise Invalid("the task is empty")
        new = tasks.NewTask(key, project, kind, _clean(text), speaker, [_clean_quote(each) for each in history or []])
        return await self._intake.take(new, attachments, replies_to or "" if found.replies == "steer" else "")

    async def Clone(self, *, project: str, author: Author | None = None) -> Cloned:
        found = self._project(project)
        check_right(self._snapshot.get(), self._speaker(author))
        return await self._cloner.clone(found)

    async def Deploy(self, *, key: str, project: str, author: Author | None = None) -> Deployment:
        _check_key(key)
        found = self._project(project)
        speaker = self._speaker(author)
        self._need(speaker, project, "approver", "deploy")
        if not found.enabled:
            raise Conflict(f"{project} is disabled; set `enabled: true` in its file")
        deployment = await self._database.write(lambda connection: deployments.add(connection, key, project, speaker))
        self._runner.committed()
        return deployment

    async def Bootstrap(self, *, key: str, project: str, author: Author | None = None) -> Enqueued:
        _check_key(key)
        if not self._project(project).enabled:
            raise Conflict(f"{project} is disabled; set `enabled: true` in its file")
        speaker = self._speaker(author)
        self._need(speaker, project, "operator", "hand in tasks")
        new = bootstrap.task(key, project, speaker)
        enqueued = await self._database.write(lambda connection: tasks.enqueue(connection, new))
        self._runner.queued()
        return enqueued

    async def Cancel(
        self,
        *,
        project: str | None = None,
        task: str | None = None,
        running: bool = False,
        author: Author | None = None,
    ) -> Task:
        if project is None and task is None:
            raise Invalid("name a project or a task")
        speaker = self._speaker(author)
        if task is not None:
            project = (await self._database.read(lambda connection: tasks.row_of(connection, task)))["project"]
        elif project is not None:
            self._project(project)
        self._need(speaker, project or "", "operator", "cancel tasks")
        by = speaker["name"]
        if not running:
            cancelled = await self._database.write(
                lambda connection: settling.cancel_queued(connection, project, task, by)
            )
            if cancelled is not None:
                self._runner.committed()
                return cancelled
        return await self._runner.cancel_running(project, task, by)

    async def Vote(
        self,
        *,
        key: str,
        vote: Literal["approve", "reject", "withdraw"],
        proposal: str | None = None,
        project: str | None = None,
        author: Author | None = None,
    ) -> Proposal:
        _check_key(key)
        if proposal is None and project is None:
            raise Invalid("name a proposal or a project")
        speaker = self._speaker(author)
        if proposal is not None:
            row = await self._database.read(lambda connection: proposals.row_of(connection, proposal))
            project = str(row["project"])
        self._need(speaker, project or "", "approver", "vote")
        found = self._snapshot.get().projects.get(project or "")
        problem = found.push_problem if found is not None else ""
        try:
            voted = await self._database.write(
                lambda connection: proposals.vote(connection, key, vote, speaker, proposal, project, problem)
            )
        except proposals.Unpushable as error:
            told = {"project": project or "", "reason": error.message}
            await self._database.write(lambda connection: events.append(connection, "vote.refused", **told))
            self._runner.committed()
            raise
        self._runner.committed()
        return voted

    async def Propose(self, *, key: str, project: str, author: Author | None = None) -> list[Proposal]:
        _check_key(key)
        found = self._project(project)
        self._need(self._speaker(author), project, "operator", "propose")
        return await self._proposer.propose(found)

    async def Survey(self, *, project: str, author: Author | None = None) -> Surveyed:
        found = self._project(project)
        self._need(self._speaker(author), project, "reader", "look into the workspace")
        return await self._resetter.survey(found)

    async def Reset(self, *, key: str, project: str, author: Author | None = None) -> WorkspaceReset:
        _check_key(key)
        found, speaker = self._project(project), self._speaker(author)
        self._need(speaker, project, "approver", "reset the workspace")
        answer = await self._resetter.reset(key, found, speaker)
        self._runner.committed()
        return answer

    async def Stash(self, *, project: str, author: Author | None = None) -> Stashed:
        found = self._project(project)
        self._need(self._speaker(author), project, "approver", "stash changes")
        return await self._resetter.stash(found)

    async def Own(self, *, project: str, author: Author | None = None) -> Owned:
        found = self._project(project)
        self._need(self._speaker(author), project, "approver", "change where the agent works")
        return Owned(changed=await self._resetter.own(found))

    async def ExportCard(self, *, proposal: str, bundle: FileDescriptor, author: Author | None = None) -> ExportedCard:
        row = await self._database.read(lambda connection: proposals.row_of(connection, proposal))
        self._need(self._speaker(author), str(row["project"]), "reader", "read cards")
        return await bundling.export_card(proposals.shown(row), bundle.fileno())

    async def ExportKept(
        self, *, project: str, ref: str, bundle: FileDescriptor, author: Author | None = None
    ) -> ExportedCard:
        self._project(project)
        self._need(self._speaker(author), project, "reader", "read commits")
        return await bundling.export_kept(project, ref, bundle.fileno())

    async def GetTask(self, *, task: str) -> Task:
        return await self._database.read(lambda connection: tasks.shown(tasks.row_of(connection, task)))

    async def ListTasks(self, *, project: str | None = None, ended: bool = False, limit: int = 50) -> list[Task]:
        most = min(max(limit, 1), _MOST_LISTED)
        return await self._database.read(lambda connection: tasks.listing(connection, project, ended, most))

    async def ListProposals(self, *, project: str | None = None, open: bool = True, limit: int = 50) -> list[Proposal]:
        most = min(max(limit, 1), _MOST_LISTED)
        return await self._database.read(lambda connection: proposals.listing(connection, project, open, most))

    async def ListProjects(self) -> list[worker.Project]:
        counts = await self._database.read(tasks.queued_by_project)
        return [
            worker.Project(
                name=each.name,
                display_name=each.display_name,
                path=each.path,
                channel=each.channel,
                enabled=each.enabled,
                queued=counts.get(each.name, 0),
            )
            for each in self._snapshot.get().projects.values()
        ]

    async def GetStatus(self) -> Status:
        snapshot = self._snapshot.get()
        queued = await self._database.read(tasks.count_queued)
        going = await self._database.read(lambda connection: tasks.listing(connection, None, False, 0))
        waiting = await self._database.read(proposals.count_open)
        return Status(
            duty=duty_line(len(snapshot.projects), queued, going, waiting, self._watcher.errors, self._readied.missing),
            queued=queued,
            running=going,
            open_proposals=waiting,
            deployments=await self._database.read(deployments.count_live),
            max_active=snapshot.max_active,
            config_generation=snapshot.generation,
            config_errors=self._watcher.errors,
            gateway_backlog=await self._outbox.backlog(),
            missing=self._readied.missing,
            not_held=self._readied.not_held,
        )

    async def CheckAgent(self) -> worker.Readiness:
        return await self._readied.check()

    async def ListEvents(self, *, since: int, limit: int = 500) -> list[Event]:
        return [Event(**row) for row in await self._log.after(since, min(max(limit, 1), _MOST_LISTED))]

    async def Watch(self, *, since: int) -> AsyncIterator[Event]:
        async for row in self._log.follow(since):
            yield Event(**row)

    def _project(self, name: str) -> Project:
        return self._snapshot.get().project(name)

    def _speaker(self, author: Author | None) -> Author:
        """Who speaks: the caller, or for the gateway whom it heard. Raises Denied."""
        caller = callers.current()
        if author is None:
            return Author(id=caller.author, name=caller.name)
        if not caller.speaks_for_others:
            raise Denied("only the gateway may speak for others")
        return author

    def _need(self, author: Author, project: str, role: Role, act: str) -> None:
        """Raise Denied unless the author has that role in the project."""
        if author["id"].startswith("herald:"):
            return  # a service within its row of the table
        has = role_of(self._snapshot.get(), author["id"], project)
        if not may(has, role):
            needed = f"that needs the role {role} (`operators` in herald.yaml)"
            raise Denied(f"{author['name']} may not {act} in {project}: {needed}")


def duty_line(
    projects: int, queued: int, going: list[Task], waiting: int, errors: list[str], missing: list[str]
) -> str:
    """What the worker does, and what it lacks, in one line."""
    if errors:
        return f"configuration broken, last good one in force: {errors[0]}"
    if projects:
        parts = [f"running {each['project']} (task {each['id']})" for each in going] or ["idle"]
        parts += [f"{queued} queued"] if queued else []
        parts += [f"{waiting} waiting for a vote"] if waiting else []
    else:
        parts = ["no project is configured yet: add one below projects/ of the configuration"]
    lacks = [each.rstrip(".")[:_LONGEST_LACK] for each in missing[:_MOST_LACKS]]
    lacks += [f"{len(missing) - _MOST_LACKS} more in `heraldctl status`"] if len(missing) > _MOST_LACKS else []
    return "; ".join([", ".join(parts), *lacks])


def _check_key(key: str) -> None:
    if not key or len(key) > _LONGEST_KEY or not key.isprintable():
        raise Invalid(f"a key has 1 to {_LONGEST_KEY} printable characters")


def _clean(text: str) -> str:
    """Valid UTF-8: what cannot be encoded becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _clean_quote(quote: Quote) -> Quote:
    return Quote(author=_clean(quote["author"]), text=_clean(quote["text"]), at=_clean(quote["at"]))
