"""Files that survive a power cut: written whole or not at all, read with limits.

Lean: imported by the units that must start fast.
"""

import os
import stat
import time


def sync_folder(path: str) -> None:
    """fsync a folder, so that names made or removed in it survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: str, data: bytes, mode: int = 0o640) -> None:
    """Replace a file: readers see the old content or the new one, also after a power cut. Raises OSError."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.tmp")  # always the same: what a kill leaves is overwritten by the next
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        with_no_trace(temporary)
        raise
    sync_folder(folder)


def with_no_trace(path: str) -> None:
    """Remove a file that may be gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def set_aside(path: str, *, stays: bool = False) -> str:
    """Rename a damaged file or folder to `PATH.damaged-TIME`, so that nothing is lost; returns the new name.

    `stays`: a file that is replaced next, and meanwhile must not look as if it had never been there.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = f"{path}.damaged-{stamp}"
    number = 1
    while os.path.lexists(target):
        number += 1
        target = f"{path}.damaged-{stamp}-{number}"
    (os.link if stays else os.rename)(path, target)
    sync_folder(os.path.dirname(path))
    return target


def read_limited(path: str, limit: int) -> bytes:
    """Read a file that somebody else may have prepared: no symbolic link, a regular file, at most `limit` bytes.

    Raises OSError, and ValueError when it is no such file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return read_descriptor(fd, limit, path)
    finally:
        os.close(fd)


def read_descriptor(fd: int, limit: int, name: str = "file") -> bytes:
    """Read a regular file from its start, at most `limit` bytes. Raises OSError and ValueError."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{name} is not a regular file")
    if status.st_size > limit:
        raise ValueError(f"{name} has {status.st_size} bytes, at most {limit} are read")
    parts: list[bytes] = []
    offset = 0
    while offset <= limit:
        part = os.pread(fd, min(1 << 20, limit + 1 - offset), offset)
        if not part:
            return b"".join(parts)
        parts.append(part)
        offset += len(part)
    raise ValueError(f"{name} grew beyond {limit} bytes while it was read")
