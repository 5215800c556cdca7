"""What both asyncio ends of the bus add to asyncvarlink's connection: a message is gathered within limits.

asyncvarlink 0.3 buffers without bound, copies what it has for each further piece, loses descriptors that come with
the first piece of a long message, and answers nothing to bytes that are no JSON.
"""

import asyncio
from typing import Any

from asyncvarlink import FileDescriptorArray, VarlinkProtocol, VarlinkTransport

from herald.bus import limits


class Transport(VarlinkTransport):
    """A connection that is read in larger pieces and takes few descriptors."""

    RECV_BUFFER_SIZE = 1 << 16
    MAX_RECV_FDS = limits.DESCRIPTORS

    def send_message(self, data: bytes, fds: list[int] | None = None) -> asyncio.Future[None]:
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
        *ends, rest = data.split(b"\0")
        for end in ends:
            self._complete(end, fds)
            fds = None
        if rest and not self._refused:
            self._begin(rest, fds)

    def _begin(self, piece: bytes, fds: FileDescriptorArray | None) -> None:
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
        if self._refused:
            return
        held, self._held = self._held, None
        whole = bytes(self._begun) + end + b"\0"
        if self._begun:
            self._begun = bytearray()
            self.message_ends()
        try:
            super().message_received(whole, fds if held is None else held)
        except (ValueError, RecursionError) as error:  # not UTF-8, a number of 5,000 digits, [[[[...
            self.stop(f"not a Varlink message: {error}")
        finally:
            if held is not None:
                held.release(self)

    def stop(self, reason: str) -> None:
        """Take nothing more from this connection."""
        if not self._refused:
            self._refused = True
            self.drop()
            self.refuse(reason)

    def drop(self) -> None:
        """Forget what has begun."""
        self._begun = bytearray()
        held, self._held = self._held, None
        if held is not None:
            held.release(self)
