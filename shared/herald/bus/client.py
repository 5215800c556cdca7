"""The calling end in asyncio: an object with the type of the interface.

Adds to asyncvarlink what it lacks: a deadline on every call, reconnect with jitter, a bound on the calls in
flight, a connection of its own for each long call. Only calls that carry an idempotency key, or only read, are
made again after a connection broke in the middle.
"""

import asyncio
import inspect
import random
import socket
from collections.abc import AsyncIterator
from typing import Any, TypeVar, cast

from asyncvarlink import VarlinkClientProtocol, VarlinkErrorReply, VarlinkInterface, VarlinkTransport
from asyncvarlink.conversion import ConversionError

from herald import names
from herald.bus import limits, varlink
from herald.errors import Invalid, Unavailable, of_code
from herald.interfaces.interface import Interface

_I = TypeVar("_I", bound=Interface)


class Lost(Unavailable):
    """The connection ended before the answer: the call may or may not have been carried out."""


class _Transport(VarlinkTransport):
    RECV_BUFFER_SIZE = 1 << 16


class _Protocol(VarlinkClientProtocol):
    """Closing a connection under a call that nobody awaits any more is no error worth a line in the journal."""

    def connection_lost(self, exc: Exception | None) -> None:
        pending = list(self._pending)
        super().connection_lost(exc)
        for call in pending:
            future = call.future if isinstance(call, self._PendingReply) else call.replies[-1].future
            if future.done() and not future.cancelled():
                future.exception()


class _Connection:
    """One connection, strictly one call at a time."""

    def __init__(self, transport: VarlinkTransport, proxy: Any) -> None:
        self.transport = transport
        self.proxy = proxy

    @classmethod
    async def open(cls, path: str, interface: type[VarlinkInterface]) -> "_Connection":
        """Connect, again and again with jitter; the deadline is the caller's."""
        loop = asyncio.get_running_loop()
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            try:
                await loop.sock_connect(connection, path)
            except (ConnectionRefusedError, FileNotFoundError, BlockingIOError):
                connection.close()
                await asyncio.sleep(random.uniform(0.02, 0.2))
            except BaseException:
                connection.close()
                raise
            else:
                protocol = _Protocol()
                transport = _Transport(loop, connection, connection, protocol)
                await asyncio.sleep(0)  # lets the transport introduce itself to the protocol
                return cls(transport, protocol.make_proxy(interface))

    def close(self) -> None:
        """End it, whatever is under way."""
        self.transport.abort()


class Peer:
    """The callable side of one interface; use `peer`, which gives it the interface's type."""

    def __init__(self, interface: type[Interface], deadline: float) -> None:
        self._typed = interface
        self._interface = varlink.derive(interface)
        self._methods = varlink.methods_of(interface)
        self._lists = {name: varlink.list_parameter(interface, name) for name in self._methods}
        self._service = interface.interface.rpartition(".")[2].lower()
        self._deadline = deadline
        self._keeps = self._service in names.LONG_RUNNING  # any other serves one call, then ends
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(limits.IN_FLIGHT)

    def __getattr__(self, name: str) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise AttributeError(name)
        if inspect.isasyncgenfunction(method):
            return lambda **parameters: self._stream(name, parameters)
        return lambda **parameters: self._call(name, parameters)

    async def _call(self, name: str, parameters: dict[str, Any]) -> Any:
        repeatable = "key" in parameters or name.startswith(("Get", "List"))
        try:
            async with asyncio.timeout(self._deadline), self._slots:
                while True:
                    try:
                        return await self._call_once(name, parameters)
                    except Lost:
                        if not repeatable:
                            raise
                    await asyncio.sleep(random.uniform(0.02, 0.2))
        except TimeoutError as error:
            raise Unavailable(f"herald-{self._service} did not answer {name} within {self._deadline:g} s") from error

    async def _call_once(self, name: str, parameters: dict[str, Any]) -> Any:
        connection = self._take_idle() or await self._open()
        try:
            result = await getattr(connection.proxy, name)(**parameters)
        except VarlinkErrorReply as error:
            self._put_back(connection)
            raise self._error(error) from error
        except ConversionError as error:
            connection.close()
            raise Invalid(f"{self._typed.interface}.{name}: {error.message} at {error.location}") from error
        except OSError as error:
            connection.close()
            raise Lost(f"herald-{self._service} ended the connection before it answered {name}") from error
        except BaseException:
            connection.close()
            raise
        self._put_back(connection)
        return result if self._lists[name] is None else result[self._lists[name]]

    def _put_back(self, connection: _Connection) -> None:
        if self._keeps:
            self._idle.append(connection)
        else:
            connection.close()

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _open(self) -> _Connection:
        try:
            return await _Connection.open(names.socket_path(self._service), self._interface)
        except OSError as error:
            raise Lost(f"herald-{self._service} cannot be reached: {error}") from error

    async def _stream(self, name: str, parameters: dict[str, Any]) -> AsyncIterator[Any]:
        try:
            async with asyncio.timeout(self._deadline):
                connection = await self._open()
        except TimeoutError as error:
            raise Unavailable(f"herald-{self._service} did not answer within {self._deadline:g} s") from error
        try:
            async for item in getattr(connection.proxy, name)(**parameters):
                yield item
        except VarlinkErrorReply as error:
            raise self._error(error) from error
        except OSError as error:
            raise Lost(f"herald-{self._service} ended the stream {name}") from error
        finally:
            connection.close()

    def _error(self, error: VarlinkErrorReply) -> Exception:
        code = error.name.rpartition(".")[2]
        parameters = error.paramstojson()
        if code == "InvalidParameter":
            return Invalid(f"parameter {parameters.get('parameter')!r} is missing, unknown or of the wrong type")
        if code == "PermissionDenied":
            return of_code("Denied", f"herald-{self._service} does not allow that to this user")
        return of_code(code, str(parameters.get("message", parameters or code)))

    def close(self) -> None:
        """End the idle connections."""
        while self._idle:
            self._idle.pop().close()


def peer(interface: type[_I], deadline: float = limits.DEADLINE) -> _I:
    """An object of the interface's type whose methods call the service; `deadline` in seconds for each call.

    Every method may raise the errors of `herald.errors`: Unavailable when nobody answers in time, Lost when the
    connection broke and the call cannot be made again safely.
    """
    return cast(_I, Peer(interface, deadline))
