"""The serving end of the long-running services.

Closes the known gaps of asyncvarlink 0.3: a backlog of one, no notion of the caller, an accept loop that ends with
the first error, a stream that is kept for a caller who has gone.
"""

import asyncio
import errno
import resource
import select
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from asyncvarlink import (
    FileDescriptorArray,
    GenericVarlinkErrorReply,
    VarlinkInterfaceRegistry,
    VarlinkInterfaceServerProtocol,
    VarlinkMethodCall,
)
from asyncvarlink.serviceinterface import PermissionDenied, VarlinkServiceInterface

from herald import __version__, journal
from herald.bus import callers, limits, varlink
from herald.bus.wire import Gathering, Socket, Transport
from herald.errors import Failed, HeraldError, Invalid
from herald.interfaces.interface import Interface

_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.1
"""Seconds without accepting when there is no room for another connection."""
_SPARE = 256
"""Descriptors that are left to the rest of the service."""


class _Protocol(Gathering, VarlinkInterfaceServerProtocol):
    """One connection: its caller, its limits."""

    def __init__(self, server: "Server", connection: socket.socket, caller: callers.Caller) -> None:
        super().__init__(server.registry)
        self._server = server
        self._connection = connection
        self._caller = caller
        self._impatience: asyncio.TimerHandle | None = None
        self._stream: asyncio.Future[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._inflight

    def message_begins(self) -> None:
        self._impatience = asyncio.get_running_loop().call_later(limits.PARTIAL_FRAME, self._tire)

    def message_ends(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()

    def _tire(self) -> None:
        if self.idle:
            self.stop("the message was not completed")
        else:  # nothing is read while a call is under way
            self.message_begins()

    def refuse(self, reason: str) -> None:
        journal.warning(f"connection of {self._caller.name} ended: {reason}", caller=self._caller.name)
        interface = self._server.interface.interface
        self.send_error(GenericVarlinkErrorReply(f"{interface}.{Invalid.code}", {"message": reason}))
        self.close()

    def error_received(self, err: Exception, data: bytes, fds: FileDescriptorArray | None) -> None:  # noqa: ARG002
        self.stop(f"not a Varlink message: {err}")

    def call_received(self, call: VarlinkMethodCall, fds: FileDescriptorArray | None) -> asyncio.Future[None] | None:
        if self._refused:
            return None  # came before what was refused, and is not answered any more
        self._server.used(self)
        if not self._caller.may_call(call.method_interface, call.method_name):
            journal.warning(f"{self._caller.kind} {self._caller.name} may not call {call.method}")
            raise PermissionDenied
        token = callers.becomes(self._caller)
        try:
            work: asyncio.Future[None] | None = super().call_received(call, fds)
        finally:
            callers.leaves(token)
        if work is not None and call.method_name in self._server.streams:
            self._stream = work
            # Later, because asyncvarlink pauses its own reading once this has returned.
            asyncio.get_running_loop().call_soon(self._listen_for_leaving)
        return work

    def _on_receiver_completes(
        self, backpressure_fut: asyncio.Future[None], oneway: bool, call_fut: asyncio.Future[None]
    ) -> None:
        """A call has ended. Only a stream ends with its connection: what follows a commit must not be skipped."""
        if self._stream is call_fut:
            self._stop_listening_for_leaving()
            self._stream = None
        if call_fut.cancelled():  # which asyncvarlink does not expect
            backpressure_fut.set_result(None)
        else:
            super()._on_receiver_completes(backpressure_fut, oneway, call_fut)

    def _maybe_close_if_idle(self) -> None:
        """A caller that closed its half gets the answers to all it sent before."""
        if not self._consumer_queue:
            super()._maybe_close_if_idle()

    def _listen_for_leaving(self) -> None:
        if self._stream is not None and self._connection.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._connection, self._look_for_leaving)

    def _stop_listening_for_leaving(self) -> None:
        if self._connection.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._connection)

    def _look_for_leaving(self) -> None:
        """Something came while a stream goes on: the end of the connection, or a call that has to wait."""
        self._stop_listening_for_leaving()
        poll = select.poll()
        poll.register(self._connection, 0)
        if poll.poll(0):  # hung up: nobody reads on
            self._server.end(self)

    def handle_call_exception(self, exc: BaseException, oneway: bool) -> None:  # noqa: ARG002
        """The boundary of a call for what no handler foresaw: reported in full, answered in one line."""
        self._server.report(exc)
        problem = Failed("an internal error; the journal of the service has the details")
        raise GenericVarlinkErrorReply(
            f"{self._server.interface.interface}.{problem.code}", {"message": problem.message}
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop()
        self.message_ends()
        if self._stream is not None:
            self._stop_listening_for_leaving()
            self._stream.cancel()
        self._server.forget(self)
        super().connection_lost(exc)


class Server:
    """Serves one interface on a listening socket."""

    def __init__(
        self, interface: type[Interface], implementation: Interface, report: Callable[[BaseException], None]
    ) -> None:
        self.interface = interface
        self.report = report
        self.streams = varlink.streams_of(interface)
        self.registry = VarlinkInterfaceRegistry()
        self.registry.register_interface(
            VarlinkServiceInterface("Herald", interface.interface, __version__, "https://varlink.org", self.registry)
        )
        self.registry.register_interface(varlink.derive(interface, _binder(interface, implementation))())
        self._open: dict[_Protocol, Transport] = {}  # the one that was used longest ago is first
        self._places = limits.CONNECTIONS
        self._listening: socket.socket | None = None

    def listen(self, listening: socket.socket) -> None:
        """Begin to accept."""
        self._places = _make_places()
        listening.setblocking(False)
        listening.listen(limits.BACKLOG)
        self._listening = listening
        self._resume()

    def _accept(self) -> None:
        assert self._listening is not None
        if len(self._open) >= self._places and not self._make_room():
            self._pause()
            return
        try:
            connection = Socket(fileno=self._listening.accept()[0].detach())
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS:
                raise
            self._pause()
            return
        connection.setblocking(False)
        try:
            caller = callers.identify(connection)
        except OSError as error:
            connection.close()
            self.report(error)
            return
        protocol = _Protocol(self, connection, caller)
        self._open[protocol] = Transport(asyncio.get_running_loop(), connection, connection, protocol)

    def _make_room(self) -> bool:
        """End the connection that has been idle longest; false when each has a call under way."""
        longest = next((protocol for protocol in self._open if protocol.idle), None)
        if longest is not None:
            self.end(longest)
        return longest is not None

    def _pause(self) -> None:
        assert self._listening is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening)
        loop.call_later(_PAUSE, self._resume)

    def _resume(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def used(self, protocol: _Protocol) -> None:
        """A connection is in use: the others have been idle longer."""
        transport = self._open.pop(protocol, None)
        if transport is not None:
            self._open[protocol] = transport

    def end(self, protocol: _Protocol) -> None:
        """End a connection at once."""
        transport = self._open.pop(protocol, None)
        if transport is not None:
            transport.abort()

    def forget(self, protocol: _Protocol) -> None:
        """A connection has ended."""
        self._open.pop(protocol, None)

    def close(self) -> None:
        """Stop accepting and end all connections; the socket itself belongs to the service manager."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        for protocol in list(self._open):
            self.end(protocol)


def _binder(interface: type[Interface], implementation: Interface) -> Callable[[str, bool], Callable[..., Any]]:
    errors = varlink.errors_of(interface)

    def bind(name: str, streams: bool) -> Callable[..., Any]:
        method = getattr(implementation, name)

        async def single(_: object, **parameters: Any) -> Any:
            try:
                return await method(**parameters)
            except HeraldError as error:
                raise errors[error.code](message=error.message) from error

        async def stream(_: object, **parameters: Any) -> AsyncIterator[Any]:
            try:
                async for item in method(**parameters):
                    yield item
            except HeraldError as error:
                raise errors[error.code](message=error.message) from error

        return stream if streams else single

    return bind


def _make_places() -> int:
    """Raise the limit of open descriptors as far as it goes; returns how many connections may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return limits.CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(limits.CONNECTIONS, soft - _SPARE))
