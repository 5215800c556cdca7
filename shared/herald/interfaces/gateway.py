"""io.herald.Gateway: the chat. Messages in; posts, edits, files out."""

from collections.abc import AsyncIterator
from typing import Literal, TypedDict

from asyncvarlink import FileDescriptor

from herald.interfaces.interface import Interface

PostKind = Literal["answer", "card", "notice", "reply"]
"""answer: what an agent said; card: a proposal; notice: Herald on its own; reply: the answer to a command or a vote."""


class Said(TypedDict):
    """What became of a message. `kind` is what it was taken for; `message` is what posts refer to in `answers`."""

    message: str
    kind: Literal["task", "command", "vote", "ignored"]


class PostEntry(TypedDict):
    """One post. An `edit` of an earlier post repeats its key with a new revision. `answers` names the message
    that this post answers; `last` says that nothing further will answer it. `file` is a path, empty without one.

    `task` is what it tells of, `ends` the line with which the task's progress ends (empty: it goes on). `proposal` is
    that of a card, `votable` whether it can be voted on."""

    id: int
    key: str
    revision: int
    project: str
    kind: PostKind
    identity: str
    text: str
    file: str
    answers: str
    last: bool
    at: str
    task: str
    ends: str
    proposal: str
    votable: bool


class Progress(TypedDict):
    """What a task is doing now; not kept. `answers` is the message that asked for it, `tokens` and `cost_usd` what it
    has used so far."""

    project: str
    task: str
    text: str
    answers: str
    started_at: str
    tokens: int
    cost_usd: float


class Watched(TypedDict):
    """A post from the durable log, or progress that is not kept: exactly one of them is set."""

    post: PostEntry | None
    progress: Progress | None


class Status(TypedDict):
    """What the gateway is doing. `duty` is one line for people; `outbox` counts the posts that Discord does not have
    yet; `latency` is that of the connection to Discord in seconds, negative without one."""

    duty: str
    chat: str
    posts: int
    messages: int
    connection: str
    latency: float
    outbox: int


class Finding(TypedDict):
    """Something that Herald lacks in Discord. `place` is the application, a server or a channel; `remedy` says where
    it is given."""

    place: str
    problem: str
    remedy: str


class Checked(TypedDict):
    """As whom Herald is connected, which servers and channels were looked at, and what is missing."""

    bot: str
    places: list[str]
    findings: list[Finding]


class Gateway(Interface, interface="io.herald.Gateway"):
    """The chat behind one interface: Discord when there is a token, and the terminal for whoever follows it."""

    async def Say(self, *, key: str, project: str, text: str) -> Said:
        """A person's message in a project's channel. Answered when it is on disk and taken; same key twice: once."""
        raise NotImplementedError

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
        """Post in a project's channel (empty project: the system channel); answered when it is on disk.

        Same key and revision twice is one post; a higher revision edits it. `file` is read to its end, at most 25 MB.
        `actions` are commands without their exclamation mark (`stash demo`), offered as buttons where a chat has them.
        """
        raise NotImplementedError

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
        """Show what a task is doing; replaced by the next one, not kept."""
        raise NotImplementedError

    async def ListPosts(self, *, project: str | None = None, since: int = 0, limit: int = 50) -> list[PostEntry]:
        """Posts with an id above `since`, oldest first."""
        raise NotImplementedError

    async def GetStatus(self) -> Status:
        """What the gateway is doing now."""
        raise NotImplementedError

    async def CheckDiscord(self) -> Checked:
        """Ask Discord which intents and permissions Herald lacks. Unavailable when it does not answer."""
        raise NotImplementedError

    async def Watch(self, *, since: int) -> AsyncIterator[Watched]:
        """Posts with an id above `since`, then every new one and all progress, without end. -1: only new ones."""
        raise NotImplementedError
        yield
