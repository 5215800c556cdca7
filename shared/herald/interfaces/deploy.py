"""io.herald.Deploy: one start of a project's containers. One instance serves one connection."""

from collections.abc import AsyncIterator
from typing import Literal, TypedDict

from asyncvarlink import FileDescriptor

from herald.interfaces.interface import Interface


class Begun(TypedDict):
    """`started`: it has its locks and goes on, whatever happens to the caller."""

    state: Literal["started", "ended"]


class Deploy(Interface, interface="io.herald.Deploy"):
    """Starts containers. Command, socket and compose file come from the snapshot, never from the caller."""

    async def Start(
        self,
        *,
        deployment: str,
        project: str,
        head: str,
        tree: FileDescriptor,
        lock: FileDescriptor,
        result: FileDescriptor,
        log: FileDescriptor,
    ) -> AsyncIterator[Begun]:
        """Start a project's containers once, from `tree`, a tar of the files of commit `head`.

        `started` is answered once both locks are held, `ended` when the result is on disk. All descriptors are regular
        files of the caller. Busy, Conflict, Invalid before `started`; afterwards everything is in the result file, and
        the end of what the command said in `log`.
        """
        raise NotImplementedError
        yield
