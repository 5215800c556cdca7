"""The file that herald-alert leaves for the gateway: one crash, told once.

A file and not a call: who may call nothing can leave it, also while the gateway is the one that crashed.
"""

import json
import re
from typing import Any, NamedTuple

LARGEST = 1 << 16
"""Bytes of a file that are read."""
NAME = re.compile(r"(\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8})\.json")
"""Names sort like the times."""
_MOST_LINES = 100


class Alert(NamedTuple):
    """`text` says what crashed, why, and where to look; `lines` are the last ones of the unit's journal.

    `posted`: it is in Discord already."""

    id: str
    at: str
    unit: str
    text: str
    lines: tuple[str, ...]
    posted: bool = False

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"{self.id}.json"


def encode(alert: Alert) -> bytes:
    """The bytes of the file."""
    return json.dumps(alert._asdict()).encode() + b"\n"


def decode(name: str, data: bytes) -> Alert:
    """The alert in a file. Raises ValueError when it is none, or not of that name."""
    found: Any = json.loads(data)
    if not isinstance(found, dict) or not {"posted", *found} >= set(Alert._fields):
        raise ValueError("fields are missing")
    lines = found["lines"]
    if not all(isinstance(found[field], str) for field in ("id", "at", "unit", "text")):
        raise ValueError("a field is no text")
    if not isinstance(lines, list) or len(lines) > _MOST_LINES or not all(isinstance(each, str) for each in lines):
        raise ValueError("its lines are none")
    if f"{found['id']}.json" != name:
        raise ValueError(f"it belongs to {found['id'][:40]!r}")
    return Alert(found["id"], found["at"], found["unit"], found["text"], tuple(lines), found.get("posted") is True)
