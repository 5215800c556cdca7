"""The serving end of units that systemd starts for one connection (Accept=yes): the connection is fd 0.

Lean on purpose: no asyncio and no asyncvarlink, which would more than double the time to the first byte.
Parameters are checked against the declared types; the golden interface file is what introspection shows, and a
test holds both against the typed interface.
"""

import os
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from herald import __version__, journal, notify
from herald.bus import limits
from herald.bus.frames import Frames, close_all
from herald.errors import Failed, HeraldError, Invalid, Unavailable

_FRAME = 1 << 20
_SERVICE = "org.varlink.service"


class Descriptor:
    """Marks a parameter that is a passed file descriptor; the handler gets an int that it owns."""


class Records:
    """Marks a parameter that is a list of objects; what is in them the handler checks."""


class Call:
    """One call: its parameters, checked, and the way to answer."""

    def __init__(self, method: str, parameters: dict[str, Any], frames: Frames) -> None:
        self.method = method
        self.parameters = parameters
        self.caller_gone = False
        self._frames = frames

    def is_abandoned(self) -> bool:
        """Whether the caller has gone away: what takes long and can be made again need not go on."""
        return self._frames.is_hung_up()

    def reply(self, parameters: dict[str, Any], *, continues: bool = False) -> None:
        """Answer now. A caller that has gone away is no error: the act goes on without it."""
        message: dict[str, Any] = {"parameters": parameters}
        if continues:
            message["continues"] = True
        self.send(message)

    def send(self, message: dict[str, Any]) -> None:
        """Send a whole reply message."""
        try:
            self._frames.send(message)
        except OSError:
            self.caller_gone = True


class Method(NamedTuple):
    """A method: its handler, the types of its parameters, and defaults for those that may be left out.

    Types are str, int, float, bool, list (of str), Records and Descriptor. A handler returns its final reply, or None
    when it has replied itself; a HeraldError that it raises becomes the error reply.
    """

    handler: Callable[[Call], dict[str, Any] | None]
    parameters: dict[str, type]
    defaults: dict[str, Any] = {}  # noqa: RUF012 - never changed


def serve(
    interface: str, methods: dict[str, Method], connection: socket.socket | None = None, *, open_to_people: bool = False
) -> None:
    """Serve one act, and questions about the interface before it; then the unit ends, and with it every lock it holds.

    Half a request and a clean end are the same: nothing is done. A caller that says nothing does not keep the place.
    `open_to_people`: the table says who may call; else the mode of the socket alone, which is the worker's.
    """
    connection = connection or socket.socket(fileno=0)
    notify.ready()
    frames = Frames(connection, _FRAME)
    forbidden = _forbidden_by_table(connection) if open_to_people else None
    while True:
        try:
            connection.settimeout(limits.PARTIAL_FRAME)
            received = frames.receive()
            connection.settimeout(None)
        except Invalid as error:
            Call("", {}, frames).send({"error": f"{interface}.{error.code}", "parameters": {"message": error.message}})
            return
        except (ConnectionError, TimeoutError):
            return
        if received is None:
            frames.close()
            return
        if forbidden is not None and forbidden(str(received[0].get("method"))):
            close_all(received[1])
            Call("", {}, frames).send({"error": f"{_SERVICE}.PermissionDenied", "parameters": {}})
            return
        if _answer(interface, methods, frames, *received):
            return


def _forbidden_by_table(connection: socket.socket) -> Callable[[str], bool]:
    from herald.bus import callers  # only here: the others hold a socket that nobody but the worker may use

    caller = callers.identify(connection)
    callers.becomes(caller)

    def forbidden(method: str) -> bool:
        interface, _, name = method.rpartition(".")
        if caller.may_call(interface, name):
            return False
        journal.warning(f"{caller.kind} {caller.name} may not call {method[:200]}")
        return True

    return forbidden


def _answer(
    interface: str, methods: dict[str, Method], frames: Frames, message: dict[str, Any], descriptors: list[int]
) -> bool:
    """Answer one call; true when it was an act."""
    name = message.get("method")
    given = message.get("parameters", {})
    call = Call(str(name), {}, frames)
    if not isinstance(name, str) or not isinstance(given, dict):
        close_all(descriptors)
        call.send({"error": f"{_SERVICE}.InvalidParameter", "parameters": {"parameter": "method"}})
        return False
    owner, _, short = name.rpartition(".")
    if owner == _SERVICE:
        close_all(descriptors)
        call.send(_introspect(interface, short, given))
        return False
    method = methods.get(short)
    if owner != interface or method is None:
        close_all(descriptors)
        call.send({"error": f"{_SERVICE}.MethodNotFound", "parameters": {"method": name}})
        return False
    wrong = _check(method, given, descriptors, call.parameters)
    if wrong:
        close_all(descriptors)
        call.send({"error": f"{_SERVICE}.InvalidParameter", "parameters": {"parameter": wrong}})
        return False
    call.method = short
    _handle(interface, method, call)
    return True


def _handle(interface: str, method: Method, call: Call) -> None:
    """The boundary of a call: what a handler raises becomes a reply; the unknown is reported and ends the unit."""
    try:
        reply = method.handler(call)
    except HeraldError as error:
        problem = error
    except OSError as error:
        problem = Unavailable(f"{error.strerror or error}: {error.filename or 'no file'}")
        journal.error(f"{call.method}: {problem.message}")
    except Exception:
        import traceback  # as large as everything else here together, and hardly ever needed

        journal.error(f"{call.method} failed unexpectedly\n{traceback.format_exc()}")
        problem = Failed("an internal error; `journalctl -t herald-*` has the details")
        call.send({"error": f"{interface}.{problem.code}", "parameters": {"message": problem.message}})
        raise
    else:
        if reply is not None:
            call.reply(reply)
        return
    call.send({"error": f"{interface}.{problem.code}", "parameters": {"message": problem.message}})


_JSON_TYPES: dict[type, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (int, float),
    bool: (bool,),
    list: (list,),
    Records: (list,),
}
_ENTRIES: dict[type, type] = {list: str, Records: dict}


def _check(method: Method, given: dict[str, Any], descriptors: list[int], into: dict[str, Any]) -> str:
    """Fill `into` with checked parameters; returns the name of the first wrong one. Takes used descriptors out."""
    for name in given:
        if name not in method.parameters:
            return name
    taken: set[int] = set()
    for name, kind in method.parameters.items():
        if given.get(name) is None:
            if name not in method.defaults:
                return name
            into[name] = method.defaults[name]
            continue
        value = given[name]
        if kind is Descriptor:
            if type(value) is not int or not 0 <= value < len(descriptors) or value in taken:
                return name
            taken.add(value)
            into[name] = descriptors[value]
        elif type(value) not in _JSON_TYPES[kind] or (
            kind in _ENTRIES and not all(type(each) is _ENTRIES[kind] for each in value)
        ):
            return name
        else:
            into[name] = value
    close_all([fd for index, fd in enumerate(descriptors) if index not in taken])
    return ""


def _introspect(interface: str, method: str, given: dict[str, Any]) -> dict[str, Any]:
    if method == "GetInfo":
        info = {"vendor": "Herald", "product": interface, "version": __version__, "url": "https://varlink.org"}
        return {"parameters": {**info, "interfaces": [interface, _SERVICE]}}
    if method != "GetInterfaceDescription":
        return {"error": f"{_SERVICE}.MethodNotFound", "parameters": {"method": f"{_SERVICE}.{method}"}}
    wanted = given.get("interface")
    if wanted != interface:
        return {"error": f"{_SERVICE}.InterfaceNotFound", "parameters": {"interface": str(wanted)}}
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "interfaces", f"{interface}.varlink")
    with open(path, encoding="utf-8") as file:
        return {"parameters": {"description": file.read()}}
