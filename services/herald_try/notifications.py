"""The listening end of sd_notify: one datagram socket for each started service."""

import array
import contextlib
import os
import socket
import struct
from typing import NamedTuple

_CREDENTIALS = struct.Struct("3i")
_DESCRIPTORS = 64
_DATAGRAM = 64 << 10


class Notification(NamedTuple):
    """One datagram: its fields, and the descriptors that came along, which the receiver owns."""

    sender: int
    fields: dict[str, str]
    descriptors: tuple[int, ...]


class NotifySocket:
    """The address that a service gets as NOTIFY_SOCKET."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(path)

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> Notification | None:
        """The next one that waits, None if there is none."""
        space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_DESCRIPTORS * 4)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_DATAGRAM, space, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        sender = 0
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                sender = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0]
            elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        pairs = (line.partition("=") for line in data.decode(errors="replace").splitlines())
        return Notification(sender, {key: value for key, _, value in pairs}, tuple(descriptors))

    def close(self) -> None:
        """Remove the socket; descriptors that still wait in it are closed with it."""
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
