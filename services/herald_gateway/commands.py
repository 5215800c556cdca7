"""How commands are written: parameters, quotes, and the answer to what is written wrong.

A command is described once, in `operations.TABLE`; its form, its help line and the way it is read all come from
that row.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from herald.interfaces.config import Config
from herald.interfaces.worker import Author, Quote, Worker
from herald.snapshot import Role

_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d"}
"""Opening to closing quote; phones write the last pair."""

Effect = Literal["none", "once", "keyed"]
"""What carrying it out does: nothing; something that must not be done again after an interruption; something that
carries the message's key, so that it is handed over until it is taken."""


class Parameter(NamedTuple):
    """`text` takes the rest of the message as it is; a `flag` is written with two dashes, anywhere."""

    name: str
    kind: Literal["project", "text", "flag"]
    required: bool = False

    @property
    def form(self) -> str:
        """How it is shown in a command's form."""
        if self.kind == "flag":
            return f"[--{self.name}]"
        return f"<{self.name}>" if self.required else f"[{self.name}]"


class Given(NamedTuple):
    """The arguments of one command. `project` is that of the channel where it was left out; it may be empty."""

    project: str
    text: str
    flags: frozenset[str]


class Asked(NamedTuple):
    """A command as somebody gave it, and what a handler works with; `patient` is the worker for what takes minutes."""

    key: str
    author: Author
    given: Given
    history: Callable[[str], Awaitable[list[Quote]]]
    worker: Worker
    patient: Worker
    config: Config


class Command(NamedTuple):
    """One row of the table. The handler returns the reply, or None when the worker's posts answer."""

    name: str
    parameters: tuple[Parameter, ...]
    help: str
    right: Role
    effect: Effect
    handler: Callable[[Asked], Awaitable[str | None]]

    @property
    def form(self) -> str:
        """How it is written: `!cancel [project] [--running]`."""
        return " ".join((f"!{self.name}", *(parameter.form for parameter in self.parameters)))


class Invocation(NamedTuple):
    """A command that is written rightly."""

    command: Command
    given: Given


class Misuse(NamedTuple):
    """Something that starts as a command and is none; `text` says what is right."""

    text: str


class _Unreadable(Exception):
    """The arguments do not fit; the message says why."""


def read_command(text: str, channel: str, table: Mapping[str, Command], projects: Iterable[str]) -> Invocation | Misuse:
    """Read a message that starts with `!`; `channel` is the project of the channel it was written in."""
    name, rest = (*text.strip().removeprefix("!").split(maxsplit=1), "", "")[:2]
    name = name.lower()
    command = table.get(name)
    if command is None:
        near = table[nearest(name, table)]
        return Misuse(f"There is no command !{name[:40]}. The nearest is {near.form}; !help lists all.")
    known = sorted(projects)
    try:
        return Invocation(command, _read_arguments(command, rest, channel, known))
    except _Unreadable as problem:
        return Misuse(f"{problem} The form is {command.form}.")


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like this one."""
    from difflib import SequenceMatcher  # hardly ever needed

    return max(known, key=lambda each: SequenceMatcher(None, word.lower(), each).ratio())


def _read_arguments(command: Command, rest: str, channel: str, projects: Sequence[str]) -> Given:
    project, text, flags = "", "", set[str]()
    known_flags = {each.name for each in command.parameters if each.kind == "flag"}
    takes_project = any(each.kind == "project" for each in command.parameters)
    takes_text = any(each.kind == "text" for each in command.parameters)
    while rest:
        if takes_text and (project or not takes_project):
            text = _unquoted(rest)
            break
        word, rest, quoted = _next_word(rest)
        if word.startswith("--") and known_flags and not quoted:
            if word[2:] not in known_flags:
                raise _Unreadable(f"There is no {word[:40]} here.")
            flags.add(word[2:])
        elif takes_project and not project:
            project = _known_project(word, projects)
        else:
            raise _Unreadable(f"!{command.name} does not take {word[:40]!r}.")
    given = Given(project or ("" if _demands(command, "project") else channel), text, frozenset(flags))
    _check_complete(command, given)
    return given


def _check_complete(command: Command, given: Given) -> None:
    if _demands(command, "project") and not given.project:
        raise _Unreadable(f"!{command.name} needs a project.")
    if _demands(command, "text") and not given.text:
        raise _Unreadable(f"!{command.name} needs a text.")


def _demands(command: Command, kind: str) -> bool:
    return any(each.kind == kind and each.required for each in command.parameters)


def _known_project(word: str, projects: Sequence[str]) -> str:
    name = word.lower().removeprefix("#")
    if name in projects:
        return name
    if not projects:
        raise _Unreadable(f"There is no project {word[:40]!r}; none is configured yet.")
    raise _Unreadable(f"There is no project {word[:40]!r}; the nearest is {nearest(name, projects)}.")


def _next_word(rest: str) -> tuple[str, str, bool]:
    """The first word of the rest, what follows it, and whether it was quoted.

    A quote counts only where a word begins, so that "don't" stays a word.
    """
    closing = _QUOTES.get(rest[0])
    if closing is None:
        word, *following = rest.split(maxsplit=1)
        return word, following[0] if following else "", False
    end = rest.find(closing, 1)
    if end < 0:
        raise _Unreadable(f"The quote {rest[0]} is not closed.")
    return rest[1:end], rest[end + 1 :].strip(), True


def _unquoted(text: str) -> str:
    """A text that is in quotes as a whole loses them; any other is taken as it is."""
    closing = _QUOTES.get(text[0])
    if closing and len(text) > 1 and text.endswith(closing) and text.find(closing, 1) == len(text) - 1:
        return text[1:-1].strip()
    return text
