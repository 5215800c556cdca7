"""Where in the text of a YAML file each value stands, so that one can be changed and all else left as it is.

Positions are indexes of characters. Only for a text that document.parse accepts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

_BREAK = re.compile(r"\r\n|\n|\r")


@dataclass(slots=True)
class Value:
    """One value: its text is `text[start:end]`, with a comment or line break after it never included.

    `style` of a scalar: empty for a plain one, else `'`, `"`, `|` or `>`. Where nothing is written down, as after
    `key:`, positions mean nothing.
    """

    kind: str
    start: int
    end: int
    style: str = ""
    flow: bool = False
    marked: bool = False
    """carries an anchor or a tag"""
    entries: list["Entry"] = field(default_factory=list)

    @property
    def missing(self) -> bool:
        """Whether it is null because nothing is written after the colon."""
        return self.kind == "scalar" and self.start == self.end

    @property
    def in_block(self) -> bool:
        """Whether it is a collection of lines of its own."""
        return self.kind in ("mapping", "sequence") and not self.flow

    def entry(self, key: str) -> "Entry | None":
        """The entry of a mapping with this key, or of a list with this index."""
        if self.kind == "sequence":
            return self.entries[int(key)] if key.isdecimal() and int(key) < len(self.entries) else None
        return next((each for each in self.entries if each.name == key), None)


@dataclass(slots=True)
class Entry:
    """One entry of a collection. `start` is where its key stands, in a list the value."""

    name: str
    start: int
    key_end: int
    value: Value

    @property
    def end(self) -> int:
        """Where its text ends."""
        return self.key_end if self.value.missing else self.value.end


def values(text: str) -> Value:
    """The document's one value, with all that it holds."""
    events = iter(YAML(typ="safe", pure=True).parse(text))
    for event in events:
        if isinstance(event, NodeEvent):
            return _value(text, event, events)
    return Value("scalar", len(text), len(text))


def _value(text: str, event: Event, events: Iterator[Event]) -> Value:
    start, end = event.start_mark.index, event.end_mark.index
    if isinstance(event, AliasEvent):
        return Value("alias", start, end)
    marked = getattr(event, "anchor", None) is not None or getattr(event, "ctag", None) is not None
    if isinstance(event, ScalarEvent):
        style = event.style or ""
        return Value("scalar", start, _end_of_scalar(text, start, end, style), style, marked=marked)
    assert isinstance(event, (MappingStartEvent, SequenceStartEvent))
    kind = "mapping" if isinstance(event, MappingStartEvent) else "sequence"
    found = Value(kind, start, end, flow=bool(event.flow_style), marked=marked)
    while not isinstance(inner := next(events), (MappingEndEvent, SequenceEndEvent)):
        if kind == "mapping":
            value = _value(text, next(events), events)
            assert isinstance(inner, ScalarEvent)
            found.entries.append(Entry(inner.value, inner.start_mark.index, inner.end_mark.index, value))
        else:
            value = _value(text, inner, events)
            found.entries.append(Entry(str(len(found.entries)), value.start, value.start, value))
    if found.flow:
        found.end = inner.end_mark.index
    elif found.entries:
        found.end = found.entries[-1].end
    return found


def _end_of_scalar(text: str, start: int, end: int, style: str) -> int:
    """Blank lines after a block scalar are part of it only where its header has a `+`."""
    if style not in ("|", ">"):
        return end
    header = text[start : end_of_line(text, start)].partition("#")[0]
    if "+" not in header:
        return start + len(text[start:end].rstrip())
    for line_break in ("\r\n", "\n", "\r"):
        if text.endswith(line_break, start, end):
            return end - len(line_break)
    return end


def end_of_line(text: str, position: int) -> int:
    """Where the line of a position ends, before its line break."""
    found = _BREAK.search(text, position)
    return found.start() if found else len(text)


def next_line(text: str, position: int) -> int:
    """Where the line after that of a position begins; the end of the text if there is none."""
    found = _BREAK.search(text, position)
    return found.end() if found else len(text)


def start_of_line(text: str, position: int) -> int:
    """Where the line of a position begins."""
    return max(text.rfind("\n", 0, position), text.rfind("\r", 0, position)) + 1


def line_break(text: str) -> str:
    """The line break that this text uses."""
    found = _BREAK.search(text)
    return found.group() if found else "\n"
