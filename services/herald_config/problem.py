"""How one thing that is wrong with the configuration is written down."""

import os
from collections.abc import Iterable

from herald.interfaces.config import Problem

MOST_PROBLEMS = 50
"""So many are told of one file; who has more wants another file."""

Path = tuple[str | int, ...]
"""Where a value stands in a file: keys, and indexes of lists."""


class Flawed(Exception):
    """A file that cannot be used."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


def problem(file: str, line: int, field: Path, message: str) -> Problem:
    """One problem; `file` is a path on disk, `line` counts from 1."""
    return {"file": shown(file), "line": line, "field": ".".join(map(str, field)), "message": message}


def shown(path: str) -> str:
    """A path that can be printed, whatever bytes its name holds."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def lines_of(problems: Iterable[Problem]) -> list[str]:
    """The problems for people and editors: `FILE:LINE: FIELD: message`."""
    return [
        f"{each['file']}:{each['line']}: " + (f"{each['field']}: " if each["field"] else "") + each["message"]
        for each in problems
    ]
