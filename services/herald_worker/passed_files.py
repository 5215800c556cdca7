"""Files that git is given by their descriptors."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def opened(path: str, flags: int) -> Iterator[int]:
    """A file, unless it is a link."""
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def memory_of(data: bytes) -> Iterator[int]:
    """A file that holds these bytes and has no name: a pipe would block when they are many."""
    fd = os.memfd_create("given", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
