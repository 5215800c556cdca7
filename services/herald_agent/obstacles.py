"""What lies in the way of a checkout: moved to the kept folder and named, never overwritten, ignored or not."""

import os
import shutil
import stat
import time

from herald_agent import process
from herald_agent.git import Git
from herald_agent.tree import unlike

MOVED = "In the way of the checkout, and moved to"

_LONG = 300.0
_NAMED = 5
_TOGETHER = 1000
"""Paths in the arguments of one command."""


def check_out(git: Git, kept: str, target: str, notes: list[str]) -> process.Output:
    """Check out a branch or a commit, with what is in its way moved. Raises Failed, OSError."""
    arguments = ("checkout", "--quiet", "--no-overwrite-ignore", "--no-guess", target, "--")
    output = git.attempt(*arguments, deadline=_LONG)
    names = named(output)
    untracked = [
        os.fsdecode(path)
        for at in range(0, len(names), _TOGETHER)
        for path in git.listed("--literal-pathspecs", "ls-files", "-z", "--others", "--", *names[at : at + _TOGETHER])
    ]
    if not untracked:
        return output
    files: list[str] = git.inside(lambda: [path for path in untracked if _is_file(os.path.join(git.folder, path))])
    same = set(files) - set(unlike(git, target, files))
    folder = os.path.join(kept, time.strftime("%Y%m%d-%H%M%S", time.gmtime()))
    git.inside(lambda: _clear(git.folder, folder, untracked, same))
    tell_of_moved(kept, [path for path in untracked if path not in same], notes)
    return git.attempt(*arguments, deadline=_LONG)


def named(output: process.Output) -> list[str]:
    """The paths for which git refused a checkout."""
    lines = output.err.split(b"\n") if output.code else []
    return [os.fsdecode(line[1:]) for line in lines if line.startswith(b"\t")]


def tell_of_moved(kept: str, moved: list[str], notes: list[str]) -> None:
    """Name what was moved."""
    if moved:
        notes.append(f"{MOVED} {kept}: {some(moved)}.")


def some(paths: list[str]) -> str:
    """The first of the paths, and how many more there are."""
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(os.fsencode(path).decode("utf-8", "replace") for path in paths[:_NAMED]) + more


def _is_file(path: str) -> bool:
    """In the child."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _clear(place: str, kept: str, paths: list[str], same: set[str]) -> None:
    """In the child: what the checkout writes anyway goes, the rest is moved."""
    for path in paths:
        source, target = os.path.join(place, path), os.path.join(kept, path)
        if path in same:
            os.unlink(source)
        else:
            os.makedirs(os.path.dirname(target.rstrip("/")), 0o700, exist_ok=True)
            shutil.move(source.rstrip("/"), target.rstrip("/"))
