"""What only the index of a run says, and no look at its files shows: submodules that were added, files that are tracked
no more although they lie there, ignored ones that were added all the same.

The index goes with the repository that is made anew. What was in it is a claim: each is checked against the files.
"""

import os
import stat
from typing import NamedTuple

from herald_agent import beforehand, submodules
from herald_agent.beforehand import Beforehand, Places
from herald_agent.changes import Changes
from herald_agent.git import Git
from herald_agent.submodule_checkout import hold_one, within

_LONG = 900.0


class Claims(NamedTuple):
    """Paths of the index that differ from the commit: new submodules, removed ones, other new ones."""

    submodules: list[bytes]
    removed: list[bytes]
    added: list[bytes]


def read(git: Git, head: str) -> Claims:
    """Before the repository is made anew; `head` is where the run's branch is."""
    found = Claims([], [], [])
    options = ("-z", "--raw", "--cached", "--no-renames")
    if not head or not git.attempt("ls-files", "-z", deadline=_LONG).out:
        return found  # an index that is gone claims nothing
    output = git.attempt("diff-index", *options, head, "--", deadline=_LONG)
    fields = output.out.split(b"\0") if output.code == 0 else []
    for words, path in zip(fields[::2], fields[1::2], strict=False):
        old, new, _, _, status = words.removeprefix(b":").split(b" ")
        if not _is_plain(path):
            continue
        if new == submodules.GITLINK != old:
            found.submodules.append(path)
        elif status == b"D" and old != submodules.GITLINK:
            found.removed.append(path)
        elif status == b"A":
            found.added.append(path)
    return found


def take(git: Git, claimed: Claims, found: Changes, before: Beforehand, branch: str) -> Changes:
    """Add to the changes what of the claims the files bear out. Raises Failed, OSError."""
    links = _submodules(git, claimed.submodules)
    for path in links:
        hold_one(submodules.in_submodule(git, os.fsdecode(path)), branch)
    strangers = Places(before.untracked)
    added = [path for path in claimed.added if path not in strangers]
    there = {path for path, is_there in zip(added, _are_there(git, added), strict=True) if is_there}
    hidden = beforehand.still_ignored(git, [*claimed.removed, *there])
    removed = [path for path in claimed.removed if path in hidden]
    inside = git.listed("--literal-pathspecs", "ls-files", "-z", "--", *map(os.fsdecode, links)) if links else []
    beforehand.drop(git, [*removed, *inside])
    passed_over, replaced = {*removed, *links}, Places(f"{os.fsdecode(path)}/" for path in links)
    left = [path for path in found.paths if path not in passed_over and path not in replaced]
    taken = [*links, *(path for path in added if path in there & hidden and path not in found.paths)]
    names = {f"{os.fsdecode(path)}/" for path in links}
    return found._replace(
        paths=[*left, *taken],
        staged=found.staged or bool(removed),
        repositories=[name for name in found.repositories if name not in names],
    )


def _is_plain(path: bytes) -> bool:
    """Whether this is a path that a checkout may write; an index that somebody made by hand can hold any."""
    return not any(part.lower() in (b"", b".", b"..", b".git") for part in path.split(b"/"))


def _submodules(git: Git, paths: list[bytes]) -> list[bytes]:
    """Those that `.gitmodules` names and whose repositories are where those of submodules are."""
    output = git.attempt("config", "--file", ".gitmodules", "--no-includes", "--null", "--get-regexp", r"\.path$")
    named = {entry.partition(b"\n")[2] for entry in output.out.split(b"\0")} if output.code == 0 else set()
    wanted = [os.fsdecode(path) for path in paths if path in named][: submodules.MOST]
    there = submodules.repositories_of(git, wanted, within(git))
    return [os.fsencode(path) for path in there if submodules.in_submodule(git, path).commit_of("HEAD")]


def _are_there(git: Git, paths: list[bytes]) -> list[bool]:
    found: list[bool] = git.inside(lambda: [_is_file(git.folder, path) for path in paths]) if paths else []
    return found


def _is_file(place: str, path: bytes) -> bool:
    """In the child: whether it is a file or a link; one behind a link is not."""
    top = os.path.realpath(os.fsencode(place))
    parent = os.path.join(top, os.path.dirname(path)).rstrip(b"/")
    try:
        mode = os.lstat(os.path.join(top, path)).st_mode
    except OSError:
        return False
    return os.path.realpath(parent) == parent and (stat.S_ISREG(mode) or stat.S_ISLNK(mode))
