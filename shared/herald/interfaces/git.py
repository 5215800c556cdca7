"""io.herald.Git: one act with the remote, holding the remote's key. One instance serves one connection."""

from typing import Literal, TypedDict

from asyncvarlink import FileDescriptor

from herald.interfaces.interface import Interface


class Fetched(TypedDict):
    """The remote's default branch and its head; the pack on the descriptor has what `have` lacks.

    `in_the_way` is a branch at the place of pushes that keeps branches under the project's prefix from being made, and
    `warning` says why a push would fail otherwise (a key that may not write); both are empty when nothing is known to
    be wrong. `warning_since` changes when the warning is a new one.
    """

    branch: str
    head: str
    pack_bytes: int
    in_the_way: str
    warning: str
    warning_since: str


class FetchedSubmodule(TypedDict):
    """Where the submodule comes from, its names in `.gitmodules` from the outermost one on; the pack on the descriptor
    has what `have` lacks."""

    url: str
    names: list[str]
    pack_bytes: int


class CheckedSubmodule(TypedDict):
    """Whether a branch or tag of the submodule's remote has the commit."""

    url: str
    has: bool


class PushBranches(TypedDict):
    """The heads of the branches at the push URL."""

    heads: list[str]


class PushResult(TypedDict):
    """`refused`: the remote said no (`reason` has its words)."""

    outcome: Literal["pushed", "moved", "refused"]
    reason: str


class PushedBranch(TypedDict):
    """`moved`: the remote's branch is neither absent nor where it was expected, but at `found`; `refused`: the remote
    said no (`reason` has its words)."""

    outcome: Literal["pushed", "moved", "refused"]
    reason: str
    found: str


class LargeFileFetched(TypedDict):
    """The content is on the descriptor; the caller compares it with its SHA-256."""

    fetched: bool


class Git(Interface, interface="io.herald.Git"):
    """Clone, fetch and push. The remote's URL comes from the snapshot by project name, never from the caller."""

    async def Fetch(self, *, project: str, have: list[str], pack: FileDescriptor) -> Fetched:
        """Fetch the remote's branches (cloning at the first time) and pack the default branch's head.

        Unavailable when the remote does not answer, Conflict when it has no branch yet, Failed with the next step
        when it refuses the key.
        """
        raise NotImplementedError

    async def FetchSubmodule(
        self, *, project: str, path: list[str], commit: str, have: list[str], pack: FileDescriptor
    ) -> FetchedSubmodule:
        """Fetch a submodule and pack one of its commits. `path` names it, after those around it.

        Its address is that of the default branch, after a Fetch of the project. Conflict when it is not accepted, or
        when the remote does not have the commit.
        """
        raise NotImplementedError

    async def CheckSubmodule(self, *, project: str, path: list[str], commit: str) -> CheckedSubmodule:
        """Ask a submodule's remote for a commit. Conflict when its address is not accepted."""
        raise NotImplementedError

    async def ListPushBranches(self, *, project: str, head: str) -> PushBranches:
        """What the branches are where the project is pushed to; `head` is what is to be pushed there. Unavailable when
        the remote does not answer, Conflict when the project cannot be pushed."""
        raise NotImplementedError

    async def Push(self, *, project: str, branch: str, head: str, expected: str) -> PushedBranch:
        """Push exactly `head` to `branch`, if the remote's branch is absent, at `expected`, or at `head` already.

        Commits of submodules that their remotes lack go first where the project says so; else `refused`.
        Unavailable when the remote does not answer: the same call may be made again.
        """
        raise NotImplementedError

    async def FetchLargeFile(self, *, project: str, oid: str, size: int, file: FileDescriptor) -> LargeFileFetched:
        """Fetch one file of git-lfs. Unavailable when the server does not answer, NotFound when it has no such file."""
        raise NotImplementedError

    async def PushLargeFiles(self, *, project: str, head: str, files: list[str]) -> PushResult:
        """Have the remote take the files of git-lfs that `head` needs, each as `SHA-256 SIZE`; the worker keeps
        what it has of them. `refused` when one is nowhere. Unavailable when the server does not answer."""
        raise NotImplementedError
