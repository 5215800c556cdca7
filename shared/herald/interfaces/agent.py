"""io.herald.Agent: one act in one workspace, as the agent's user. One instance serves one connection."""

from collections.abc import AsyncIterator
from typing import Literal, TypedDict

from asyncvarlink import FileDescriptor

from herald.interfaces.interface import Interface


class Branch(TypedDict):
    """A branch of the project's prefix in the clone."""

    name: str
    head: str


class Prepared(TypedDict):
    """What the clone holds. The pack on the descriptor has what `have` lacks; its size is in bytes."""

    branches: list[Branch]
    pack_bytes: int


class Checked(TypedDict):
    """Which agent would run (a path, `stand-in`, or empty) with which credential (in words, or empty).

    `missing`: sentences on what is missing, each with the next step. `not_held`: sentences on what the sandbox does not
    hold on this machine.
    """

    agent: str
    credential: str
    missing: list[str]
    not_held: list[str]


class Cloned(TypedDict):
    """`created` is false when the clone was there already."""

    created: bool


class Begun(TypedDict):
    """`started`: the run has its locks and goes on, whatever happens to the caller."""

    state: Literal["started", "ended"]


class Discarded(TypedDict):
    """`removed`: the branch is gone; else `reason` says why it was kept."""

    removed: bool
    reason: str


class Agent(Interface, interface="io.herald.Agent"):
    """Acts in a project's workspace. Paths come from the snapshot by project name, never from the caller."""

    async def Check(self) -> Checked:
        """Say whether an agent could run here, and what would hold it. Takes no lock and no place."""
        raise NotImplementedError

    async def Prepare(self, *, project: str, have: list[str], pack: FileDescriptor) -> Prepared:
        """Check the workspace, list the agent's branches and pack what the caller lacks."""
        raise NotImplementedError

    async def Run(
        self,
        *,
        run: str,
        project: str,
        branch: str,
        base: str,
        session: str,
        resume: bool,
        deadline: float,
        title: str,
        prompt: FileDescriptor,
        base_pack: FileDescriptor,
        lock: FileDescriptor,
        result: FileDescriptor,
        pack: FileDescriptor,
        log: FileDescriptor,
        control: FileDescriptor,
        attachments: FileDescriptor,
        bootstrap: bool = False,
    ) -> AsyncIterator[Begun]:
        """Run the agent once. `started` is answered once all locks are held, `ended` when the result is on disk.

        `deadline` is in seconds from now. `base` is the commit to start from; `base_pack` holds what the clone may
        lack of it (may be empty). `attachments` is a tar of regular files, empty if there are none. `bootstrap`: the
        templates that are missing are committed first. All descriptors are regular files of the caller. Busy, Conflict,
        Invalid before `started`; afterwards everything is in the result file.
        """
        raise NotImplementedError
        yield

    async def Clone(self, *, project: str, branch: str, head: str, pack: FileDescriptor) -> Cloned:
        """Make the clone at the project's path: `head` from the pack, checked out as `branch`, with the remote's URL.

        Conflict when something else is there.
        """
        raise NotImplementedError

    async def Discard(self, *, project: str, branch: str, head: str) -> Discarded:
        """Delete a branch of the clone and its worktree, unless it holds commits beyond `head`."""
        raise NotImplementedError
