"""The methods of io.herald.Agent. Everything is imported at once: the worker connects before it has all to ask."""

from typing import Any

from herald.bus.oneshot import Call, Descriptor, Method
from herald_agent.check import check
from herald_agent.clone import clone
from herald_agent.discard import discard
from herald_agent.give_submodule import give_submodule
from herald_agent.largefiles import get_large_file, list_large_files, put_large_file
from herald_agent.prepare import prepare
from herald_agent.reset import reset, stash, survey
from herald_agent.run import run
from herald_agent.take_submodule import list_submodules, take_submodule
from herald_agent.update import update


def _prepare(call: Call) -> dict[str, Any]:
    return prepare(call.parameters)


def _check(_call: Call) -> dict[str, Any]:
    return check()


def _clone(call: Call) -> dict[str, Any]:
    return clone(call.parameters)


def _discard(call: Call) -> dict[str, Any]:
    return discard(call.parameters)


def _update(call: Call) -> dict[str, Any]:
    return update(call.parameters)


def _survey(call: Call) -> dict[str, Any]:
    return survey(call.parameters)


def _reset(call: Call) -> dict[str, Any]:
    return reset(call.parameters)


def _stash(call: Call) -> dict[str, Any]:
    return stash(call.parameters)


def _take_submodule(call: Call) -> dict[str, Any]:
    return take_submodule(call.parameters)


def _list_submodules(call: Call) -> dict[str, Any]:
    return list_submodules(call.parameters)


def _give_submodule(call: Call) -> dict[str, Any]:
    return give_submodule(call.parameters)


def _list_large_files(call: Call) -> dict[str, Any]:
    return list_large_files(call.parameters)


def _get_large_file(call: Call) -> dict[str, Any]:
    return get_large_file(call.parameters)


def _put_large_file(call: Call) -> dict[str, Any]:
    return put_large_file(call.parameters)


_PLACE: dict[str, type] = {"project": str, "workspace": str}
_LARGE_FILE: dict[str, type] = {**_PLACE, "oid": str, "size": int, "file": Descriptor}

METHODS = {
    "Check": Method(_check, {}),
    "Prepare": Method(
        _prepare,
        {**_PLACE, "have": list, "pack": Descriptor, "every": bool, "also": list},
        {"every": False, "also": []},
    ),
    "Update": Method(
        _update,
        {
            **_PLACE,
            "base": str,
            "default_branch": str,
            "default_head": str,
            "have": list,
            "pack": Descriptor,
        },
    ),
    "TakeSubmodule": Method(
        _take_submodule,
        {
            **_PLACE,
            "path": str,
            "names": list,
            "url": str,
            "commit": str,
            "have": list,
            "pack": Descriptor,
            "problem": str,
        },
        {"problem": ""},
    ),
    "ListSubmodules": Method(_list_submodules, {**_PLACE, "wanted": list}),
    "GiveSubmodule": Method(_give_submodule, {**_PLACE, "path": str, "commit": str, "have": list, "pack": Descriptor}),
    "Survey": Method(_survey, _PLACE),
    "Reset": Method(_reset, {**_PLACE, "keep": bool}, {"keep": False}),
    "Stash": Method(_stash, _PLACE),
    "ListLargeFiles": Method(_list_large_files, {**_PLACE, "oids": list}),
    "GetLargeFile": Method(_get_large_file, _LARGE_FILE),
    "PutLargeFile": Method(_put_large_file, _LARGE_FILE),
    "Run": Method(
        run,
        {
            "run": str,
            **_PLACE,
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
            "default_branch": str,
            "default_head": str,
        },
        {"bootstrap": False, "default_branch": "", "default_head": ""},
    ),
    "Clone": Method(_clone, {"project": str, "branch": str, "head": str, "pack": Descriptor}),
    "Discard": Method(_discard, {**_PLACE, "branch": str, "head": str, "base": str}, {"base": ""}),
}
