"""From a typed interface to Varlink: the one place where annotations become wire types."""

import inspect
import types
from collections.abc import AsyncIterator, Callable
from typing import Any, get_args, get_origin

from asyncvarlink import TypedVarlinkErrorReply, VarlinkInterface, varlinkmethod

from herald.errors import CLASSES
from herald.interfaces.interface import Interface


def methods_of(interface: type[Interface]) -> dict[str, Callable[..., Any]]:
    """The methods on the wire by name."""
    return {name: value for name, value in vars(interface).items() if name[0].isupper() and callable(value)}


def streams_of(interface: type[Interface]) -> frozenset[str]:
    """The methods that answer more than once."""
    return frozenset(name for name, method in methods_of(interface).items() if inspect.isasyncgenfunction(method))


def errors_of(interface: type[Interface]) -> dict[str, type[TypedVarlinkErrorReply]]:
    """The error replies of an interface by wire code; each carries a message for people."""
    return {code: _error(interface, code) for code in CLASSES}


def _error(interface: type[Interface], code: str) -> type[TypedVarlinkErrorReply]:
    def body(namespace: dict[str, Any]) -> None:
        namespace["Parameters"] = type("Parameters", (), {"__annotations__": {"message": str}})
        namespace["__doc__"] = CLASSES[code].__doc__

    made = types.new_class(code, (TypedVarlinkErrorReply,), {"interface": interface.interface}, body)
    assert issubclass(made, TypedVarlinkErrorReply)
    return made


Implement = Callable[[str, bool], Callable[..., Any]]
"""Gives the coroutine function, or (true) async generator function, that stands behind a method of that name."""


def _stub(_name: str, streams: bool) -> Callable[..., Any]:
    """What a caller needs, who only looks at the types."""

    async def single(self: object, **parameters: Any) -> Any:
        raise NotImplementedError

    async def stream(self: object, **parameters: Any) -> AsyncIterator[Any]:  # noqa: ARG001
        raise NotImplementedError
        yield

    return stream if streams else single


def derive(interface: type[Interface], implement: Implement = _stub) -> type[VarlinkInterface]:
    """The asyncvarlink interface of a typed one."""

    def body(namespace: dict[str, Any]) -> None:
        namespace["__doc__"] = interface.__doc__
        namespace["errors"] = tuple(errors_of(interface).values())
        for name, method in methods_of(interface).items():
            namespace[name] = _varlink_method(name, method, implement)

    made = types.new_class(interface.__name__, (VarlinkInterface,), {"name": interface.interface}, body)
    assert issubclass(made, VarlinkInterface)
    return made


def _varlink_method(name: str, method: Callable[..., Any], implement: Implement) -> Any:
    signature = inspect.signature(method, eval_str=True)
    streams = inspect.isasyncgenfunction(method)
    function: Any = implement(name, streams)
    function.__doc__ = method.__doc__
    function.__name__ = name
    function.__signature__ = signature
    if streams:
        return varlinkmethod(function, delay_generator=False)
    return varlinkmethod(function, return_parameter=_list_parameter(name, signature.return_annotation))


def _list_parameter(name: str, annotation: Any) -> str | None:
    """A list travels under a name of its own: ListTasks answers `tasks`, Propose, a list[Proposal], `proposals`."""
    if get_origin(annotation) is not list:
        return None
    if name.startswith("List"):
        return name.removeprefix("List").lower()
    (item,) = get_args(annotation)
    return str(item.__name__).lower() + "s"


def describe(interface: type[Interface]) -> str:
    """The interface text, as the golden file holds it."""
    return derive(interface).render_interface_description()


def list_parameter(interface: type[Interface], name: str) -> str | None:
    """The name under which a method's list travels; None for any other reply."""
    method = methods_of(interface)[name]
    return _list_parameter(name, inspect.signature(method, eval_str=True).return_annotation)
