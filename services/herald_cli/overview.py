"""status, projects: what Herald is doing."""

import contextlib
from argparse import Namespace
from typing import Any

from herald.bus.blocking import call
from herald.errors import HeraldError, Unavailable
from herald_cli.output import clock, line_of, print_json, print_table

_PARTS = ("worker", "gateway")
_DEADLINE = 3.0


def show_status(arguments: Namespace) -> int:
    """`heraldctl status`: each long-running part in a line, then what runs and what is wrong."""
    found: dict[str, dict[str, Any]] = {}
    problems: dict[str, HeraldError] = {}
    for part in _PARTS:
        try:
            found[part] = call(part, "GetStatus", deadline=_DEADLINE)
        except HeraldError as error:
            problems[part] = error
    if found.get("worker", {}).get("missing"):
        found["worker"] = _looked_again()
    if len(problems) == len(_PARTS):
        raise problems[_PARTS[0]]
    if arguments.json:
        print_json(found | {part: {"error": error.message} for part, error in problems.items()})
    else:
        print_table((part, found[part]["duty"] if part in found else problems[part].message) for part in _PARTS)
        _print_worker(found.get("worker"))
    return Unavailable.exit_code if problems else 0


def _looked_again() -> dict[str, Any]:
    """The worker's status after it has asked the agent's unit: what it lacked may have been put there just now."""
    with contextlib.suppress(HeraldError):
        call("worker", "CheckAgent", deadline=_DEADLINE)
    return call("worker", "GetStatus", deadline=_DEADLINE)


def _print_worker(status: dict[str, Any] | None) -> None:
    for task in status["running"] if status else ():
        since = clock(task["started_at"])
        print(f"running {task['id']} of {task['project']} since {since}: {line_of(task['text'])[:60]}")
    for error in status["config_errors"] if status else ():
        print(f"configuration: {line_of(error)}")
    for heading in ("missing", "not_held"):
        for each in status.get(heading, ()) if status else ():  # a worker of the version before does not say it
            print(f"{heading.replace('_', ' ')}: {line_of(each)}")


def show_projects(arguments: Namespace) -> int:
    """`heraldctl projects`."""
    found = call("worker", "ListProjects")["projects"]
    if arguments.json:
        print_json(found)
    elif not found:
        print("no project is configured yet")
    else:
        print_table(
            (
                each["name"],
                each["display_name"],
                each["path"],
                "enabled" if each["enabled"] else "disabled",
                f"{each['queued']} queued",
            )
            for each in found
        )
    return 0
