"""The methods of io.herald.Config. Pydantic and YAML are imported by the first call, not at the start."""

from typing import Any

from herald import journal
from herald.bus.oneshot import Call


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
    for notice in compiled["notices"]:
        journal.notice(notice)
    if compiled["changed"]:
        journal.notice(f"configuration generation {compiled['generation']} is in force")
    return {**compiled}
