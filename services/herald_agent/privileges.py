"""A process that gives up what it may do beyond any other of its user, for good."""

import ctypes
import os

_CAPABILITY_VERSION = 0x2008_0522
_PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS = 28, 38
_ROOT_IS_LIKE_ANYBODY = 0b11  # SECBIT_NOROOT, and locked
_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def give_up() -> None:
    """No program that this process turns into or starts has privileges: not a set-uid one, and not root's.

    Raises OSError. The capabilities that are there now go at once, where the unit's filter of system calls lets them.
    """
    nothing = ctypes.c_ulong(0)
    if os.geteuid() == 0:
        bits = ctypes.c_ulong(_ROOT_IS_LIKE_ANYBODY)
        _succeed(_libc.prctl(_PR_SET_SECUREBITS, bits, nothing, nothing, nothing))
    _libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION, 0)), (ctypes.c_uint32 * 6)())
    _succeed(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing))


def _succeed(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
