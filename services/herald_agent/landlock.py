"""Landlock: the kernel holds a process and all its descendants to the places that they were given.

Rights that the kernel of this machine does not know are left out. Version 1 is not used: it lets nothing be moved from
one folder to another by its name, which package managers and build tools rely on.
"""

import ctypes
import os
import stat

from herald_agent.privileges import give_up

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR = (
    1 << bit for bit in range(8)
)
_MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM, _REFER, _TRUNCATE, _IOCTL_DEV = (
    1 << bit for bit in range(8, 16)
)

READ = _EXECUTE | _READ_FILE | _READ_DIR
DEVICE = _WRITE_FILE | _TRUNCATE | _IOCTL_DEV
"""Write to what is there, control devices."""
WRITE = (
    _WRITE_FILE | _TRUNCATE | _REFER | _REMOVE_DIR | _REMOVE_FILE
    | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM
)  # fmt: skip
"""Change, make, rename and remove everything but device nodes."""

_OF_A_FILE = _EXECUTE | _READ_FILE | DEVICE
"""What can be granted on anything but a folder."""
_OLDEST, _TRUNCATION_SINCE, _SCOPES_SINCE, _QUIET_SINCE = 2, 3, 6, 7
_KNOWN = {_OLDEST: _TRUNCATE - 1, _TRUNCATION_SINCE: _IOCTL_DEV - 1, 5: (_IOCTL_DEV << 1) - 1}
"""All rights on files, from the version on that first knows them."""
_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # on every architecture
_ASK_VERSION = 1
_PATH_BENEATH = 1
_QUIET = 1  # what is refused is not worth a line in the audit log
_libc = ctypes.CDLL(None, use_errno=True)


def holds_truncation() -> bool:
    """Whether files cannot be emptied without being opened."""
    return version() >= _TRUNCATION_SINCE


class _Rights(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("below", ctypes.c_int32))


def version() -> int:
    """The version that this kernel offers; 0 where there is none that can be used."""
    found = int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION)))
    return found if found >= _OLDEST else 0


class Ruleset:
    """What is allowed; everything else is forbidden. Raises OSError when the kernel does not make one."""

    def __init__(self) -> None:
        self._version = version()
        self._handled = max((rights for since, rights in _KNOWN.items() if since <= self._version), default=0)
        scopes = _SIGNALS_AND_ABSTRACT_SOCKETS if self._version >= _SCOPES_SINCE else 0
        size = ctypes.sizeof(_Rights) if scopes else ctypes.sizeof(ctypes.c_uint64)
        rights = _Rights(self._handled, 0, scopes)
        self._fd = _succeed(_libc.syscall(_CREATE, ctypes.byref(rights), ctypes.c_size_t(size), ctypes.c_uint32(0)))

    def allow(self, fd: int, rights: int) -> None:
        """Allow something on what an open descriptor (O_PATH is enough) stands for, and on everything below it."""
        rights &= self._handled
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_A_FILE
        rule = _Rule(rights, fd)
        _succeed(_libc.syscall(_ADD, self._fd, _PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0)))

    def enter(self) -> None:
        """From here on this process may do no more than that, nor may what it starts. Raises OSError."""
        give_up()
        flags = _QUIET if self._version >= _QUIET_SINCE else 0
        _succeed(_libc.syscall(_RESTRICT, self._fd, ctypes.c_uint32(flags)))


def _succeed(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(answer)
