"""Words of git that leave no doubt about the cause of its failure, which then is no damage of a repository."""

import re

from herald.errors import Conflict, Failed, Unavailable

_REASONS = (
    (r"exceeds maximum allowed size", Conflict("the commits are larger than the limit for one run")),
    (r"[Oo]ut of memory|[Cc]annot allocate|mmap failed", Conflict("the commits need too much memory to be checked")),
    (r"No space left on device", Unavailable("the disk of herald-worker is full; free some space")),
    (r"git: not found", Failed("git is not installed; `apt install git` provides it")),
)


def raise_known(words: str) -> None:
    """Raise the error that these words stand for, if there is one."""
    for pattern, error in _REASONS:
        if re.search(pattern, words):
            raise error.__class__(error.message)
