"""io.herald.Gateway as it is served: the terminal's end of the chat, and where other parts post."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from typing import Protocol

from asyncvarlink import FileDescriptor

from herald.bus import callers
from herald.database import Database
from herald.errors import Invalid, Unavailable
from herald.interfaces.gateway import Checked, Gateway, PostEntry, PostKind, Progress, Said, Status, Watched
from herald.snapshot import Current
from herald_gateway import records
from herald_gateway.chat import Inbox, Message, Presence
from herald_gateway.operations import NO_DISCORD
from herald_gateway.outbox import Draft, Outbox
from herald_gateway.terminal import Terminal

_MOST_BYTES = 25 << 20
_LONGEST_KEY = 300


class Discord(Presence, Protocol):
    """The connection to Discord, as the interface shows it."""

    async def check(self) -> Checked:
        """What Herald lacks there. Raises Unavailable without a connection."""


class GatewayService(Gateway):
    """The methods of the interface."""

    def __init__(
        self,
        database: Database,
        snapshot: Current,
        inbox: Inbox,
        outbox: Outbox,
        terminal: Terminal,
        discord: Discord | None = None,
    ) -> None:
        self._discord = discord
        self._database = database
        self._snapshot = snapshot
        self._inbox = inbox
        self._outbox = outbox
        self._terminal = terminal

    async def Say(self, *, key: str, project: str, text: str) -> Said:
        caller = callers.current()
        if project:
            self._snapshot.get().project(project)  # there is no channel of a project that is not there
        return await self._inbox.take(Message(key, project, caller.author, caller.name, text))

    async def Post(
        self,
        *,
        key: str,
        project: str,
        kind: PostKind,
        text: str,
        revision: int = 0,
        identity: str | None = None,
        answers: str | None = None,
        last: bool = False,
        file_name: str | None = None,
        file: FileDescriptor | None = None,
        task: str | None = None,
        ends: str | None = None,
        proposal: str | None = None,
        votable: bool = False,
        actions: list[str] | None = None,
    ) -> None:
        if not 0 < len(key) <= _LONGEST_KEY:
            raise Invalid(f"the key of a post has 1 to {_LONGEST_KEY} characters")
        draft = Draft(
            key=key,
            project=project,
            kind=kind,
            text=text,
            revision=revision,
            identity=identity or "",
            answers=answers or "",
            last=last,
            file_name=file_name or "",
            content=None if file is None else await _content_of(file),
            task=task or "",
            ends=ends or "",
            proposal=proposal or "",
            votable=votable,
            actions=tuple(actions or ()),
        )
        await self._outbox.post(draft)

    async def ShowProgress(
        self,
        *,
        project: str,
        task: str,
        text: str,
        answers: str = "",
        started_at: str = "",
        tokens: int = 0,
        cost_usd: float = 0.0,
    ) -> None:
        self._outbox.progress(
            Progress(
                project=project,
                task=task,
                text=text,
                answers=answers,
                started_at=started_at,
                tokens=tokens,
                cost_usd=cost_usd,
            )
        )

    async def ListPosts(self, *, project: str | None = None, since: int = 0, limit: int = 50) -> list[PostEntry]:
        return await self._outbox.after(since, limit, project)

    async def GetStatus(self) -> Status:
        waiting = await self._database.read(records.waiting)
        discord = self._discord
        backlog = await discord.backlog() if discord else 0
        return Status(
            duty=describe(self._terminal.name, waiting, discord, backlog),
            chat=self._terminal.name if discord is None else "discord",
            posts=waiting.posts,
            messages=waiting.messages,
            connection=discord.connection if discord else "",
            latency=discord.latency if discord else -1.0,
            outbox=backlog,
        )

    async def CheckDiscord(self) -> Checked:
        if self._discord is None:
            raise Unavailable(NO_DISCORD)
        return await self._discord.check()

    async def Watch(self, *, since: int) -> AsyncIterator[Watched]:
        async for watched in self._terminal.follow(since):
            yield watched


def describe(chat: str, waiting: records.Waiting, discord: Presence | None = None, backlog: int = 0) -> str:
    """The status line: `terminal chat, 12 posts, 2 messages waiting for the worker`; with Discord, how that stands:
    `Discord connected, 45 ms, outbox 3, 12 posts`."""
    parts = [f"{chat} chat"]
    if discord is not None:
        parts = [f"Discord {discord.connection}"]
        parts += [f"{discord.latency * 1000:.0f} ms"] if discord.latency >= 0 else []
        parts.append(f"outbox {backlog}")
    parts.append(f"{waiting.posts} post{'' if waiting.posts == 1 else 's'}")
    if waiting.messages:
        plural = "" if waiting.messages == 1 else "s"
        parts.append(f"{waiting.messages} message{plural} waiting for the worker since {waiting.oldest[11:19]} UTC")
    return ", ".join(parts)


async def _content_of(file: FileDescriptor) -> str:
    """The text of a passed file, read outside the loop. Raises Invalid."""
    descriptor = os.dup(file.fileno())  # the thread may outlive a cancelled call, which closes its descriptors
    try:
        data = await asyncio.to_thread(_read_and_close, descriptor)
    except (OSError, ValueError) as error:
        raise Invalid(f"the file cannot be posted: {error}") from error
    text = data[:_MOST_BYTES].decode(errors="replace")
    return text if len(data) <= _MOST_BYTES else f"{text}\n[cut here, after {_MOST_BYTES >> 20} MB]"


def _read_and_close(descriptor: int) -> bytes:
    """A regular file from its start, to one byte beyond the limit."""
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        file.seek(0)
        return file.read(_MOST_BYTES + 1)
