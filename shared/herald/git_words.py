"""What git and ssh say on stderr, cut down to what a person has to read: the first telling line and the last.

The first names the cause, the last what came of it: a filter that is not installed is named first, and behind it git
says that the remote end hung up.
"""

import re

from herald.masking import mask

_PASSWORD = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]*@|(?<=https://)[^/\s@]+@")
_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|.)"  # a terminal's sequences
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\xa0\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_PREFIX = re.compile(r"^(?:fatal|error): ")
_NOISE = re.compile(
    r"hint:|warning: redirecting|Warning: Permanently added|Cloning into |From |To |Aborting$"
    r"|Please make sure you have the correct access rights|and the repository exists\."
    r"|Please (?:commit|move|remove|try)\b"
    r"|(?:remote: )?(?:\w+ ){1,3}?\w+: +\d+(?:%| *\(|,|$)|(?:remote: )?Total \d+|(?:remote:)?[\W_]*$"
)
"""Advice that is meant for somebody at a terminal, progress, and lines without a letter or digit."""

_WARNING = re.compile(r"(?:remote: )?warning:", re.IGNORECASE)
_LONGEST_LINE = 280
_LARGEST = 64 << 10


def telling(words: str) -> str:
    """The first telling line and the last, on one line; empty when git said nothing that tells."""
    lines = [_shown(line) for line in re.split(r"[\r\n]+", words[:_LARGEST])]
    lines = [line for line in lines if line and not _NOISE.match(line)]
    lines = [line for line in lines if not _WARNING.match(line)] or lines
    lines = [" ".join(_PREFIX.sub("", line).split()) for line in lines]
    if not lines:
        return ""
    if lines[0] == lines[-1]:
        return _cut(lines[0])
    return f"{_cut(lines[0])} … {_cut(lines[-1])}"


def whole(words: str) -> str:
    """All of it for the journal: without passwords, and with no sequence that a terminal would obey."""
    lines = (_shown(line) for line in re.split(r"[\r\n]+", words[:_LARGEST]))
    return "\n".join(line for line in lines if line)


def _shown(line: str) -> str:
    return mask(_PASSWORD.sub("", _CONTROL.sub(" ", line))).strip()


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"
