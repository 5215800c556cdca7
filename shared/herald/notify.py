"""What a unit tells its service manager (sd_notify); silent when nobody listens.

The address is kept and taken out of the environment at import, so that no child can speak for its parent.
"""

import array
import os
import socket
import time

import sdnotify

_address = os.environ.get("NOTIFY_SOCKET", "")
_notifier = sdnotify.SystemdNotifier() if _address else None
os.environ.pop("NOTIFY_SOCKET", None)


def ready(status_line: str = "") -> None:
    """The unit serves."""
    _tell(f"READY=1\nSTATUS={_one_line(status_line)}" if status_line else "READY=1")


def status(text: str) -> None:
    """One line for `systemctl status`."""
    _tell(f"STATUS={_one_line(text)}")


def stopping() -> None:
    """The unit has begun to stop."""
    _tell("STOPPING=1")


def reloading() -> None:
    """The unit reads its configuration again; `ready` ends it."""
    _tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog() -> None:
    """The unit can do its duty."""
    _tell("WATCHDOG=1")


def store(fd: int, name: str) -> None:
    """Give a copy of a descriptor to the service manager, which keeps it until the last process of the unit is gone.

    Raises OSError when the manager does not take it: a lock that is not stored would be free too early.
    """
    if not _address:
        return
    path = "\0" + _address[1:] if _address.startswith("@") else _address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(path)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
        sender.sendmsg([f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0".encode()], [rights])


def _tell(words: str) -> None:
    if _notifier is not None:
        _notifier.notify(words)


def _one_line(text: str) -> str:
    return " ".join(text.split())
