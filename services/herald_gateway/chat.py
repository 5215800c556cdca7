"""What a chat is to the gateway, whichever it is: the terminal today, others behind the same interface.

Messages come in through an `Inbox`. Posts go out by the log: it is durable before a chat hears of it, and each
reader of it (a follower of the terminal, a connection to a chat server) keeps its own cursor. A post carries what
any chat needs: the channel's project, the identity to post under, the file to attach, and a key and a revision by
which a later revision edits the earlier post.
"""

from typing import NamedTuple, Protocol

from herald.interfaces.gateway import Progress, Said


class Origin(NamedTuple):
    """Where in Discord something was said. `channel` is the thread when it was in one, `parent` then its channel.

    `message` is empty for a slash command; `interaction` is its id, empty for everything else.
    """

    guild: str
    channel: str
    parent: str
    message: str
    interaction: str = ""


class Message(NamedTuple):
    """What a person said in a channel. A reaction is a message whose text is the emoji alone.

    `key` is the chat's own id of it, so the same message found twice is taken once. `project` is the channel's,
    empty in the system channel. `author` is the person's id (`unix:NAME`, `discord:ID`), `name` is for people only.
    `proposal` is what a vote is on, empty: the newest; `withdrawn`: it is taken back. `replies_to` is the task whose
    message was replied to. `attachments` is the path of a tar of them. `refusal`: why it is not acted on, to be said.
    """

    key: str
    project: str
    author: str
    name: str
    text: str
    origin: Origin | None = None
    proposal: str = ""
    withdrawn: bool = False
    replies_to: str = ""
    attachments: str = ""
    refusal: str = ""


class Inbox(Protocol):
    """Where a chat hands in what people say."""

    async def take(self, message: Message) -> Said:
        """Record the message, then act on it; answered when it is on disk and, if that is soon, acted on."""


class Chat(Protocol):
    """Where posts appear."""

    name: str

    def posted(self) -> None:
        """The log of posts has grown."""

    def progressed(self, progress: Progress) -> None:
        """A task is doing this now: shown until the next one or the answer, never kept."""


class Presence(Protocol):
    """A connection to a chat server, as the status shows it."""

    @property
    def connection(self) -> str:
        """How it stands, in words: `connected`, or what is wrong and what to do. Names a server that is not usual."""

    @property
    def latency(self) -> float:
        """Seconds to the server and back; negative without a connection."""

    async def backlog(self) -> int:
        """How many posts the server does not have yet."""
