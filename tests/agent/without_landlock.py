"""herald-agent where the kernel refuses Landlock, and mount namespaces too if WITHOUT_NAMESPACES is set.

A filter of system calls in front of the real program, as machines and containers have it.
"""

import ctypes
import errno
import os

_CREATE_RULESET = 444
_UNSHARE = {"x86_64": 272, "aarch64": 97}[os.uname().machine]
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF_0000, 0x0005_0000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2


class _Step(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("value", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def refuse(calls: dict[int, int]) -> None:
    """Have these system calls fail with these error numbers, here and in all children."""
    steps = [(_LOAD, 0, 0, 0)]
    for number, error in calls.items():
        steps += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _FAIL | error)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    array = (_Step * len(steps))(*(_Step(*step) for step in steps))
    program = _Program(len(steps), array)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()


if __name__ == "__main__":
    refused = {_CREATE_RULESET: int(os.environ.pop("REFUSED_WITH", str(errno.ENOSYS)))}
    if os.environ.pop("WITHOUT_NAMESPACES", ""):
        refused[_UNSHARE] = errno.EPERM
    refuse(refused)
    from herald_agent.__main__ import main

    main()
