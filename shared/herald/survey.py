"""What a survey and a reset of a workspace say to people, in chat and on the command line."""

from collections.abc import Mapping
from typing import Any

Answer = Mapping[str, Any]
"""What the worker answers; the command line has no types for it."""

_MOST_BRANCHES = 20
_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def survey_lines(found: Answer) -> list[str]:
    """How much lies in a workspace, what is not pushed, and what a reset does to it."""
    name = found["project"]
    if found["problem"]:
        lines = [f"The workspace of {name} cannot be read: {found['problem']}"]
    elif not found["made"]:
        return [f"The workspace of {name} has not been made yet; there is nothing to reset."]
    else:
        where = f"The folder of {name}, {found['folder']}" if found["folder"] else f"The workspace of {name}"
        untracked = _count(found["untracked"], "untracked or ignored entry", "untracked or ignored entries")
        size = f"{_size(found['bytes'])} in {_count(found['files'], 'file')}"
        lines = [f"{where}: {size}, {untracked}, {_count(found['uncommitted'], 'uncommitted change')}."]
    branches = found["branches"]
    lines += ["Not pushed:"] if branches else ["All commits of the agent are pushed."] if not found["problem"] else []
    lines += [f"• {_branch(each)}" for each in branches[:_MOST_BRANCHES]]
    lines += [f"• … and {len(branches) - _MOST_BRANCHES} more"] if len(branches) > _MOST_BRANCHES else []
    lines += found["unkept"]
    return [*lines, _effect(found)]


def reset_lines(done: Answer) -> list[str]:
    """What a reset has done."""
    lines = [f"The workspace of {done['project']} is reset; it is prepared again now."]
    if done["kept"]:
        lines.append("Kept for 30 days; `heraldctl fetch REF` in your clone brings one back:")
        lines += [f"• {each['branch']} at {each['head'][:12]}: {each['ref'] or each['file']}" for each in done["kept"]]
    lines += [f"Note: {each}" for each in done["notes"]]
    if done["set_aside"]:
        lines.append(f"The old workspace is kept as {done['set_aside']}.")
    return lines


def stash_line(project: str, *, stashed: bool) -> str:
    """What a stash has done."""
    if not stashed:
        return f"There is nothing to stash in the folder of {project}."
    return (
        f"The uncommitted changes in the folder of {project} are stashed; `git stash pop` there brings them back."
        " Send the task again."
    )


def own_line(project: str, path: str, *, changed: bool) -> str:
    """What a change to an own clone means."""
    if not changed:
        return f"The agent of {project} already works in a clone of its own."
    return (
        f"From now on the agent of {project} works in a clone of its own. {path} stays as it is. Send the task again."
    )


def _effect(found: Answer) -> str:
    if (found["problem"] or found["unkept"]) and not found["folder"]:
        return "A reset sets the workspace aside, where nothing of it is lost, and makes a new one."
    if found["folder"]:
        return (
            "A reset runs `git reset --hard` and `git clean -ffdx` there: uncommitted changes, untracked and ignored"
            " files are deleted. Commits and branches stay."
        )
    return (
        "A reset deletes the workspace and makes it anew: uncommitted changes, untracked and ignored files are lost."
        " Unpushed commits are kept for 30 days, open cards can still be voted on."
    )


def _branch(branch: Answer) -> str:
    commits = "number of commits unknown" if branch["commits"] < 0 else _count(branch["commits"], "commit")
    card = f", open card {branch['proposal']}" if branch["proposal"] else ""
    return f"{branch['branch']} at {branch['head'][:12]}, {commits}{card}"


def _count(number: int, noun: str, nouns: str = "") -> str:
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def _size(size: int) -> str:
    number, unit = float(size), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{size} bytes"
