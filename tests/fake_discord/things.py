"""What the client hands out."""

from typing import Any, NamedTuple


class File(NamedTuple):
    id: str
    name: str
    size: int
    url: str


class Message(NamedTuple):
    """A message as the ledger has it. `kind` is Discord's type, `only_for` the one user who sees an ephemeral one."""

    id: str
    channel: str
    author: str
    name: str
    bot: bool
    avatar: str
    content: str
    kind: int
    webhook: str
    embeds: list[dict[str, Any]]
    buttons: list[dict[str, Any]]
    files: list[File]
    reactions: dict[str, list[str]]
    """emoji to the ids of its users"""
    notified: list[str]
    """who was pinged: ids of users and roles, `everyone`"""
    only_for: str
    reply_to: str
    nonce: str
    edited: bool
    flags: int
    thread: str

    @property
    def text(self) -> str:
        """All that is to be read in it but its files."""
        embeds = [f"{each.get('title') or ''}\n{each.get('description') or ''}" for each in self.embeds]
        return "\n".join([self.content, *embeds]).strip()

    @property
    def button_ids(self) -> list[str]:
        return [each["custom_id"] for each in self.buttons if each.get("custom_id") and not each.get("disabled")]


class Request(NamedTuple):
    """A REST request of the bot. `status` 0: not answered yet, or its connection was reset."""

    seq: int
    at: float
    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    files: list[dict[str, Any]]
    status: int
    answer: str
    authorization: str


class Change(NamedTuple):
    """Something that happened. `kind` is message, reaction, request, answer, event, gateway, channel, webhook,
    interaction, typing, commands or download."""

    seq: int
    at: float
    kind: str
    what: dict[str, Any]


class Interaction(NamedTuple):
    """How an interaction was answered. `acked` is the callback's type, 0: not yet; `original` its message."""

    id: str
    token: str
    acked: int
    ephemeral: bool
    original: str
    choices: list[dict[str, Any]] | None
    followups: list[str]


class Webhook(NamedTuple):
    """`application` empty: a person made it."""

    id: str
    token: str
    channel: str
    name: str
    application: str
    avatar: str


class Gateway(NamedTuple):
    """`ready`: connections with a session. `sent`: the types of all events of each session that can be resumed."""

    connections: int
    identifies: int
    resumes: int
    ready: int
    sent: list[list[str]]


def message(told: dict[str, Any]) -> Message:
    return Message(**{**told, "files": [File(**each) for each in told["files"]]})


def webhook(told: dict[str, Any]) -> Webhook:
    return Webhook(
        told["id"], told["token"], told["channel_id"], told["name"], told["application_id"] or "", told["avatar"] or ""
    )


def change(told: dict[str, Any]) -> Change:
    what = {key: value for key, value in told.items() if key not in ("seq", "at", "kind")}
    return Change(told["seq"], told["at"], told["kind"], what)
