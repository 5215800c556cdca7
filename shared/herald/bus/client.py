"""The calling end in asyncio: an object with the type of the interface.

Adds to asyncvarlink what it lacks: a deadline on every call, reconnect with jitter, a bound on the calls in
flight, a connection of its own for each long call. Only calls that carry an idempotency key, or only read, are
made again after a connection broke in the middle.
"""

import asyncio
import contextlib
import random
import select
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, TypeVar, cast

from asyncvarlink import (
    FileDescriptorArray,
    VarlinkClientProtocol,
    VarlinkInterface,
    VarlinkMethodCall,
    VarlinkMethodReply,
    VarlinkMethodSignature,
    varlinksignature,
)
from asyncvarlink.conversion import ConversionError, FileDescriptorVarlinkType
from asyncvarlink.types import JSONObject

from herald import names
from herald.bus import limits, varlink
from herald.bus.wire import Gathering, Socket, Transport
from herald.errors import Failed, HeraldError, Invalid, Unavailable, of_code
from herald.interfaces.interface import Interface

_I = TypeVar("_I", bound=Interface)


class Lost(Unavailable):
    """The connection ended before the answer: the call may or may not have been carried out."""


class _Protocol(Gathering, VarlinkClientProtocol):
    """A service that breaks the rules of the wire has ended the connection."""

    def refuse(self, reason: str) -> None:
        self.connection_lost(ConnectionAbortedError(reason))

    def error_received(self, err: Exception, data: bytes, fds: FileDescriptorArray | None) -> None:  # noqa: ARG002
        self.stop(f"not a Varlink message: {err}")

    def request_received(self, obj: JSONObject, fds: FileDescriptorArray | None) -> None:
        if self._pending:
            super().request_received(obj, fds)
        else:
            self.stop("an answer to nothing")

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop()
        pending = list(self._pending)
        super().connection_lost(exc)
        for call in pending:  # one that nobody awaits any more is not worth a line in the journal
            future = call.future if isinstance(call, self._PendingReply) else call.replies[-1].future
            if future.done() and not future.cancelled():
                future.exception()


class _Connection(NamedTuple):
    """One connection, strictly one call at a time."""

    poll: select.poll
    transport: Transport
    protocol: _Protocol

    @property
    def sound(self) -> bool:
        """Whether a call can be made: the other end may have gone, or said too much, which is yet to be seen."""
        return not self.transport.is_closing() and self.protocol.quiet and not self.poll.poll(0)

    @classmethod
    async def open(cls, path: str) -> "_Connection":
        """Connect, again and again with jitter; the deadline is the caller's."""
        loop = asyncio.get_running_loop()
        while True:
            connection = Socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            try:
                connection.connect(path)  # never blocks; loop.sock_connect takes a full backlog for a success
            except (ConnectionRefusedError, FileNotFoundError, BlockingIOError):
                connection.close()
                await asyncio.sleep(random.uniform(0.02, 0.2))
            except BaseException:
                connection.close()
                raise
            else:
                poll = select.poll()
                poll.register(connection, select.POLLIN)
                protocol = _Protocol()
                opened = cls(poll, Transport(loop, connection, connection, protocol), protocol)
                protocol.connection_made(opened.transport)  # the transport itself does so a moment later
                return opened

    def close(self) -> None:
        """End it, whatever is under way."""
        self.transport.abort()


class _Method(NamedTuple):
    """How one method travels."""

    name: str
    full_name: str
    signature: VarlinkMethodSignature
    list_name: str | None

    def call(self, parameters: dict[str, Any], fds: FileDescriptorArray) -> VarlinkMethodCall:
        """The message; descriptors are put into `fds`. Raises Invalid."""
        try:
            given = self.signature.parameter_type.tojson(parameters, {FileDescriptorVarlinkType: fds})
        except ConversionError as error:
            raise Invalid(f"{self.full_name}: {error.message} at {error.location}") from error
        return VarlinkMethodCall(self.full_name, given, more=self.signature.more)

    def result(self, reply: VarlinkMethodReply) -> Any:
        """What the reply says. Raises the HeraldError of the reply, and Failed when the types are wrong."""
        if reply.error is not None:
            raise _error(reply)
        try:
            result = self.signature.return_type.fromjson(reply.parameters)
        except ConversionError as error:
            raise Failed(f"the answer of {self.full_name} is wrong: {error.message} at {error.location}") from error
        return result if self.list_name is None else result[self.list_name]


def _error(reply: VarlinkMethodReply) -> HeraldError:
    code, parameters = reply.error_name, reply.parameters
    if code == "InvalidParameter":
        return Invalid(f"parameter {parameters.get('parameter')!r} is missing, unknown or of the wrong type")
    if code == "PermissionDenied":
        return of_code("Denied", f"{reply.error_interface}: this user may not call that")
    return of_code(code, str(parameters.get("message", parameters or code)))


class Peer:
    """The callable side of one interface; use `peer`, which gives it the interface's type."""

    def __init__(self, interface: type[Interface], deadline: float) -> None:
        self._methods = _methods_of(interface)
        self._service = interface.interface.rpartition(".")[2].lower()
        self._deadline = deadline
        self._keeps = self._service in names.LONG_RUNNING  # any other serves one call, then ends
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(limits.IN_FLIGHT)

    def __getattr__(self, name: str) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise AttributeError(name)
        carry_out: Callable[[_Method, dict[str, Any]], Any] = self._stream if method.signature.more else self._call

        def bound(**parameters: Any) -> Any:
            return carry_out(method, parameters)

        setattr(self, name, bound)
        return bound

    async def _call(self, method: _Method, parameters: dict[str, Any]) -> Any:
        repeatable = "key" in parameters or method.name.startswith(("Get", "List"))
        try:
            async with asyncio.timeout(self._deadline), self._slots:
                while True:
                    try:
                        return await self._call_once(method, parameters)
                    except Lost:
                        if not repeatable:
                            raise
                    await asyncio.sleep(random.uniform(0.02, 0.2))
        except TimeoutError as error:
            raise self._silent(method, error) from error

    async def _call_once(self, method: _Method, parameters: dict[str, Any]) -> Any:
        with FileDescriptorArray.new_managed() as fds:
            call = method.call(parameters, fds)
            connection = self._take_idle() or await self._open()
            try:
                answer = await connection.protocol.call(call, [fd.fileno() for fd in fds])
            except (OSError, ValueError, TypeError) as error:  # what is no reply is taken for the end
                connection.close()
                raise self._lost(method, error) from error
            except BaseException:
                connection.close()
                raise
        self._put_back(connection)
        assert answer is not None
        return method.result(answer[0])

    def _put_back(self, connection: _Connection) -> None:
        if self._keeps:
            self._idle.append(connection)
        else:
            connection.close()

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.sound:
                return connection
            connection.close()
        return None

    async def _open(self) -> _Connection:
        try:
            return await _Connection.open(names.socket_path(self._service))
        except OSError as error:
            raise Lost(f"herald-{self._service} cannot be reached: {error}") from error

    async def _stream(self, method: _Method, parameters: dict[str, Any]) -> AsyncIterator[Any]:
        with FileDescriptorArray.new_managed() as fds:
            call = method.call(parameters, fds)
            try:
                async with asyncio.timeout(self._deadline):
                    connection = self._take_idle() or await self._open()
            except TimeoutError as error:
                raise self._silent(method, error) from error
            with contextlib.closing(connection):
                replies = connection.protocol.call_more(call, [fd.fileno() for fd in fds])
                try:
                    async with contextlib.aclosing(replies):
                        async for reply, _ in replies:
                            yield method.result(reply)
                except (OSError, ValueError, TypeError) as error:
                    raise self._lost(method, error) from error

    def _silent(self, method: _Method, error: TimeoutError) -> Unavailable:
        del error
        return Unavailable(f"herald-{self._service} did not answer {method.name} within {self._deadline:g} s")

    def _lost(self, method: _Method, error: Exception) -> Lost:
        return Lost(f"herald-{self._service} ended the connection before it answered {method.name}: {error}")

    async def connect(self) -> _Connection:
        """A connection that the next call takes. Raises Lost."""
        connection = await self._open()
        self._idle.append(connection)
        return connection

    def give_up(self, connection: _Connection) -> None:
        """End a connection, unless a call has taken it."""
        if connection in self._idle:
            self._idle.remove(connection)
            connection.close()

    def close(self) -> None:
        """End the idle connections."""
        while self._idle:
            self._idle.pop().close()


_derived: dict[type[Interface], dict[str, _Method]] = {}


def _methods_of(interface: type[Interface]) -> dict[str, _Method]:
    """All methods of an interface; derived once, however many peers there are."""
    if interface not in _derived:
        derived = varlink.derive(interface)
        methods = {name: _method(interface, derived, name) for name in varlink.methods_of(interface)}
        _derived[interface] = methods
    return _derived[interface]


def _method(interface: type[Interface], derived: type[VarlinkInterface], name: str) -> _Method:
    signature = varlinksignature(getattr(derived, name))
    assert signature is not None
    return _Method(name, f"{interface.interface}.{name}", signature, varlink.list_parameter(interface, name))


@contextlib.asynccontextmanager
async def connected_ahead(*peers: Interface) -> AsyncIterator[None]:
    """Connect while the calls are still being prepared: a unit that is started for one act starts meanwhile.

    What no call has taken is given up at the end of the block. That a connection does not come about is no error
    here: the call itself tries again.
    """
    ends = [cast(Peer, each) for each in peers]
    connecting = [asyncio.create_task(each.connect()) for each in ends]
    try:
        yield
    finally:
        for task in connecting:
            task.cancel()
        for each, outcome in zip(ends, await asyncio.gather(*connecting, return_exceptions=True), strict=True):
            if isinstance(outcome, _Connection):
                each.give_up(outcome)


def peer(interface: type[_I], deadline: float = limits.DEADLINE) -> _I:
    """An object of the interface's type whose methods call the service; `deadline` in seconds for each call.

    Every method may raise the errors of `herald.errors`: Unavailable when nobody answers in time, Lost when the
    connection broke and the call cannot be made again safely.
    """
    return cast(_I, Peer(interface, deadline))
