"""Opening what lies in a folder that somebody else may write: no symbolic link is followed, the folder never left."""

import ctypes
import errno
import os

_OPENAT2 = 437  # on every architecture
_NO_SYMLINKS, _BENEATH = 0x04, 0x08  # RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(folder: int, path: str, flags: int = os.O_RDONLY) -> int:
    """Open a relative path below an open folder; returns a descriptor. Raises OSError, ELOOP where there is a link."""
    how = _How(flags | os.O_CLOEXEC | os.O_NONBLOCK, 0, _NO_SYMLINKS | _BENEATH)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    fd = int(_libc.syscall(_OPENAT2, folder, os.fsencode(path), ctypes.byref(how), size))
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return fd


def read_beneath(folder: str, path: str, limit: int) -> bytes | None:
    """The content of a file below a folder, at most `limit` bytes; None if it is not there. Raises OSError."""
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_beneath(root, path)
    except FileNotFoundError:
        return None
    finally:
        os.close(root)
    with open(fd, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return data
