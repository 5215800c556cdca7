"""What both asyncio ends of the bus add to asyncvarlink's connection: messages are gathered within limits.

asyncvarlink 0.3 buffers without bound, copies what it has for each further piece, loses descriptors that come with the
first piece of a long message, answers nothing to bytes that are no JSON, reads one connection for as long as more
comes, and waits for the loop before each sending.
"""

import asyncio
import socket
from typing import Any

from asyncvarlink import FileDescriptorArray, VarlinkProtocol, VarlinkTransport

from herald.bus import limits


class Socket(socket.socket):
    """One that is quickly named: asyncio before Python 3.13 prints a socket in an exception whenever it begins or
    ceases to wait for it, four times a call, and printing one asks the kernel for both its addresses."""

    def __repr__(self) -> str:
        return f"<socket {self.fileno()}>"


_TURN = 1 << 18
"""Bytes that are read of one connection before others have their turn."""


class Transport(VarlinkTransport):
    """A connection that is read in larger pieces and takes few descriptors."""

    RECV_BUFFER_SIZE = 1 << 16
    MAX_RECV_FDS = limits.DESCRIPTORS
    _taken = 0

    def _handle_read_socket_peek(self) -> None:
        """Read what is there, but not for as long as more comes: a fast sender would have the loop for itself."""
        self._taken = 0
        super()._handle_read_socket_peek()

    def _sock_receive_fds(self, size: int) -> int:
        if self._closing or self._taken >= _TURN:
            return 0
        received = super()._sock_receive_fds(size)
        self._taken += received
        return received

    def send_message(self, data: bytes, fds: list[int] | None = None) -> asyncio.Future[None]:
        """Send at once what the socket takes, as asyncio's own transports do; queue only the rest."""
        if fds or self._sendqueue or self._closing or self._sendfd is None:
            return self._queue(data, fds)
        try:
            sent = self._do_write([data], [])
        except OSError:
            sent = 0  # found again, and reported, when the queue is written
        if sent < len(data):
            return self._queue(data[sent:], None)
        done: asyncio.Future[None] = self._loop.create_future()
        done.set_result(None)
        return done

    def _queue(self, data: bytes, fds: list[int] | None) -> asyncio.Future[None]:
        """Whoever is cancelled while it sends must not cancel the transport's own record of the sending: the
        transport would fail with InvalidStateError, in place of the cancellation or the deadline."""
        sent = super().send_message(data, fds)
        sent.add_done_callback(lambda done: done.exception())  # nobody may be left who asks
        return asyncio.shield(sent)


class Gathering(VarlinkProtocol):
    """Hands on a message when it is whole; what breaks the limits or is no message goes to `refuse`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._begun = bytearray()
        self._held: FileDescriptorArray | None = None
        self._refused = False

    def refuse(self, reason: str) -> None:
        """Called once: say why and end the connection. What follows on it cannot be told apart any more."""
        raise NotImplementedError

    def message_begins(self) -> None:
        """A first piece has come."""

    def message_ends(self) -> None:
        """The message that had begun is whole."""

    def message_received(self, data: bytes, fds: FileDescriptorArray | None) -> None:
        if not self._begun and data.endswith(b"\0"):
            self._hand_on(data, fds)
            return
        end, found, rest = data.partition(b"\0")
        if not found:
            self._begin(data, fds)
            return
        self._complete(end + found, fds)
        whole, found, rest = rest.rpartition(b"\0")
        if found:
            self._hand_on(whole + found, None)
        if rest:
            self._begin(rest, None)

    def _begin(self, piece: bytes, fds: FileDescriptorArray | None) -> None:
        if self._refused:
            return
        if len(self._begun) + len(piece) > limits.FRAME:
            self.stop(f"a message may have {limits.FRAME} bytes; larger things travel as file descriptors")
            return
        if not self._begun:
            self.message_begins()
        self._begun += piece
        if fds is not None and self._held is None:
            self._held = fds
            fds.reference(self)

    def _complete(self, end: bytes, fds: FileDescriptorArray | None) -> None:
        held, self._held = self._held, None
        whole, self._begun = bytes(self._begun) + end, bytearray()
        self.message_ends()
        self._hand_on(whole, fds if held is None else held)
        if held is not None:
            held.release(self)

    def _hand_on(self, messages: bytes, fds: FileDescriptorArray | None) -> None:
        if self._refused:
            return
        try:
            super().message_received(messages, fds)
        except (ValueError, RecursionError) as error:  # not UTF-8, a number of 5,000 digits, [[[[...
            self.stop(f"not a Varlink message: {error}")

    def stop(self, reason: str) -> None:
        """Take nothing more from this connection."""
        if not self._refused:
            self._refused = True
            self.drop()
            self.refuse(reason)

    @property
    def quiet(self) -> bool:
        """Whether nothing has come that waits to be handed on."""
        return not self._consumer_queue and not self._begun

    def drop(self) -> None:
        """Forget what has begun."""
        self._begun = bytearray()
        held, self._held = self._held, None
        if held is not None:
            held.release(self)
