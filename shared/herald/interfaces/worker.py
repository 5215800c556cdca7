"""io.herald.Worker: the queue, the runs, the proposals."""

from collections.abc import AsyncIterator
from typing import Literal, TypedDict

from asyncvarlink import FileDescriptor

from herald.interfaces.interface import Interface

Kind = Literal["operator", "tick", "schedule", "autonomy"]
"""Where a task comes from, in the order in which kinds are served."""

TaskState = Literal["queued", "starting", "running", "done", "failed", "blocked", "cancelled", "parked"]

ProposalState = Literal[
    "open", "approved", "pushing", "pushed", "refused", "rejected", "discarded", "void", "expired", "superseded"
]


class Author(TypedDict):
    """Who said it. `id` is `unix:NAME`, `discord:ID` or `herald:SERVICE`; `name` is for people only."""

    id: str
    name: str


class Quote(TypedDict):
    """One line of channel history, oldest first."""

    author: str
    text: str
    at: str


class Enqueued(TypedDict):
    """`created` is false when the key was known already; `ahead` counts the tasks served before this one.

    `steered`: it became no task of its own but reached the running agent of `task`."""

    task: str
    created: bool
    ahead: int
    steered: bool


class Task(TypedDict):
    """One task; `text` is cut at 200 characters. `kind_of_failure` is empty unless it failed."""

    id: str
    key: str
    project: str
    kind: Kind
    state: TaskState
    text: str
    author: Author
    attempt: int
    created_at: str
    not_before: str | None
    started_at: str | None
    ended_at: str | None
    kind_of_failure: str
    summary: str


class Proposal(TypedDict):
    """Commits that wait for a vote, or what became of them. `head` is the hash that is voted on."""

    id: str
    project: str
    task: str
    branch: str
    base: str
    head: str
    commits: int
    summary: str
    state: ProposalState
    reason: str
    created_at: str


class Status(TypedDict):
    """What the worker is doing. `duty` is one line for people. `deployments` counts those that wait or go on.

    `missing`: what the agent lacks to work, each with the next step; `not_held`: what of its sandbox does not hold."""

    duty: str
    queued: int
    running: list[Task]
    open_proposals: int
    deployments: int
    max_active: int
    config_generation: int
    config_errors: list[str]
    gateway_backlog: int
    missing: list[str]
    not_held: list[str]


class Readiness(TypedDict):
    """Which agent would run with which credential, and the rest as in `Status`."""

    agent: str
    credential: str
    missing: list[str]
    not_held: list[str]


class Project(TypedDict):
    """A configured project as the worker sees it."""

    name: str
    display_name: str
    path: str
    channel: str
    enabled: bool
    queued: int


class Cloned(TypedDict):
    """Where a project's clone is, and the remote's default branch; `created` is false when it was there already."""

    path: str
    branch: str
    head: str
    created: bool


DeploymentState = Literal["waiting", "deploying", "deployed", "failed", "nothing", "unknown"]
"""nothing: there is no compose file; unknown: Herald or the machine was stopped in the middle of it."""


class Deployment(TypedDict):
    """One start of a project's containers, at a commit."""

    id: str
    project: str
    head: str
    state: DeploymentState
    reason: str
    created_at: str


class UnpushedBranch(TypedDict):
    """A branch of a workspace with commits that no remote has. `commits` is -1 where they cannot be counted;
    `proposal` is the open card of its head, empty without one."""

    branch: str
    head: str
    commits: int
    proposal: str


class Surveyed(TypedDict):
    """What lies in a project's workspace. `folder` is the project's folder, empty for a clone of Herald's own; `made`
    is false while that has not been made.

    `bytes` and `files` are all, `untracked` what git does not track, ignored files included, `uncommitted` changes of
    tracked files. `problem`: why it could not be looked at as a whole; the numbers are then 0. `unkept` are sentences
    about what nobody could bring back, so that a reset renames the workspace instead of deleting it."""

    project: str
    folder: str
    made: bool
    bytes: int
    files: int
    untracked: int
    uncommitted: int
    branches: list[UnpushedBranch]
    problem: str
    unkept: list[str]


class KeptBranch(TypedDict):
    """Commits that a reset kept: as `ref` of the mirror, or, where git's check refused them, in a bundle (`file`)."""

    branch: str
    head: str
    ref: str
    file: str


class WorkspaceReset(TypedDict):
    """What a reset kept. `set_aside` is the folder of a workspace that was kept as a whole, because something in it
    could not be read or kept otherwise;
    `notes` are sentences about what went otherwise than usual."""

    project: str
    kept: list[KeptBranch]
    set_aside: str
    notes: list[str]


class Stashed(TypedDict):
    """`stashed` is false when there was nothing to stash."""

    stashed: bool


class ExportedCard(TypedDict):
    """A bundle holds `head` as `ref`, without the history of `base`, which its reader must have."""

    project: str
    branch: str
    head: str
    base: str
    ref: str


class Event(TypedDict):
    """One row of the event log. `data` is a JSON object as text."""

    id: int
    at: str
    kind: str
    project: str
    task: str
    run: str
    data: str


class Worker(Interface, interface="io.herald.Worker"):
    """The durable queue, the runs and the proposals."""

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
        """Put a task into the queue; answered when it is on disk. The same key twice is one task.

        `author` may be given by the gateway only; for anyone else it is the caller. `replies_to` is a task: while it
        runs and its project says `replies: steer`, the text reaches its agent instead. `attachments` is a tar of
        regular files, at most 10 of 10 MB each, which the agent can read and not change.
        """
        raise NotImplementedError

    async def Bootstrap(self, *, key: str, project: str, author: Author | None = None) -> Enqueued:
        """Queue the first run of a new project: the templates are committed on its branch, the agent introduces
        itself. The same key twice is one task."""
        raise NotImplementedError

    async def Clone(self, *, project: str, author: Author | None = None) -> Cloned:
        """Clone the project's remote to its path, as the agent's user; what is there already stays as it is.

        Conflict when something else is at the path, Failed with the next step when the remote refuses.
        """
        raise NotImplementedError

    async def Deploy(self, *, key: str, project: str, author: Author | None = None) -> Deployment:
        """Start the project's containers from the commit that was pushed last, before the first push from the
        remote's default branch. Recorded on disk, then answered; its output is posted. The same key twice is one."""
        raise NotImplementedError

    async def Cancel(
        self,
        *,
        project: str | None = None,
        task: str | None = None,
        running: bool = False,
        author: Author | None = None,
    ) -> Task:
        """Cancel one task: by id, else the oldest queued one of the project, or with `running` its running one."""
        raise NotImplementedError

    async def Vote(
        self,
        *,
        key: str,
        vote: Literal["approve", "reject", "withdraw"],
        proposal: str | None = None,
        project: str | None = None,
        author: Author | None = None,
    ) -> Proposal:
        """Vote on a proposal: by id, else the newest open one of the project. Recorded on disk, then answered.

        The push or the discard follows by itself. The same key twice is one vote.
        """
        raise NotImplementedError

    async def Propose(self, *, key: str, project: str, author: Author | None = None) -> list[Proposal]:
        """Look for branches of agents in the project's clone that nobody proposed, and propose them."""
        raise NotImplementedError

    async def Survey(self, *, project: str, author: Author | None = None) -> Surveyed:
        """Say how much lies in the project's workspace, and which of its branches are not pushed. Busy while a task
        runs there."""
        raise NotImplementedError

    async def Reset(self, *, key: str, project: str, author: Author | None = None) -> WorkspaceReset:
        """Clear the project's workspace: a clone of Herald's own is made anew, a project's folder is cleaned by git.

        Unpushed commits of any branch are kept for 30 days, open cards can still be voted on; uncommitted changes and
        ignored files are deleted, unless the workspace has what cannot be kept otherwise and is renamed. Busy while a
        task runs there. The same key twice is one reset.
        """
        raise NotImplementedError

    async def Stash(self, *, project: str, author: Author | None = None) -> Stashed:
        """Run `git stash` in the project's folder. Busy while a task runs there, Conflict for a clone of Herald's
        own."""
        raise NotImplementedError

    async def ExportCard(self, *, proposal: str, bundle: FileDescriptor, author: Author | None = None) -> ExportedCard:
        """Write a card's commits as a git bundle into a regular file."""
        raise NotImplementedError

    async def ExportKept(
        self, *, project: str, ref: str, bundle: FileDescriptor, author: Author | None = None
    ) -> ExportedCard:
        """The same for commits that a reset kept, by their `ref`."""
        raise NotImplementedError

    async def GetTask(self, *, task: str) -> Task:
        """One task by id."""
        raise NotImplementedError

    async def ListTasks(self, *, project: str | None = None, ended: bool = False, limit: int = 50) -> list[Task]:
        """Tasks that are queued or going, in the order in which they will be served; with `ended` the newest ended."""
        raise NotImplementedError

    async def ListProposals(self, *, project: str | None = None, open: bool = True, limit: int = 50) -> list[Proposal]:
        """Proposals, newest first."""
        raise NotImplementedError

    async def ListProjects(self) -> list[Project]:
        """The projects of the snapshot in force."""
        raise NotImplementedError

    async def GetStatus(self) -> Status:
        """What the worker is doing now."""
        raise NotImplementedError

    async def CheckAgent(self) -> Readiness:
        """Ask the agent's unit now, for example after a login. Unavailable or Busy when it does not answer."""
        raise NotImplementedError

    async def ListEvents(self, *, since: int, limit: int = 500) -> list[Event]:
        """Events with an id above `since`, oldest first."""
        raise NotImplementedError

    async def Watch(self, *, since: int) -> AsyncIterator[Event]:
        """Events with an id above `since`, then every new one, without end. -1: only new ones."""
        raise NotImplementedError
        yield
