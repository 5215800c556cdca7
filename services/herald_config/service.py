"""The methods of io.herald.Config. Pydantic and YAML are imported by the first call, not at the start."""

from typing import TYPE_CHECKING, Any

from herald import journal
from herald.bus.oneshot import Call, Method, Records
from herald.errors import Denied, Invalid

if TYPE_CHECKING:
    from herald.interfaces.config import Compiled

_MOST_SETTINGS = 100


def check(_call: Call) -> dict[str, Any]:
    """Config.Check."""
    from herald_config import compiler

    return {**compiler.check()}


def reload(_call: Call) -> dict[str, Any]:
    """Config.Reload."""
    from herald_config import compiler, problem

    compiled = compiler.reload()
    for line in problem.lines_of(compiled["problems"]):
        journal.error(line)
    return _told(compiled)


def add_project(call: Call) -> dict[str, Any]:
    """Config.AddProject."""
    name, settings = _asked(call)
    from herald_config import changing

    compiled = changing.add(name, settings)
    if compiled["problems"]:
        return {**compiled}  # nothing happened; the caller tells
    journal.notice(f"project {name} was added by {_caller()}")
    return _told(compiled)


def set_project(call: Call) -> dict[str, Any]:
    """Config.SetProject."""
    name, settings = _asked(call)
    from herald_config import changing

    compiled = changing.change(name, settings)
    if compiled["problems"]:
        return {**compiled}
    journal.notice(f"project {name}: {', '.join(key for key, _ in settings)} set by {_caller()}")
    return _told(compiled)


def _told(compiled: "Compiled") -> dict[str, Any]:
    for notice in compiled["notices"]:
        journal.notice(notice)
    if compiled["changed"]:
        journal.notice(f"configuration generation {compiled['generation']} is in force")
    return {**compiled}


def _asked(call: Call) -> "tuple[str, list[tuple[str, str]]]":
    """The project and its settings; only an approver may change what holds for a project."""
    from herald import people, snapshot
    from herald.bus import callers

    name = call.parameters["name"]
    caller = callers.current()
    if caller.kind == "person":
        role = people.role_of(snapshot.read(), caller.author, name)
        if not people.may(role, "approver"):
            raise Denied(f"{caller.name} is no approver of project {name[:60]!r}; ask one, or root")
    settings = []
    for each in call.parameters["settings"]:
        key, value = each.get("key"), each.get("value")
        if set(each) != {"key", "value"} or not isinstance(key, str) or not isinstance(value, str):
            raise Invalid("each setting has a key and a value, both texts")
        settings.append((key, value))
    if len(settings) > _MOST_SETTINGS:
        raise Invalid(f"{len(settings)} settings at once; at most {_MOST_SETTINGS} are taken")
    return name, settings


def _caller() -> str:
    from herald.bus import callers

    return callers.current().author


_SETTINGS: dict[str, type] = {"name": str, "settings": Records}
METHODS = {
    "Check": Method(check, {}),
    "Reload": Method(reload, {}),
    "AddProject": Method(add_project, _SETTINGS),
    "SetProject": Method(set_project, _SETTINGS),
}
