"""Whether the snapshot on disk is damaged.

The worker goes on with the one that it has read. The units that are started for one act read the file anew, and fail
until it has been compiled again.
"""

import os

from herald import names, snapshot
from herald.errors import Unavailable


class Damage:
    """Looks only when the file has changed since it was looked at."""

    def __init__(self) -> None:
        self._seen: tuple[int, int, int] | None = None

    def found_anew(self) -> bool:
        """Whether the file is damaged and was not when it was looked at last."""
        try:
            status = os.stat(names.snapshot_path())
        except OSError:
            return False
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return False
        self._seen = seen
        return is_damaged()

    def forget(self) -> None:
        """What was found could not be mended yet."""
        self._seen = None


def is_damaged() -> bool:
    """Look now."""
    try:
        snapshot.read(names.snapshot_path())
    except Unavailable:
        return True
    return False
