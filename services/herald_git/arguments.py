"""What callers give, checked before git sees it."""

import re

from herald.errors import Invalid

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NO_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/[.-]|\./|\.lock(?:/|$)|^[/.-]|[/.]$|^$")
"""What git's own rules for names of refs forbid, and a dash at the start of any part."""
_LONGEST_BRANCH = 200
_SHOWN = 80


def checked_hash(value: str) -> str:
    """The value if it is a commit hash; raises Invalid."""
    if not _HASH.fullmatch(value):
        raise Invalid(f"{value[:_SHOWN]!r} is not a commit hash")
    return value


def checked_branch(value: str, prefix: str) -> str:
    """The value if it is a branch of the project's agent: its prefix, a dash and more; raises Invalid."""
    if _NO_BRANCH.search(value) or len(value) > _LONGEST_BRANCH:
        raise Invalid(f"{value[:_SHOWN]!r} is not the name of a branch")
    if not value.startswith(f"{prefix}-"):
        raise Invalid(f"only branches {prefix}-... are pushed, not {value}")
    return value
