"""Varlink framing on a blocking socket: one JSON object and a NUL, with descriptors beside it."""

import array
import json
import os
import select
import socket
from typing import Any

from herald.bus import limits
from herald.errors import Invalid

_CHUNK = 1 << 16


class Frames:
    """Reads and writes whole messages. Not for use by two threads."""

    def __init__(self, connection: socket.socket, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._buffer = bytearray()
        self._descriptors: list[int] = []

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """The next message and its descriptors, which the caller then owns; None at the end, also in mid-message.

        Raises Invalid for what is no message, OSError (TimeoutError among them) from the socket.
        """
        searched = 0
        while (end := self._buffer.find(b"\0", searched)) < 0:
            searched = len(self._buffer)
            if searched > self._limit:
                raise Invalid(f"a message may have {self._limit} bytes")
            if not self._read():
                return None
        text = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        descriptors, self._descriptors = self._descriptors, []
        try:
            message = json.loads(text)
            if not isinstance(message, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            close_all(descriptors)
            raise Invalid(f"not a JSON object: {error}") from error
        return message, descriptors

    def _read(self) -> bool:
        size = array.array("i").itemsize
        data, ancillary, _flags, _address = self._connection.recvmsg(
            _CHUNK, socket.CMSG_SPACE(limits.DESCRIPTORS * size), socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(payload[: len(payload) - len(payload) % size])
                self._descriptors.extend(received)
        self._buffer += data
        return bool(data)

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Send one message. Raises OSError."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\0"
        if descriptors:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
            sent = self._connection.sendmsg([data], [rights])
            data = data[sent:]
        self._connection.sendall(data)

    def is_hung_up(self) -> bool:
        """Whether nobody is at the other end any more."""
        poll = select.poll()
        poll.register(self._connection, 0)
        return any(what & select.POLLHUP for _, what in poll.poll(0))

    def close(self) -> None:
        """Close what was received and not taken."""
        close_all(self._descriptors)
        self._descriptors = []


def close_all(descriptors: list[int]) -> None:
    """Close descriptors that nobody wants."""
    for descriptor in descriptors:
        os.close(descriptor)
