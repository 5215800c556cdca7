"""Which crash is told: the first at once, then one in 10 minutes for each unit, instances counting together.

What cannot be remembered is told: silence is the worse fault.
"""

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any

from herald import durable, journal

_EVERY = 600.0
_LOCK_WAIT = 1.0
_LOCK_POLL = 0.02
_LARGEST = 1 << 16
_MOST_KINDS = 100


def kind_of(unit: str) -> str:
    """The unit, or for an instance its template: `herald-agent@.service`."""
    return re.sub(r"@[^.]*", "@", unit)


def passed(folder: str, unit: str) -> int | None:
    """How many crashes were held back before this one is told; None: it is held back, too."""
    try:
        with _locked(folder):
            moment = time.time()  # now, else one that had to wait would be from before the last
            path = os.path.join(folder, "throttle.json")
            remembered = _read(path)
            last, held = remembered.pop(kind_of(unit), (0.0, 0))
            silent = 0 <= moment - last < _EVERY  # a clock that was set back silences nobody
            entry = (last, held + 1) if silent else (moment, 0)
            kept = list(remembered.items())[-_MOST_KINDS:]
            durable.write_atomic(path, json.dumps(dict([*kept, (kind_of(unit), entry)])).encode())
            return None if silent else held
    except OSError as error:
        journal.warning(f"crashes cannot be counted in {folder}, so that each is told: {error}")
        return 0


def _read(path: str) -> dict[str, tuple[float, int]]:
    """What is remembered; nothing when the file is damaged."""
    try:
        found: Any = json.loads(durable.read_limited(path, _LARGEST))
        return {str(kind): (float(last), max(0, int(held))) for kind, (last, held) in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        journal.warning(f"{path} is damaged ({error}); it is written anew")
        return {}


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Several instances may end at once. Raises OSError."""
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        until = time.monotonic() + _LOCK_WAIT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(_LOCK_POLL)
        yield
    finally:
        os.close(lock)
