"""The methods of io.herald.Agent. What an act needs is imported when it is called: an instance does one act."""

from typing import Any

from herald.bus.oneshot import Call, Descriptor, Method


def _prepare(call: Call) -> dict[str, Any]:
    from herald_agent.prepare import prepare

    return prepare(call.parameters)


def _run(call: Call) -> None:
    from herald_agent.run import run

    run(call)


def _discard(call: Call) -> dict[str, Any]:
    from herald_agent.discard import discard

    return discard(call.parameters)


METHODS = {
    "Prepare": Method(_prepare, {"project": str, "have": list, "pack": Descriptor}),
    "Run": Method(
        _run,
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
        },
    ),
    "Discard": Method(_discard, {"project": str, "branch": str, "head": str}),
}
