"""The methods of io.herald.Agent. Everything is imported at once: the worker connects before it has all to ask."""

from typing import Any

from herald.bus.oneshot import Call, Descriptor, Method
from herald_agent.check import check
from herald_agent.clone import clone
from herald_agent.discard import discard
from herald_agent.prepare import prepare
from herald_agent.run import run


def _prepare(call: Call) -> dict[str, Any]:
    return prepare(call.parameters)


def _check(_call: Call) -> dict[str, Any]:
    return check()


def _clone(call: Call) -> dict[str, Any]:
    return clone(call.parameters)


def _discard(call: Call) -> dict[str, Any]:
    return discard(call.parameters)


METHODS = {
    "Check": Method(_check, {}),
    "Prepare": Method(_prepare, {"project": str, "have": list, "pack": Descriptor}),
    "Run": Method(
        run,
        {
            "run": str,
            "project": str,
            "branch": str,
            "base": str,
            "session": str,
            "resume": bool,
            "deadline": float,
            "title": str,
            "prompt": Descriptor,
            "base_pack": Descriptor,
            "lock": Descriptor,
            "result": Descriptor,
            "pack": Descriptor,
            "log": Descriptor,
            "control": Descriptor,
            "attachments": Descriptor,
            "bootstrap": bool,
        },
        {"bootstrap": False},
    ),
    "Clone": Method(_clone, {"project": str, "branch": str, "head": str, "pack": Descriptor}),
    "Discard": Method(_discard, {"project": str, "branch": str, "head": str}),
}
