"""Large files that git-lfs keeps outside a repository: pointers, limits, and copies that are checked on the way.

A pointer is a small text in the repository. It names the file's content by its SHA-256 and its size.
"""

import os
import re
import stat
from collections.abc import Callable
from typing import NamedTuple

from herald.errors import Invalid

LARGEST = 2 << 30
"""Bytes of one file that crosses between parts."""

LARGEST_TOGETHER = 4 << 30
"""Bytes that cross before a run, or after one."""

MOST = 2000
"""Files that cross before a run, or after one."""

LARGEST_POINTER = 1024
SMALLEST_POINTER = 90

INSTALL = "`apt-get install git-lfs`"

_OID = re.compile(r"[0-9a-f]{64}")
_POINTER = re.compile(
    rb"version (?:https://git-lfs\.github\.com/spec/v1|https://hawser\.github\.com/spec/v1|http://git-media\.io/v/2)"
    rb"\r?\n(?:ext-\d-\w+ sha256:[0-9a-f]{64}\r?\n)*"
    rb"oid sha256:([0-9a-f]{64})\r?\nsize (\d{1,20})\s*"
)
_PIECE = 1 << 20


class Pointer(NamedTuple):
    """What a pointer names: the SHA-256 of a file's content and its bytes."""

    oid: str
    size: int


class Wrong(Exception):
    """A file is not what its name says; the text says why, as the end of a sentence."""


def parse(data: bytes) -> Pointer | None:
    """The pointer that these bytes are, None if they are something else."""
    found = _POINTER.fullmatch(data) if len(data) <= LARGEST_POINTER else None
    return Pointer(found[1].decode(), int(found[2])) if found else None


def place(oid: str) -> str:
    """Where git-lfs keeps a file below its `objects`."""
    return os.path.join(oid[:2], oid[2:4], oid)


def checked(oid: str, size: int) -> Pointer:
    """The pointer of a caller's request. Raises Invalid."""
    if not _OID.fullmatch(oid) or not 0 <= size <= LARGEST:
        raise Invalid(f"{oid[:80]!r} of {size} bytes is not a large file that can be passed on")
    return Pointer(oid, size)


def is_installed(search_path: str) -> bool:
    """Whether git-lfs is found along a path."""
    return any(os.access(os.path.join(each, "git-lfs"), os.X_OK) for each in search_path.split(":") if each)


def shown(size: int) -> str:
    """A size for people."""
    for unit, bits in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << bits:
            return f"{size / (1 << bits):.1f} {unit}"
    return f"{size} bytes"


def open_regular(path: str) -> int:
    """Open a regular file for reading, following no link in its last part and waiting for no writer. Raises OSError,
    Wrong."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Wrong("it is not a regular file")
    return fd


def copy(source: int, target: int, pointer: Pointer, sign: Callable[[], None] = lambda: None) -> None:
    """Copy a file from where `source` stands, as much as the pointer says; `sign` is called for each piece.

    Raises Wrong when the content is not what the pointer names, OSError.
    """
    import hashlib  # loads a large library, and most acts move no file

    digest = hashlib.sha256()
    left = pointer.size
    while left and (piece := os.read(source, min(left, _PIECE))):
        digest.update(piece)
        left -= len(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]
        sign()
    if left:
        raise Wrong(f"it has {pointer.size - left} bytes, not {pointer.size}")
    if os.read(source, 1):
        raise Wrong(f"it has more than {pointer.size} bytes")
    if digest.hexdigest() != pointer.oid:
        raise Wrong("its content is not what its name says (SHA-256)")


def check(fd: int, pointer: Pointer, sign: Callable[[], None] = lambda: None) -> None:
    """Check the content of a file from its beginning. Raises Wrong, OSError."""
    os.lseek(fd, 0, os.SEEK_SET)
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        copy(fd, null, pointer, sign)
    finally:
        os.close(null)
