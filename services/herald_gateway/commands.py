"""What a command is: its parameters, the right it needs, its effect, and what a handler works with.

A command is described once, in `operations.TABLE`; its form, its help line, the way it is read and the slash
command all come from that row.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from herald.interfaces.config import Config
from herald.interfaces.worker import Author, Quote, Worker
from herald.snapshot import Role, Snapshot
from herald_gateway.chat import Origin

Effect = Literal["none", "once", "keyed"]
"""What carrying it out does: nothing; something that must not be done again after an interruption; something that
carries the message's key or sees what is done already, so that it is handed over until it is taken."""

ParameterKind = Literal[
    "project", "filter", "name", "word", "channel", "choice", "number", "cron", "command", "text", "flag", "option",
    "attachment",
]  # fmt: skip
"""`project` is that of the channel where it is left out, unless the command takes a `text`; `filter` likewise, and
may be left out elsewhere too. `name` is that of a project which is not there yet. `text` takes the rest of the
message as it is, `cron` what is left. `flag` is written with two dashes, anywhere; `option` too, with a number after
it. `channel` is `#name` or a mention, anywhere. An `attachment` is no part of the text."""


class Parameter(NamedTuple):
    """One parameter of a command; `help` is for the slash command."""

    name: str
    kind: ParameterKind
    help: str
    required: bool = False
    choices: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """How it is shown in a command's form; empty for what is not written."""
        match self.kind:
            case "attachment":
                return ""
            case "flag":
                return f"[--{self.name}]"
            case "option":
                return f"[--{self.name} N]"
            case "channel":
                return f"[#{self.name}]"
        shown = "|".join(self.choices) or self.name
        return f"<{shown}>" if self.required else f"[{shown}]"


class Given(NamedTuple):
    """The arguments of one command. `project` is that of the channel where it was left out; it may be empty.
    `text` is that of a `text` or `cron`; `values` holds the other parameters that were given."""

    project: str
    text: str
    flags: frozenset[str]
    values: Mapping[str, str] = MappingProxyType({})


class Additions(Protocol):
    """What knows how a project comes into Discord; there is none without a connection to it."""

    async def add(self, asked: "Asked", name: str, url: str, agent_name: str, channel: str) -> str:
        """Add a project, or go on where adding it stopped; `channel` is `#name`, an id, or empty for a new one."""

    async def webhook(self, asked: "Asked", project: str) -> str:
        """Make or update the agent's webhook."""


class Asked(NamedTuple):
    """A command as somebody gave it, and what a handler works with; `patient` is the worker for what takes minutes.

    `channel` is the project of the channel it was given in. `attachments` is the path of a tar of what came with it,
    `replies_to` the task whose message it answers; both are empty without. `projects` is None without Discord.
    """

    key: str
    author: Author
    given: Given
    history: Callable[[str], Awaitable[list[Quote]]]
    worker: Worker
    patient: Worker
    config: Config
    snapshot: Snapshot
    channel: str = ""
    origin: Origin | None = None
    attachments: str = ""
    replies_to: str = ""
    projects: Additions | None = None


class Reply(NamedTuple):
    """A reply that is more than its text. `last` is false where the worker's posts answer, too; `actions` are commands
    that it offers as buttons."""

    text: str
    last: bool = False
    actions: tuple[str, ...] = ()


class Command(NamedTuple):
    """One row of the table. The handler returns the reply, or None when the worker's posts answer.

    `everywhere`: the right must hold for all projects. `check` says what is wrong with arguments that are complete.
    """

    name: str
    parameters: tuple[Parameter, ...]
    help: str
    right: Role
    effect: Effect
    handler: Callable[[Asked], Awaitable[str | Reply | None]]
    everywhere: bool = False
    check: Callable[[Given], str] = lambda _: ""

    @property
    def form(self) -> str:
        """How it is written: `!cancel [project] [--running]`."""
        return " ".join((f"!{self.name}", *(each.form for each in self.parameters if each.form)))

    def has(self, *kinds: ParameterKind) -> Parameter | None:
        """The first parameter of one of these kinds."""
        return next((each for each in self.parameters if each.kind in kinds), None)


class Invocation(NamedTuple):
    """A command that is written rightly."""

    command: Command
    given: Given


class Misuse(NamedTuple):
    """Something that starts as a command and is none; `text` says what is right."""

    text: str


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like this one."""
    from difflib import SequenceMatcher  # hardly ever needed

    return max(known, key=lambda each: SequenceMatcher(None, word.lower(), each).ratio())
