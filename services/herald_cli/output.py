"""How the command line shows things: lines for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def print_json(value: Any) -> None:
    """A reply for people to read and programs to parse; ASCII alone, so that no locale can break it."""
    print(json.dumps(value, indent=2))


def print_json_line(value: Any) -> None:
    """One reply of a stream on one line, at once."""
    print(json.dumps(value, separators=(",", ":")), flush=True)


def print_table(rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their widest cell."""
    cells = [[line_of(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def line_of(text: str) -> str:
    """Text of other people on one line, without anything that steers a terminal."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def print_note(text: str) -> None:
    """A line beside the result: on stderr."""
    print(text, file=sys.stderr, flush=True)


def clock(at: str | None) -> str:
    """The minute of a time stamp: `2026-01-31 09:12`, a dash without one."""
    return f"{at[:10]} {at[11:16]}" if at else "-"
