"""Ids, times and emoji as Discord writes them."""

import datetime
import re
import time
from typing import Any
from urllib.parse import unquote

Json = dict[str, Any]

_EPOCH_MS = 1420070400000


class Snowflakes:
    """Ids that grow; `at` makes one of a moment of the past."""

    def __init__(self) -> None:
        self._last = 0
        self._past = 0

    def new(self, at: float | None = None) -> str:
        if at is not None:
            self._past += 1
            return str(((int(at * 1000) - _EPOCH_MS) << 22) | self._past)
        self._last = max(self._last + 1, (int(time.time() * 1000) - _EPOCH_MS) << 22)
        return str(self._last)


def moment(id_: str) -> float:
    """When an id was made, in seconds since the epoch."""
    return ((int(id_) >> 22) + _EPOCH_MS) / 1000


def iso(at: float | None = None) -> str:
    at = time.time() if at is None else at
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="microseconds")


def emoji(written: str) -> Json | None:
    """The emoji of a path: unicode or `name:id`. None if it is neither."""
    written = unquote(written)
    custom = re.fullmatch(r"(\w+):(\d+)", written)
    if custom:
        return {"id": custom[2], "name": custom[1]}
    if not written or re.search(r"[A-Za-z\s]", written):
        return None
    return {"id": None, "name": written}
