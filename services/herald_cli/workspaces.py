"""reset, stash, own: the workspace of a project's agent."""

import os
from argparse import Namespace

from herald import survey
from herald.bus.blocking import call
from herald.errors import Invalid
from herald_cli.output import print_json, print_note

_DEADLINE = 1000.0
"""Seconds: everything in the workspace is looked at."""


def reset(arguments: Namespace) -> int:
    """`heraldctl reset`: the list; with --yes the reset."""
    project = project_of(arguments.project or arguments.given)
    if arguments.yes:
        key = f"heraldctl-{os.urandom(12).hex()}"
        done = call("worker", "Reset", {"key": key, "project": project}, deadline=_DEADLINE)
        lines = survey.reset_lines(done)
    else:
        done = call("worker", "Survey", {"project": project}, deadline=_DEADLINE)
        lines = survey.survey_lines(done)
    print_json(done) if arguments.json else print("\n".join(lines))
    if not arguments.yes and done["made"] and not arguments.json:
        print_note(f"nothing was changed; `heraldctl reset {project} --yes` resets it")
    return 0


def stash(arguments: Namespace) -> int:
    """`heraldctl stash`."""
    project = project_of(arguments.project or arguments.given)
    done = call("worker", "Stash", {"project": project}, deadline=_DEADLINE)
    print_json(done) if arguments.json else print(survey.stash_line(project, stashed=done["stashed"]))
    return 0


def own(arguments: Namespace) -> int:
    """`heraldctl own`."""
    project = project_of(arguments.project or arguments.given)
    path = next(each["path"] for each in _projects() if each["name"] == project)
    done = call("worker", "Own", {"project": project}, deadline=_DEADLINE)
    print_json(done) if arguments.json else print(survey.own_line(project, path, changed=done["changed"]))
    return 0


def project_of(named: str | None) -> str:
    """The project that is named, or the only one that there is. Raises Invalid."""
    known = [each["name"] for each in _projects()]
    if named in known:
        return str(named)
    if named:
        raise Invalid(f"there is no project named {named!r} (known: {', '.join(known) or 'none'})")
    if len(known) != 1:
        raise Invalid(f"name a project: {', '.join(known) or 'none is configured yet'}")
    return str(known[0])


def _projects() -> list[dict[str, str]]:
    projects: list[dict[str, str]] = call("worker", "ListProjects")["projects"]
    return projects
