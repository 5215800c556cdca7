"""What lay in a workspace before a run and is tracked by nothing: nobody's work, and a person's to keep."""

import os
import shutil
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from herald_agent import process
from herald_agent.git import Git, refused

_ASIDE = "herald-aside"
"""In the git folder of a person's clone, thus on the same disk, and no file of anybody's commits."""

REPLACED = "Something else is where"
_LONG = 900.0


class Beforehand(NamedTuple):
    """Untracked and ignored files from before a run; a folder with a slash at its end stands for all that is in it."""

    untracked: Sequence[str] = ()
    ignored: Sequence[str] = ()


NOTHING = Beforehand()


class Places:
    """A set of such paths that knows what is in its folders."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = {os.fsencode(path) for path in paths}

    def __contains__(self, path: bytes) -> bool:
        if path in self._paths:
            return True
        end = path.find(b"/")
        while end >= 0:
            if path[: end + 1] in self._paths:
                return True
            end = path.find(b"/", end + 1)
        return False


def ignored(git: Git) -> list[str]:
    """What git ignores; a folder that it ignores as a whole is one entry with a slash at its end. Raises Failed."""
    listed = git.listed("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", deadline=_LONG)
    found: list[bytes] = []
    for path in sorted(listed):
        if found and found[-1].endswith(b"/") and path.startswith(found[-1]):
            found.pop()  # git also names a folder in which there is nothing else
        found.append(path)
    return [os.fsdecode(path) for path in found]


def unstage(git: Git, before: Beforehand) -> None:
    """Take out of a person's index what a plain `git add` of the agent put there of what lay there before.

    What git ignores now nevertheless was added on purpose. Raises Failed.
    """
    untracked, hidden = Places(before.untracked), Places(before.ignored)
    options = ("-z", "--cached", "--name-only", "--no-renames", "--diff-filter=A", "--ignore-submodules=all")
    added = git.listed("diff-index", *options, "HEAD", "--", deadline=_LONG) if any(before) else []
    doubtful = [path for path in added if path in hidden]
    on_purpose = still_ignored(git, doubtful)
    drop(git, [path for path in added if path in untracked or (path in hidden and path not in on_purpose)])


def still_ignored(git: Git, paths: list[bytes]) -> set[bytes]:
    """Those that git ignores, tracked or not."""
    if not paths:
        return set()
    given = b"".join(path + b"\0" for path in paths)
    output = git.attempt("check-ignore", "-z", "--stdin", "--no-index", given=given, deadline=_LONG)
    return set(output.out.split(b"\0")[:-1])


def drop(git: Git, paths: list[bytes]) -> None:
    """Take paths out of the index, whatever lies there. Raises Failed."""
    if not paths:
        return
    given = b"".join(path + b"\0" for path in paths)
    output = git.attempt("update-index", "-z", "--force-remove", "--stdin", given=given, deadline=_LONG)
    if output.code != 0:
        raise refused("update-index", output)


def hold(git: Git, git_folder: str, before: Beforehand) -> None:
    """Before a checkout in a person's folder: hold what lay there before and is tracked now, as that removes it.

    Raises Failed, OSError.
    """
    if not any(before):
        return
    places = Places([*before.untracked, *before.ignored])
    tracked = [os.fsdecode(path) for path in git.listed("ls-files", "-z", deadline=_LONG) if path in places]
    if tracked:
        git.inside(lambda: _hold(git.folder, os.path.join(git_folder, _ASIDE), tracked))


def give_back(git: Git, git_folder: str, notes: list[str]) -> None:
    """After the checkout, or one that was cut off: put back what is gone. Raises Failed, OSError."""
    aside = os.path.join(git_folder, _ASIDE)
    left: list[str] = git.inside(lambda: _give_back(git.folder, aside))
    if left:
        names = ", ".join(name.encode("utf-8", "replace").decode() for name in left[:5])
        notes.append(f"{REPLACED} files from before the run lay; they are in {aside}: {names}.")


def _hold(place: str, aside: str, paths: list[str]) -> None:
    """In the child. A further name of a file costs nothing and keeps its bytes: git writes no file in place."""
    for path in paths:
        source, target = os.path.join(place, path), os.path.join(aside, path)
        if not os.path.lexists(source) or (os.path.isdir(source) and not os.path.islink(source)):
            continue
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        if os.path.lexists(target):
            os.unlink(target)
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError:  # another disk, or one that knows no further names
            shutil.copy2(source, target, follow_symlinks=False)


def _give_back(place: str, aside: str) -> list[str]:
    """In the child; returns what has no place any more."""
    left = []
    for folder, folders, files in os.walk(aside):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for source in (os.path.join(folder, name) for name in (*files, *links)):
            path = os.path.relpath(source, aside)
            target = os.path.join(place, path)
            if os.path.lexists(target):
                continue
            try:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.move(source, target)
            except (FileExistsError, NotADirectoryError):
                left.append(path)
    if not left:
        process.remove_tree(aside)
    return left
