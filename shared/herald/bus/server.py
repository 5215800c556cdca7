"""The serving end of the long-running services.

Closes the known gaps of asyncvarlink 0.3: a backlog of one, no limit for a message, no notion of the caller, no
answer to what is not JSON, an accept loop that ends with the first error.
"""

import asyncio
import errno
import resource
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from asyncvarlink import (
    FileDescriptorArray,
    GenericVarlinkErrorReply,
    VarlinkInterfaceRegistry,
    VarlinkInterfaceServerProtocol,
    VarlinkMethodCall,
    VarlinkTransport,
)
from asyncvarlink.serviceinterface import PermissionDenied, VarlinkServiceInterface

from herald import __version__, journal
from herald.bus import callers, limits, varlink
from herald.errors import Failed, HeraldError, Invalid
from herald.interfaces.interface import Interface

_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.1
"""Seconds without accepting when the kernel has no room for another connection."""


class _Transport(VarlinkTransport):
    RECV_BUFFER_SIZE = 1 << 16


class _Protocol(VarlinkInterfaceServerProtocol):
    """One connection: its caller, its limits."""

    def __init__(self, server: "Server", registry: VarlinkInterfaceRegistry, caller: callers.Caller) -> None:
        super().__init__(registry)
        self._server = server
        self._caller = caller
        self._pending = 0
        self._impatience: asyncio.TimerHandle | None = None
        self._streams: set[asyncio.Future[None]] = set()
        self._refused = False

    def message_received(self, data: bytes, fds: FileDescriptorArray | None) -> None:
        if self._refused:
            return
        last = data.rfind(b"\0")
        self._pending = self._pending + len(data) if last < 0 else len(data) - last - 1
        if self._pending > limits.FRAME:
            self._refuse(f"a message may have {limits.FRAME} bytes; larger things travel as file descriptors")
            return
        self._watch_partial()
        super().message_received(data, fds)

    def _watch_partial(self) -> None:
        if self._impatience is not None and not self._pending:
            self._impatience.cancel()
            self._impatience = None
        elif self._impatience is None and self._pending:
            loop = asyncio.get_running_loop()
            self._impatience = loop.call_later(limits.PARTIAL_FRAME, self._refuse, "the message was not completed")

    def _refuse(self, reason: str) -> None:
        """Say why and end the connection: what follows on it cannot be told apart any more."""
        journal.warning(f"connection of {self._caller.name} ended: {reason}", caller=self._caller.name)
        self._refused = True
        self._recv_buffer = b""
        interface = self._server.interface.interface
        self.send_error(GenericVarlinkErrorReply(f"{interface}.{Invalid.code}", {"message": reason}))
        self.close()

    def error_received(self, err: Exception, data: bytes, fds: FileDescriptorArray | None) -> None:  # noqa: ARG002
        self._refuse(f"not a Varlink message: {err}")

    def call_received(self, call: VarlinkMethodCall, fds: FileDescriptorArray | None) -> asyncio.Future[None] | None:
        if not self._caller.may_call(call.method_interface, call.method_name):
            journal.warning(f"{self._caller.kind} {self._caller.name} may not call {call.method}")
            raise PermissionDenied
        token = callers.becomes(self._caller)
        try:
            work = super().call_received(call, fds)
        finally:
            callers.leaves(token)
        return work if work is None or not call.more else self._own(work)

    def _own(self, work: asyncio.Future[None]) -> asyncio.Future[None]:
        """Keep a stream, so that it ends with its connection; asyncvarlink itself takes no cancellation.

        Other calls go on when their caller leaves: what follows a commit must not be skipped.
        """
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def pass_on(done: asyncio.Future[None]) -> None:
            self._streams.discard(done)
            error = None if done.cancelled() else done.exception()
            if error is not None:
                ended.set_exception(error)
            else:
                ended.set_result(None)

        self._streams.add(work)
        work.add_done_callback(pass_on)
        return ended

    def handle_call_exception(self, exc: BaseException, oneway: bool) -> None:  # noqa: ARG002
        """The boundary of a call for what no handler foresaw: reported in full, answered in one line."""
        self._server.report(exc)
        problem = Failed("an internal error; the journal of the service has the details")
        raise GenericVarlinkErrorReply(
            f"{self._server.interface.interface}.{problem.code}", {"message": problem.message}
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
        for stream in list(self._streams):
            stream.cancel()
        self._server.forget(self)
        super().connection_lost(exc)


class Server:
    """Serves one interface on a listening socket."""

    def __init__(
        self, interface: type[Interface], implementation: Interface, report: Callable[[BaseException], None]
    ) -> None:
        self.interface = interface
        self.report = report
        self._registry = VarlinkInterfaceRegistry()
        self._registry.register_interface(
            VarlinkServiceInterface("Herald", interface.interface, __version__, "https://varlink.org", self._registry)
        )
        self._registry.register_interface(varlink.derive(interface, _binder(interface, implementation))())
        self._open: dict[_Protocol, VarlinkTransport] = {}
        self._listening: socket.socket | None = None

    def listen(self, listening: socket.socket) -> None:
        """Begin to accept."""
        _raise_descriptor_limit()
        listening.setblocking(False)
        listening.listen(limits.BACKLOG)
        self._listening = listening
        asyncio.get_running_loop().add_reader(listening, self._accept)

    def _accept(self) -> None:
        assert self._listening is not None
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS:
                raise
            self._pause(_PAUSE)
            return
        connection.setblocking(False)
        try:
            caller = callers.identify(connection)
        except OSError:
            connection.close()  # gone before it was looked at
            return
        protocol = _Protocol(self, self._registry, caller)
        self._open[protocol] = _Transport(asyncio.get_running_loop(), connection, connection, protocol)
        if len(self._open) >= limits.CONNECTIONS:
            self._pause(None)

    def _pause(self, seconds: float | None) -> None:
        assert self._listening is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening)
        if seconds is not None:
            loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._listening is not None and self._listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def forget(self, protocol: _Protocol) -> None:
        """A connection has ended."""
        was_full = len(self._open) >= limits.CONNECTIONS
        self._open.pop(protocol, None)
        if was_full:
            self._resume()

    def close(self) -> None:
        """Stop accepting and end all connections; the socket itself belongs to the service manager."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        for transport in list(self._open.values()):
            transport.abort()


def _binder(interface: type[Interface], implementation: Interface) -> Callable[[str, bool], Callable[..., Any]]:
    errors = varlink.errors_of(interface)

    def bind(name: str, streams: bool) -> Callable[..., Any]:
        method = getattr(implementation, name)

        async def single(**parameters: Any) -> Any:
            try:
                return await method(**parameters)
            except HeraldError as error:
                raise errors[error.code](message=error.message) from error

        async def stream(**parameters: Any) -> AsyncIterator[Any]:
            try:
                async for item in method(**parameters):
                    yield item
            except HeraldError as error:
                raise errors[error.code](message=error.message) from error

        return stream if streams else single

    return bind


def _raise_descriptor_limit() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS + 256
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
