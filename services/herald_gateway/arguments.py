"""How commands are read from text, and written as text where they come as fields.

Quotes hold blanks together, flags and the channel stand anywhere, the project is that of the channel where it is
left out. What is written wrong is answered with the right form and the nearest name.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from herald.masking import mask
from herald.snapshot import Project
from herald_gateway.commands import Command, Given, Invocation, Misuse, Parameter, nearest

_QUOTES = {
    '"': '"', "'": "'", "\u201c": "\u201d", "\u201d": "\u201d", "\u201e": "\u201c", "\u2018": "\u2019",
    "\u00ab": "\u00bb",
}  # fmt: skip
"""Opening to closing quote; phones write those after the first two."""

_DASHES = ("--", "\u2014")
"""What a flag begins with; phones make one long dash of two."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_MENTION = re.compile(r"<#(\d{1,20})>")
_CHANNEL = re.compile(r"#[^\s#]{1,100}|<#\d{1,20}>")
LARGEST_NUMBER = 100_000
"""Of what is given as a number."""
_SHOWN = 40
"""Characters of a wrong word that are repeated."""

_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_CRON_NAMES = {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
_CRON_WORDS = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "weekday": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}


class _Word(NamedTuple):
    text: str
    quoted: bool


class _Unreadable(Exception):
    """The arguments do not fit; the message says why."""


def read_command(
    text: str, channel: str, table: Mapping[str, Command], projects: Mapping[str, Project]
) -> Invocation | Misuse:
    """Read a message that starts with `!`; `channel` is the project of the channel it was written in."""
    word, rest = (*text.strip().removeprefix("!").split(maxsplit=1), "", "")[:2]
    name = word.lower()
    command = table.get(name)
    if command is None:
        near = table[nearest(name, table)]
        return Misuse(f"There is no command !{_brief(word)}. The nearest is {near.form}; !help lists all.")
    try:
        given = _Reading(command, channel, table, projects).read(rest)
    except _Unreadable as problem:
        return Misuse(f"{problem} The form is {command.form}.")
    return Invocation(command, given)


def write_command(command: Command, values: Mapping[str, str]) -> str:
    """The text that reads as these values, by the name of the parameter; flags are there or not.

    Words come first, so that a text or a flag behind them is never taken for one.
    """
    words = [f"!{command.name}"]
    last = ""
    for parameter in command.parameters:
        value = values.get(parameter.name)
        if value is None or parameter.kind == "attachment":
            continue
        if parameter.kind == "flag":
            words.append(f"--{parameter.name}")
        elif parameter.kind == "option":
            words += [f"--{parameter.name}", value]
        elif parameter.kind == "text":
            last = value
        elif parameter.kind == "channel" and value.isdecimal():
            words.append(f"<#{value}>")
        else:
            words.append(_quoted(value))
    return " ".join([*words, last] if last else words)


def cron_problem(line: str) -> str:
    """What is wrong with a cron line, as far as its form goes; empty if nothing is."""
    fields = line.lower().split()
    if line.startswith("@"):
        known = ", ".join(sorted(_CRON_NAMES))
        return "" if line.lower() in _CRON_NAMES else f"{_brief(line)!r} is none of {known}."
    if len(fields) != len(_CRON_FIELDS):
        return f"A cron line has five fields, for example 0 8 * * *; this one has {len(fields)}."
    for field, (name, low, high) in zip(fields, _CRON_FIELDS, strict=True):
        if not all(_is_cron_part(part, name, low, high) for part in field.split(",")):
            return f"{_brief(field)!r} is no {name} ({low} to {high})."
    return ""


class _Reading:
    """The reading of one command's arguments."""

    def __init__(
        self, command: Command, channel: str, table: Mapping[str, Command], projects: Mapping[str, Project]
    ) -> None:
        self._command = command
        self._channel = channel
        self._table = table
        self._projects = projects

    def read(self, rest: str) -> Given:
        """The arguments. Raises _Unreadable."""
        given = self._read_text(rest) if self._command.has("text") else self._read_words(rest)
        problem = self._command.check(given)
        if problem:
            raise _Unreadable(problem)
        return given

    def _read_text(self, rest: str) -> Given:
        """A project, then the rest of the message as it is."""
        project = ""
        if rest:
            word, rest = _next_word(rest)
            project = self._known_project(word.text)
        if not project:
            raise _Unreadable(f"!{self._command.name} needs a project.")
        text = _unquoted(rest) if rest else ""
        if not text:
            raise _Unreadable(f"!{self._command.name} needs a text.")
        return Given(project, text, frozenset())

    def _read_words(self, rest: str) -> Given:
        words = []
        while rest:
            word, rest = _next_word(rest)
            words.append(word)
        flags, values = self._take_flags(words)
        self._take_channel(words, values)
        place = self._command.has("project", "filter")
        if place is None:
            return self._fill("", words, flags, values)
        try:
            project = self._known_project(words[0].text) if words else ""
            if project:
                return self._fill(project, words[1:], flags, values)
        except _Unreadable as problem:
            # The first word may be the next parameter: the project is then that of the channel.
            return self._fill_here(problem, words, flags, values)
        if not self._channel and place.kind == "project":
            raise _Unreadable(f"!{self._command.name} needs a project; in a project's channel it may be left out.")
        return self._fill(self._channel, words, flags, values)

    def _fill_here(
        self, problem: _Unreadable, words: list[_Word], flags: frozenset[str], values: dict[str, str]
    ) -> Given:
        if not self._channel or not self._positional():
            raise problem
        try:
            return self._fill(self._channel, words, flags, values)
        except _Unreadable as other:
            raise (problem if any(map(str.isalpha, words[0].text)) else other) from None

    def _positional(self) -> list[Parameter]:
        """The parameters that are told by their place, without the project."""
        return [each for each in self._command.parameters if each.kind in _CHECKED]

    def _fill(self, project: str, words: list[_Word], flags: frozenset[str], values: Mapping[str, str]) -> Given:
        """Give each word to its parameter. Raises _Unreadable when one is missing or left over."""
        filled, text, left = dict(values), "", [word.text for word in words]
        for parameter in self._positional():
            if not left and parameter.required:
                shown = parameter.form if parameter.choices else parameter.name.replace("_", " ")
                raise _Unreadable(f"!{self._command.name} needs a {shown}.")
            if not left:
                continue
            if parameter.kind == "cron":
                text, left = " ".join(" ".join(left).split()), []
                _raise(cron_problem(text))
            else:
                filled[parameter.name] = self._checked(parameter, left.pop(0))
        if left:
            hint = " A name with blanks goes into quotes." if self._command.has("word") else ""
            raise _Unreadable(f"!{self._command.name} does not take {_brief(left[0])!r}.{hint}")
        return Given(project, text, flags, filled)

    def _checked(self, parameter: Parameter, word: str) -> str:
        shown = repr(_brief(word))
        match parameter.kind:
            case "choice":
                if word.lower() not in parameter.choices:
                    near = nearest(word, parameter.choices)
                    raise _Unreadable(f"There is no {shown} here; the nearest is {near}.")
                return word.lower()
            case "command":
                name = word.lower().removeprefix("!").removeprefix("/")
                if name not in self._table:
                    raise _Unreadable(f"There is no command {shown}; the nearest is !{nearest(name, self._table)}.")
                return name
            case "number":
                return _number(word)
            case "name" if not _NAME.fullmatch(word):
                raise _Unreadable(
                    f"{shown} is no name for a project: small letters, digits and dashes, at most 40, no dash first."
                )
        if not word.strip():
            raise _Unreadable(f"The {parameter.name.replace('_', ' ')} is empty.")
        return word

    def _take_flags(self, words: list[_Word]) -> tuple[frozenset[str], dict[str, str]]:
        """Take what begins with two dashes out of the words."""
        flags, values = set[str](), dict[str, str]()
        known = {each.name: each for each in self._command.parameters if each.kind in ("flag", "option")}
        place = 0
        while place < len(words):
            word = words[place]
            if word.quoted or not word.text.startswith(_DASHES):
                place += 1
                continue
            name, _, value = words.pop(place).text.removeprefix("\u2014").removeprefix("--").partition("=")
            parameter = known.get(name.lower())
            if parameter is None:
                near = f"; the nearest is --{nearest(name, known)}" if known else ""
                raise _Unreadable(f"There is no --{_brief(name)} here{near}.")
            if parameter.kind == "flag":
                flags.add(parameter.name)
                continue
            if not value and place < len(words):
                value = words.pop(place).text
            values[parameter.name] = _number(value, f"--{parameter.name} needs a number.")
        return frozenset(flags), values

    def _take_channel(self, words: list[_Word], values: dict[str, str]) -> None:
        """Take the channel out of the words; one in quotes only where no other is."""
        parameter = self._command.has("channel")
        for word in sorted(words, key=lambda each: each.quoted) if parameter else ():
            if parameter and _CHANNEL.fullmatch(word.text):
                mention = _MENTION.fullmatch(word.text)
                values[parameter.name] = mention[1] if mention else word.text
                words.remove(word)
                return

    def _known_project(self, word: str) -> str:
        """The project of that name, or of the channel that is mentioned. Raises _Unreadable."""
        name = word.lower().removeprefix("#")
        if name in self._projects:
            return name
        mention = _MENTION.fullmatch(word)
        for project in self._projects.values() if mention else ():
            if mention and project.channel == mention[1]:
                return project.name
        if not self._projects:
            raise _Unreadable(f"There is no project {_brief(word)!r}; none is configured yet.")
        if mention:
            raise _Unreadable(f"The channel {word} belongs to no project; !projects lists them.")
        near = nearest(name, sorted(self._projects))
        raise _Unreadable(f"There is no project {_brief(word)!r}; the nearest is {near}.")


_CHECKED = {"name", "word", "choice", "number", "cron", "command"}


def _brief(word: str) -> str:
    """As much of a wrong word as is repeated, masked before it is cut: of half a secret nobody knows that it is one."""
    return mask(word)[:_SHOWN]


def _raise(problem: str) -> None:
    if problem:
        raise _Unreadable(problem)


def _number(word: str, missing: str = "A number is missing.") -> str:
    if not word:
        raise _Unreadable(missing)
    if not (word.isascii() and word.isdecimal() and 0 < int(word[:12]) <= LARGEST_NUMBER):
        raise _Unreadable(f"{_brief(word)!r} is no number from 1 to {LARGEST_NUMBER}.")
    return str(int(word))


def _is_cron_part(part: str, name: str, low: int, high: int) -> bool:
    """`*`, `5`, `1-5`, `mon`, each also with `/n`."""
    span, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdecimal() and int(step[:6]) > 0):
        return False
    if span == "*":
        return True
    words: Sequence[str] = _CRON_WORDS.get(name, ())
    ends = span.split("-")
    return len(ends) <= 2 and all(
        end in words or (end.isascii() and end.isdecimal() and low <= int(end[:6]) <= high) for end in ends
    )


def _next_word(rest: str) -> tuple[_Word, str]:
    """The first word of the rest, and what follows it.

    A quote counts only where a word begins, so that "don't" stays a word.
    """
    closing = _QUOTES.get(rest[0])
    if closing is None:
        word, *following = rest.split(maxsplit=1)
        return _Word(word, quoted=False), following[0] if following else ""
    end = rest.find(closing, 1)
    if end < 0:
        raise _Unreadable(f"The quote {rest[0]} is not closed.")
    return _Word(rest[1:end], quoted=True), rest[end + 1 :].strip()


def _unquoted(text: str) -> str:
    """A text that is in quotes as a whole loses them; any other is taken as it is."""
    closing = _QUOTES.get(text[0])
    if closing and len(text) > 1 and text.endswith(closing) and text.find(closing, 1) == len(text) - 1:
        return text[1:-1].strip()
    return text


def _quoted(value: str) -> str:
    """A value as one word: in quotes unless it is one anyway."""
    if value and not value.startswith((*_DASHES, "#")) and value[0] not in _QUOTES and not any(map(str.isspace, value)):
        return value
    for opening, closing in _QUOTES.items():
        if closing not in value:
            return f"{opening}{value}{closing}"
    return '"' + value.replace('"', "'") + '"'
