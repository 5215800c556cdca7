"""Tracked files of an own workspace made equal to a commit; what stays beside them.

Git is told by an index that Herald saved itself which files are as the last checkout wrote them; whatever looks
different is written again. Git would delete what is in the way of a file without a word, so that is moved away first.
"""

import os
import shutil
import stat
import time
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from herald_agent.git import Git

_LONG = 900.0
"""Seconds for a checkout, which grows with the size of the repository."""

_MOST_PATTERNS = 10_000
_FIELDS = 5
_GITLINK = "160000"
_SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "\\*?[]!# "})


class Ground(Protocol):
    """A folder of files, and where those go that are in the way."""

    @property
    def folder(self) -> str:
        """The files."""

    @property
    def kept(self) -> str:
        """Where to move what is in the way."""


class Entry(NamedTuple):
    """One line of a raw diff: how the path is in the index and how in the commit; a mode of zeros: it is not there."""

    mode: str
    path: bytes


class InTheWay(NamedTuple):
    """What lies where files are to be written. `strange`: neither files nor folders, and not to be opened."""

    others: list[str]
    strange: list[str]
    folders: list[str]
    parents: list[str]


def bring(git: Git, ground: Ground, commit: str, branch: str) -> list[str]:
    """Check out a commit on a branch (empty: on none); returns what was moved out of its way. Raises Failed, OSError.

    The index says what is checked out; what is neither tracked there nor in the commit stays.
    """
    moved = _clear(git, ground, commit)
    if branch:
        git("update-ref", f"refs/heads/{branch}", commit)
        git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    else:
        git("update-ref", "--no-deref", "HEAD", commit)
    git("reset", "--quiet", "--hard", deadline=_LONG)
    return moved


def untracked(git: Git) -> list[bytes]:
    """Files that are neither tracked nor ignored; a folder of such files alone is one entry with a slash at its end."""
    return git.listed("ls-files", "-z", "--others", "--exclude-standard", "--directory", "--no-empty-directory")


def untracked_files(git: Git, found: list[bytes]) -> list[bytes]:
    """What `untracked` found file by file, so that what is added to such a folder is told from it; where there are
    very many of them, as it is."""
    if not any(path.endswith(b"/") for path in found):
        return found
    files = git.listed("ls-files", "-z", "--others", "--exclude-standard")
    return files if len(files) <= _MOST_PATTERNS else found


def patterns_of(paths: Iterable[bytes]) -> bytes:
    """Patterns for an exclude file that match exactly these paths."""
    lines = []
    for path in list(paths)[:_MOST_PATTERNS]:
        text = os.fsdecode(path)
        if "\n" not in text:  # no pattern can name it
            lines.append(b"/" + os.fsencode(text.translate(_SPECIAL)) + b"\n")
    return b"".join(lines)


def _clear(git: Git, ground: Ground, commit: str) -> list[str]:
    """Move away what is in the way of the commit's files; returns the names."""
    added = _entries(git.listed("diff-index", "-z", "--raw", "--cached", "--no-renames", commit, "--", deadline=_LONG))
    lost = _entries(
        git.listed(
            *("diff-files", "-z", "--raw", "--no-renames", "--ignore-submodules=all", "--diff-filter=D"), deadline=_LONG
        )
    )
    paths = sorted({os.fsdecode(each.path) for each in (*added, *lost) if each.mode != _GITLINK})
    if not paths:
        return []
    found = InTheWay(**git.inside(lambda: _look(ground.folder, paths)._asdict()))
    if not any(found):
        return []
    named = [*found.folders, *found.parents]
    tracked: set[str] = set()
    if named:
        asked = ("--literal-pathspecs", "ls-files", "-z", "--", *named[:_MOST_PATTERNS])
        tracked = {os.fsdecode(path) for path in git.listed(*asked)}
    others = [*found.strange, *unlike(git, commit, found.others)]
    kept = os.path.join(ground.kept, time.strftime("%Y%m%d-%H%M%S", time.gmtime()))
    moved: list[str] = git.inside(lambda: _move(ground.folder, kept, [*others, *found.parents], found.folders, tracked))
    return moved


def _entries(fields: list[bytes]) -> list[Entry]:
    """What the commit or the index has and the other side lacks: status D of a raw diff."""
    pairs = zip(fields[::2], fields[1::2], strict=False)
    found = []
    for words, path in pairs:
        parts = words.decode().lstrip(":").split(" ")
        if len(parts) == _FIELDS and parts[4][:1] in ("D", "T"):
            found.append(Entry(parts[0], path))
    return found


def unlike(git: Git, commit: str, paths: list[str]) -> list[str]:
    """Those whose content is not what the commit has there anyway."""
    if not paths or len(paths) > _MOST_PATTERNS or any("\n" in path for path in paths):
        return paths
    names = "".join(f"{path}\n" for path in paths).encode("utf-8", "surrogateescape")
    here = git.attempt("hash-object", "--stdin-paths", given=names, deadline=_LONG)
    wanted = "".join(f"{commit}:{path}\n" for path in paths).encode("utf-8", "surrogateescape")
    there = git.attempt("cat-file", "--batch-check=%(objectname)", given=wanted, deadline=_LONG)
    if here.code or there.code:
        return paths
    pairs = zip(paths, here.out.splitlines(), there.out.splitlines(), strict=False)
    return [path for path, one, other in pairs if one != other]


def _look(place: str, paths: list[str]) -> InTheWay:
    """In the child: which of the places are taken, by what."""
    others: list[str] = []
    strange: list[str] = []
    folders: list[str] = []
    parents: set[str] = set()
    seen: dict[str, bool] = {}
    for path in paths:
        parts = path.split("/")
        blocked = ""
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in seen:
                mode = _mode(os.path.join(place, parent))
                seen[parent] = mode != 0 and not stat.S_ISDIR(mode)
            if seen[parent]:
                blocked = parent
                break
        if blocked:
            parents.add(blocked)
            continue
        mode = _mode(os.path.join(place, path))
        if stat.S_ISDIR(mode):
            folders.append(path)
        elif mode:
            (others if stat.S_ISREG(mode) else strange).append(path)
    return InTheWay(others, strange, folders, sorted(parents))


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _move(place: str, kept: str, files: list[str], folders: list[str], tracked: set[str]) -> list[str]:
    """In the child: move what is not tracked to the kept folder; returns what was moved."""
    moved = [path for path in files if path not in tracked]
    for path in folders:
        moved += _strangers(place, path, tracked)
    for path in moved:
        target = os.path.join(kept, path)
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        shutil.move(os.path.join(place, path), target)
    return moved


def _strangers(place: str, path: str, tracked: set[str]) -> list[str]:
    """The untracked files below a folder; a repository in it, and an empty folder, as a whole."""
    top = os.path.join(place, path)
    if os.path.lexists(os.path.join(top, ".git")):
        return [path]
    found = []
    for entry in os.scandir(top):
        inner = f"{path}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            found += _strangers(place, inner, tracked)
        elif inner not in tracked:
            found.append(inner)
    return found
