"""The calling end without asyncio: for the command line, the try command and other short programs."""

import random
import socket
import time
from collections.abc import Iterator
from typing import Any

from herald import names
from herald.bus import limits
from herald.bus.frames import Frames, close_all
from herald.errors import Busy, Denied, Failed, HeraldError, Invalid, Unavailable, of_code


def call(
    service: str,
    method: str,
    parameters: dict[str, Any] | None = None,
    *,
    deadline: float = limits.DEADLINE,
    fds: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Call a method and return its reply. A descriptor parameter is given as its index into `fds`.

    Raises the HeraldError of the reply, Unavailable when nobody answers within `deadline` seconds, Denied when this
    user may not connect, and Busy when a unit that serves one connection at a time has no place.
    """
    until = time.monotonic() + deadline
    with _connect(service, until) as connection:
        frames = Frames(connection, limits.FRAME)
        _send(service, frames, method, parameters, fds, more=False)
        connection.settimeout(max(0.001, until - time.monotonic()))
        try:
            return _reply(service, frames)[0]
        except TimeoutError as error:
            raise Unavailable(f"herald-{service} did not answer {method} within {deadline:g} s") from error


def stream(
    service: str,
    method: str,
    parameters: dict[str, Any] | None = None,
    *,
    deadline: float = limits.DEADLINE,
    fds: tuple[int, ...] = (),
) -> Iterator[dict[str, Any]]:
    """Call a method that answers more than once; `deadline` bounds the connecting alone.

    Ends when the service says that nothing follows. Raises Unavailable when the connection breaks before.
    """
    with _connect(service, time.monotonic() + deadline) as connection:
        frames = Frames(connection, limits.FRAME)
        _send(service, frames, method, parameters, fds, more=True)
        connection.settimeout(None)
        continues = True
        while continues:
            reply, continues = _reply(service, frames)
            yield reply


def _connect(service: str, until: float) -> socket.socket:
    path = names.socket_path(service)
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connection.settimeout(max(0.001, until - time.monotonic()))
        try:
            connection.connect(path)
        except (ConnectionRefusedError, TimeoutError, BlockingIOError) as error:
            connection.close()
            pause = random.uniform(0.02, 0.1)
            if time.monotonic() + pause >= until:
                raise Unavailable(f"herald-{service} does not answer at {path}") from error
            time.sleep(pause)
        except FileNotFoundError as error:
            connection.close()
            from herald import membership  # only where something is wrong

            raise Unavailable(f"Herald is not running: there is no {path}; {membership.start()}") from error
        except PermissionError as error:
            connection.close()
            from herald import membership  # likewise

            raise Denied(membership.refusal(path)) from error
        else:
            return connection


def _send(
    service: str, frames: Frames, method: str, parameters: dict[str, Any] | None, fds: tuple[int, ...], *, more: bool
) -> None:
    full_name = method if "." in method else f"{names.interface_of(service)}.{method}"
    message: dict[str, Any] = {"method": full_name, "parameters": parameters or {}}
    if more:
        message["more"] = True
    try:
        frames.send(message, fds)
    except TimeoutError as error:
        raise Unavailable(f"herald-{service} does not take the call {method} in") from error
    except ConnectionError as error:
        raise _ended(service) from error


def _ended(service: str) -> HeraldError:
    """What a reset means: systemd resets a connection to a unit that has no place for another one."""
    if service in names.ON_CONNECT:
        return Busy(f"herald-{service} has no place for another connection")
    return Unavailable(f"herald-{service} ended the connection before it answered")


def _reply(service: str, frames: Frames) -> tuple[dict[str, Any], bool]:
    try:
        received = frames.receive()
    except ConnectionError as error:
        raise _ended(service) from error
    if received is None:
        raise Unavailable(f"herald-{service} ended the connection before it answered")
    message, descriptors = received
    close_all(descriptors)
    parameters = message.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Failed(f"the answer of herald-{service} is wrong: its parameters are no object")
    name = message.get("error")
    if name is None:
        return parameters, bool(message.get("continues"))
    raise _error(service, str(name), parameters)


def _error(service: str, name: str, parameters: dict[str, Any]) -> HeraldError:
    """What an error reply says."""
    code = name.rpartition(".")[2]
    if code == "InvalidParameter":
        return Invalid(f"parameter {parameters.get('parameter')!r} is missing, unknown or of the wrong type")
    if code == "MethodNotFound":
        return Invalid(f"there is no method {parameters.get('method')}")
    if code == "PermissionDenied":
        return Denied(f"this user may not call that of {names.interface_of(service)}; PROTOCOL.md says who may")
    return of_code(code, str(parameters.get("message", parameters or code)))
