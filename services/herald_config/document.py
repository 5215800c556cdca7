"""One YAML file as plain data in which each value knows its line.

Built from the parser's events and not by a YAML constructor: limits hold while the file is read, duplicate keys
are seen, no tag can ask for an object, and every scalar stays the text that was written. The models decide what a
text means. So an id of 19 digits needs no quotes, `007` keeps its zeros, and `no` is false where a yes-or-no is
expected and the word "no" where a name is.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.reader import ReaderError

from herald import names
from herald.interfaces.config import Problem
from herald_config.problem import MOST_PROBLEMS, Flawed, Path, problem

MAX_BYTES = 1 << 20
MAX_VALUES = 20_000
"""Far above any real file; the parser takes about a second for so many."""
MAX_DEPTH = 16

_NULL = {"", "~", "null", "Null", "NULL"}
_HINTS = {
    "mapping values are not allowed here": "a text that holds `: ` needs quotes; otherwise check the indentation",
    "found character '\\t' that cannot start any token": "YAML is indented with spaces, replace the tab",
    "could not find expected ':'": "each line of a mapping is written `key: value`",
    "expected a single document in the stream": "remove the second `---`; one file holds one document",
}


class Document(NamedTuple):
    """What a file holds. `lines` has the line of each key and list entry."""

    file: str
    data: dict[str, Any]
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of a value, or of the innermost value around it that was written down."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(path: str) -> Document:
    """The document in a file. Raises Flawed with every reason that was found."""
    return parse(path, content(path))


def parse(path: str, data: bytes) -> Document:
    """The document in what a file holds, or is to hold. Raises Flawed with every reason that was found."""
    text = _text(path, data)
    builder = _Builder(path)
    try:
        found = builder.build(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = str(error.problem or error.context)
        hint = _HINTS.get(reason) or _HINTS.get(str(error.context)) or "correct the line, or the one before it"
        line = mark.line + 1 if mark else 0
        raise Flawed([problem(path, line, (), f"is not valid YAML: {reason}; {hint}")]) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Flawed([problem(path, line, (), "holds a control character; remove it")]) from error
    if builder.problems:
        raise Flawed(builder.problems)
    return Document(path, found, builder.lines)


def content(path: str) -> bytes:
    """What a file holds. Symbolic links are followed: the folder is the operator's own, and many keep it elsewhere.

    Raises Flawed.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Flawed([problem(path, 0, (), "is not a regular file; replace it by one")])
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}; {_next_step(error, path)}"
        raise Flawed([problem(path, 0, (), reason)]) from error


def _text(path: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise Flawed([problem(path, 0, (), f"is larger than {MAX_BYTES} bytes; make it shorter")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file in UTF-8"
        raise Flawed([problem(path, line, (), reason)]) from error
    if not text.strip():
        raise Flawed([problem(path, 0, (), "is empty; fill it in, or remove it")])
    return text


def _next_step(error: OSError, path: str) -> str:
    if isinstance(error, PermissionError):
        return f"make it readable for the user of herald-config: {_opening(path)}"
    if isinstance(error, FileNotFoundError):
        return "the symbolic link leads nowhere" if os.path.islink(path) else "it was removed just now; reload again"
    return "replace it by a regular file"


def _opening(path: str) -> str:
    """The command; in an installation for the whole machine it reads as group herald."""
    file = shlex.quote(path)
    if names.mode() == "system":
        return f"`sudo chgrp herald {file} && sudo chmod g+r {file}`"
    return f"`chmod u+r {file}`"


class _Builder:
    """Turns events into data, noting lines and what is wrong on the way."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[Path, int] = {}
        self._file = file
        self._values = 0
        self._anchors: dict[str, tuple[Any, int]] = {}

    def build(self, events: Iterator[Event]) -> dict[str, Any]:
        """The mapping that the document consists of; a file of comments alone is an empty one."""
        data: Any = {}
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, (), "a second document begins; remove the `---`, one file holds one document")
            elif isinstance(event, NodeEvent):
                data = self._value(event, events, ())
        if data is None:
            data = {}
        if not isinstance(data, dict):
            self._note(1, (), "is no mapping; write `key: value` lines")
            return {}
        return data

    def _value(self, event: Event, events: Iterator[Event], path: Path) -> Any:
        if isinstance(event, AliasEvent):
            return self._alias(event, path)
        before = self._values
        self._count(event, path, 1)
        tag = getattr(event, "ctag", None)
        if tag is not None and str(tag) not in ("!", "tag:yaml.org,2002:str"):
            self._note(_line(event), path, f"carries the tag {tag}; tags mean nothing here, remove it")
        value: Any
        if isinstance(event, ScalarEvent):
            plain = event.style is None and tag is None
            value = None if plain and event.value in _NULL else event.value
        elif isinstance(event, MappingStartEvent):
            value = self._mapping(event, events, path)
        else:
            value = self._sequence(event, events, path)
        if isinstance(event, NodeEvent) and event.anchor:
            self._anchors[event.anchor] = (value, self._values - before)
        return value

    def _mapping(self, start: Event, events: Iterator[Event], path: Path) -> dict[str, Any]:
        self._descend(start, path)
        found: dict[str, Any] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                self._refuse(event, path, "a key must be a plain word")
            key, inner = event.value, (*path, event.value)
            first = self.lines.get(inner)
            if key in found:
                self._note(_line(event), inner, f"stands here a second time (first in line {first}); remove one")
            elif key == "<<":
                self._note(_line(event), inner, "merge keys are not part of YAML 1.2; write the keys out")
            else:
                self.lines[inner] = _line(event)
            found[key] = self._value(next(events), events, inner)
        return found

    def _sequence(self, start: Event, events: Iterator[Event], path: Path) -> list[Any]:
        self._descend(start, path)
        found: list[Any] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            inner = (*path, len(found))
            self.lines[inner] = _line(event)
            found.append(self._value(event, events, inner))
        return found

    def _alias(self, event: AliasEvent, path: Path) -> Any:
        """An alias counts as much as what it stands for, so that no few lines unfold to millions of values."""
        if event.anchor not in self._anchors:
            self._refuse(event, path, f"*{event.anchor} stands for nothing; define &{event.anchor} before it")
        value, size = self._anchors[event.anchor]
        self._count(event, path, size)
        return value

    def _descend(self, event: Event, path: Path) -> None:
        if len(path) >= MAX_DEPTH:
            self._refuse(event, path[:3], f"is nested deeper than {MAX_DEPTH} levels; no key needs that")

    def _count(self, event: Event, path: Path, number: int) -> None:
        self._values += number
        if self._values > MAX_VALUES:
            self._refuse(event, path[:3], f"the file holds more than {MAX_VALUES} values; make it shorter")

    def _note(self, line: int, path: Path, message: str) -> None:
        self.problems.append(problem(self._file, line, path, message))
        if len(self.problems) == MOST_PROBLEMS:
            raise Flawed(self.problems)

    def _refuse(self, event: Event, path: Path, message: str) -> NoReturn:
        """Give up: what follows could not be understood, or would cost too much."""
        self._note(_line(event), path, message)
        raise Flawed(self.problems)


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1
