"""io.herald.Agent: one act in one workspace, as the agent's user. One instance serves one connection."""

from collections.abc import AsyncIterator
from typing import Literal, TypedDict

from asyncvarlink import FileDescriptor

from herald.interfaces.interface import Interface


class Branch(TypedDict):
    """A branch in the clone."""

    name: str
    head: str


class SubmoduleHead(TypedDict):
    """A commit in the repository of a submodule that did not come from Herald."""

    submodule: str
    commit: str


class Prepared(TypedDict):
    """What the clone holds. The pack on the descriptor has what `have` lacks; its size is in bytes.

    `submodules` and `large_files` (whether there are any) are told of an own workspace, when every branch was asked
    for: no branch has them.
    """

    branches: list[Branch]
    pack_bytes: int
    submodules: list[SubmoduleHead]
    large_files: bool


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
    """`removed`: the branch is gone; else `reason` says why it was kept.

    `ignored` counts the files and whole folders that git ignores in an own workspace; they stay."""

    removed: bool
    reason: str
    ignored: int


class Updated(TypedDict):
    """`complete`: `base` is there. `held`: those of `have` that are there with their whole history."""

    complete: bool
    held: list[str]


class Given(TypedDict):
    """The pack on the descriptor has what `have` lacks; its size is in bytes."""

    pack_bytes: int


class Surveyed(TypedDict):
    """What lies in a workspace; `made` is false while an own one has not been made.

    `bytes` on the disk and `files` are all; `untracked` counts files and whole folders that git does not track,
    `uncommitted` the changes of tracked files."""

    made: bool
    bytes: int
    files: int
    untracked: int
    uncommitted: int


class Reset(TypedDict):
    """The workspace is cleared. `set_aside` is the folder under which an own one was kept, empty if it was not."""

    reset: bool
    set_aside: str


class Stashed(TypedDict):
    """`stashed` is false when there was nothing to put aside."""

    stashed: bool


class SubmodulesHeld(TypedDict):
    """Those of the submodules asked for that need nothing, in the same words."""

    held: list[str]


class LargeFilesHeld(TypedDict):
    """Those of the files asked for that the workspace has, by their names."""

    held: list[str]


class LargeFileGot(TypedDict):
    """`held`: the content is on the descriptor, compared with its SHA-256; else `reason` says why not."""

    held: bool
    reason: str


class LargeFilePut(TypedDict):
    """The content was compared with its SHA-256 and is in the workspace."""

    taken: bool


class Agent(Interface, interface="io.herald.Agent"):
    """Acts in a workspace of a project; an empty name stands for the project's first. Paths never come from the caller,
    but from the snapshot."""

    async def Check(self) -> Checked:
        """Say whether an agent could run here, and what would hold it. Takes no lock and no place."""
        raise NotImplementedError

    async def Prepare(
        self,
        *,
        project: str,
        workspace: str,
        have: list[str],
        pack: FileDescriptor,
        every: bool = False,
        also: list[str] | None = None,
    ) -> Prepared:
        """Check the workspace, list the branches below the project's prefix and pack what the caller lacks. `also`
        names further branches; `every`: all that there are."""
        raise NotImplementedError

    async def Update(
        self,
        *,
        project: str,
        workspace: str,
        base: str,
        default_branch: str,
        default_head: str,
        have: list[str],
        pack: FileDescriptor,
    ) -> Updated:
        """Take a pack with what the workspace may lack of `base` (may be empty), and make an own workspace that is not
        there yet. Busy while an agent is at work there."""
        raise NotImplementedError

    async def TakeSubmodule(
        self,
        *,
        project: str,
        workspace: str,
        path: str,
        names: list[str],
        url: str,
        commit: str,
        have: list[str],
        pack: FileDescriptor,
        problem: str = "",
    ) -> Updated:
        """Take a pack with what may be lacking of a submodule's commit (may be empty), so that the next run has it.

        `path` is from the workspace's top on, `names` those of `.gitmodules` from the outermost one on. `problem`: it
        could not be fetched, and why. Busy while an agent is at work there.
        """
        raise NotImplementedError

    async def ListSubmodules(self, *, project: str, workspace: str, wanted: list[str]) -> SubmodulesHeld:
        """Say for which of these, each as `COMMIT PATH`, TakeSubmodule would have nothing to take. Busy while an agent
        is at work there."""
        raise NotImplementedError

    async def GiveSubmodule(
        self, *, project: str, workspace: str, path: str, commit: str, have: list[str], pack: FileDescriptor
    ) -> Given:
        """Pack a commit of a submodule, as a run has left it. NotFound when it is not there."""
        raise NotImplementedError

    async def Survey(self, *, project: str, workspace: str) -> Surveyed:
        """Say how much lies in the workspace."""
        raise NotImplementedError

    async def Reset(self, *, project: str, workspace: str, keep: bool = False) -> Reset:
        """Clear the workspace: an own one is made anew, in a project's folder git cleans and checks out. `keep`: what
        an own one held is set aside, not deleted."""
        raise NotImplementedError

    async def Stash(self, *, project: str, workspace: str) -> Stashed:
        """Put aside what is uncommitted in a project's folder, by `git stash`."""
        raise NotImplementedError

    async def ListLargeFiles(self, *, project: str, workspace: str, oids: list[str]) -> LargeFilesHeld:
        """Say which of these files of git-lfs are in the workspace. Busy while an agent is at work there."""
        raise NotImplementedError

    async def GetLargeFile(
        self, *, project: str, workspace: str, oid: str, size: int, file: FileDescriptor
    ) -> LargeFileGot:
        """Copy a file of git-lfs out of the workspace. Busy while an agent is at work there."""
        raise NotImplementedError

    async def PutLargeFile(
        self, *, project: str, workspace: str, oid: str, size: int, file: FileDescriptor
    ) -> LargeFilePut:
        """Copy a file of git-lfs into the workspace; Invalid when its content is not what its name says."""
        raise NotImplementedError

    async def Run(
        self,
        *,
        run: str,
        project: str,
        workspace: str,
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
        default_branch: str = "",
        default_head: str = "",
    ) -> AsyncIterator[Begun]:
        """Run the agent once. `started` is answered once all locks are held, `ended` when the result is on disk.

        `deadline` is in seconds from now. `base` is the commit to start from; `base_pack` holds what the workspace may
        lack of it (may be empty). `title` is the message of a commit of what the agent leaves uncommitted.
        `attachments` is a tar of regular files, empty if there are none. `bootstrap`: missing templates are committed
        first. All descriptors are regular files of the caller. Busy, Conflict, Invalid before `started`; afterwards
        everything is in the result file.
        """
        raise NotImplementedError
        yield

    async def Clone(self, *, project: str, branch: str, head: str, pack: FileDescriptor) -> Cloned:
        """Make the clone at the project's path: `head` from the pack, checked out as `branch`, with the remote's URL.

        Conflict when something else is there.
        """
        raise NotImplementedError

    async def Discard(self, *, project: str, workspace: str, branch: str, head: str, base: str = "") -> Discarded:
        """Delete a branch, unless it holds commits beyond `head`; an own workspace is then at `base`."""
        raise NotImplementedError
