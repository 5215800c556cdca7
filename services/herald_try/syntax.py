"""The syntax of unit files: sections, keys, time spans."""

import math
import re
from pathlib import Path

Sections = dict[str, dict[str, list[str]]]
"""Section to key to values; a key may be given several times."""

_UNITS = {
    "us": 1e-6,
    "ms": 1e-3,
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "d": 86400.0,
}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


class SyntaxProblem(ValueError):
    """A unit file says something that is not understood; the message names file and line or key."""


def read(path: Path) -> Sections:
    """What a unit file says. Raises SyntaxProblem and OSError."""
    sections: Sections = {}
    current: dict[str, list[str]] | None = None
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            current = sections.setdefault(line[1:-1], {})
            continue
        key, equals, value = line.partition("=")
        if current is None or not equals:
            raise SyntaxProblem(f"{path.name}, line {number}: neither a section nor KEY=VALUE")
        if value.strip():
            current.setdefault(key.strip(), []).append(value.strip())
        else:  # an empty value takes back what was said before
            current.pop(key.strip(), None)
    return sections


def span(text: str) -> float:
    """Seconds of a time span: `15`, `1s`, `100ms`, `1h 30min`, `infinity`. Raises SyntaxProblem."""
    if text == "infinity":
        return math.inf
    parts = _SPAN.findall(text)
    if not parts or _SPAN.sub("", text).strip() or any(unit not in _UNITS for _, unit in parts):
        raise SyntaxProblem(f"{text!r} is no time span")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def boolean(text: str) -> bool:
    """A truth value as systemd writes it. Raises SyntaxProblem."""
    if text in {"yes", "true", "on", "1"}:
        return True
    if text in {"no", "false", "off", "0"}:
        return False
    raise SyntaxProblem(f"{text!r} is neither yes nor no")
