"""What differs in a working tree from a commit, as far as somebody changed it: bytes, mode or type.

Git also names files whose content its filters would store differently although they are just as a checkout wrote
them (line endings, filters that do not give back what they got). Those are nobody's work.
"""

import os
import shutil
from collections.abc import Iterator
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import BinaryIO, NamedTuple

from herald_agent.beforehand import NOTHING, Beforehand, Places, drop
from herald_agent.git import Git, refused

_LONG = 900.0
_TOGETHER = 64 << 20
"""Bytes of files that are compared at once."""

_PIECE = 1 << 20
_GITLINK = b"160000"
_LINKS = ("120000", "160000")


class Change(NamedTuple):
    """A path that git names. `kind` is that of the working tree: M, D, T, A, or ? where nothing is tracked.

    `submodule`: it is one and stays one. `repository`: a repository lies where something else is tracked.
    """

    path: bytes
    kind: str
    mode: str
    same_mode: bool
    submodule: bool
    repository: bool = False


class Changes(NamedTuple):
    """What was changed: `paths` in the working tree, `staged` whether the index differs from the commit.

    `repositories` are folders that are repositories of their own and no submodules, `submodules` those that stand at
    another commit, whoever moved them: `submodules.sort_out` knows.
    """

    paths: list[bytes]
    staged: bool
    repositories: list[str]
    submodules: list[str]
    strange: list[str]
    """Neither files nor links, which no commit can hold."""
    withheld: list[str]
    """Untracked files that git ignored before the run: nobody's work, although it would name them now."""

    def without_deleted(self, folder: str, paths: set[bytes]) -> "Changes":
        """Without those of these paths that are not there any more."""
        root = os.fsencode(folder)
        left = [each for each in self.paths if each not in paths or os.path.lexists(os.path.join(root, each))]
        return self._replace(paths=left)

    def __bool__(self) -> bool:
        return bool(self.paths) or self.staged


def changes(git: Git, *, with_untracked: bool = True, before: Beforehand = NOTHING) -> Changes:
    """What was changed against the index, which is that of the commit that is checked out. Raises Failed, OSError."""
    untracked = "all" if with_untracked else "no"
    options = ("-z", "--porcelain=v2", "--no-renames", f"--untracked-files={untracked}", "--ignore-submodules=dirty")
    found = list(_understood(git.listed("status", *options, deadline=_LONG)))
    strangers, hidden = Places(before.untracked), Places(before.ignored)
    others = [each.path for each in found if each.kind == "?"]
    withheld = [path for path in others if path in hidden and path not in strangers]
    nobodys = {path for path in others if path in strangers}.union(withheld)
    inner = _repositories(git, [path for path in others if path not in nobodys])
    within = Places(inner)
    nobodys |= {path for path in others if path in within}
    named = [each for each in found if each.kind != "?" or each.path not in nobodys]
    there = [each.path for each in named if each.kind in ("M", "T") and not each.submodule and not each.repository]
    numbers: list[int] = git.inside(lambda: _strange(git.folder, there)) if there else []
    strange = [there[number] for number in numbers]
    doubtful = [
        each
        for each in named
        if each.kind == "M" and each.same_mode and not each.submodule and each.path not in strange
    ]
    same = _as_written(git, [each for each in doubtful if each.mode not in _LINKS])
    submodules = [os.fsdecode(each.path) for each in named if each.submodule and each.kind == "M"]
    repositories = [
        os.fsdecode(each.path) for each in named if each.repository or (each.kind == "?" and each.path.endswith(b"/"))
    ]
    left = {*same, *strange}
    repositories += [name for name in inner if name not in repositories]
    paths = [
        each.path
        for each in named
        if each.kind != "A" and each.path not in left and not each.path.endswith(b"/")
        if not each.submodule and not each.repository
    ]
    is_staged = any(each.kind == "A" for each in named)
    names = [[os.fsdecode(path) for path in each] for each in (strange, withheld)]
    return Changes(paths, is_staged, repositories, submodules, *names)


def stage(git: Git, paths: list[bytes]) -> None:
    """Bring these paths as they are into the index. Raises Failed, OSError.

    First what is gone: git looks at no path behind a link, and adds none in place of a folder that has files there."""
    gone = {paths[number] for number in git.inside(lambda: _gone(git.folder, paths))}
    drop(git, [path for path in paths if path in gone])
    given = b"".join(path + b"\0" for path in paths if path not in gone)
    output = git.attempt("update-index", "-z", "--add", "--remove", "--replace", "--stdin", given=given, deadline=_LONG)
    if output.code != 0:
        raise refused("update-index", output)


def _gone(place: str, paths: list[bytes]) -> list[int]:
    """In the child: which of the paths are no files any more; a folder that is a repository counts as one."""
    root = os.fsencode(place)
    folders: dict[bytes, bool] = {}

    def is_behind_folders(path: bytes) -> bool:
        for above in _folders(path):
            if above not in folders:
                folders[above] = S_ISDIR(_mode(os.path.join(root, above[:-1])))
            if not folders[above]:
                return False
        return True

    def is_file(path: bytes) -> bool:
        mode = _mode(os.path.join(root, path)) if is_behind_folders(path) else 0
        return os.path.lexists(os.path.join(root, path, b".git")) if S_ISDIR(mode) else mode != 0

    return [number for number, path in enumerate(paths) if not is_file(path)]


def _repositories(git: Git, untracked: list[bytes]) -> list[str]:
    """Folders of untracked files alone that hold a `.git`, whether git can read it or not: a linked working tree is
    none to git any more when the repository around it was made anew."""
    names: list[str] = git.inside(lambda: _with_git(git.folder, untracked)) if untracked else []
    if not names:
        return []
    places = {os.fsencode(name) for name in names}
    with_tracked = {
        above for path in git.listed("ls-files", "-z", deadline=_LONG) for above in _folders(path) if above in places
    }
    left = [name for name in names if os.fsencode(name) not in with_tracked]
    return [name for name in left if os.fsencode(name.rstrip("/")) not in Places(left)]


def _with_git(place: str, paths: list[bytes]) -> list[str]:
    """In the child: the folders above the paths that hold a `.git`."""
    root, known, found = os.fsencode(place), dict[bytes, bool](), dict[bytes, None]()
    for path in paths:
        for folder in _folders(path):
            if folder not in known:
                known[folder] = os.path.lexists(os.path.join(root, folder, b".git"))
            if known[folder]:
                found[folder] = None
    return [os.fsdecode(folder) for folder in found]


def _folders(path: bytes) -> Iterator[bytes]:
    """The folders that a path is in, the outermost first, each with a slash at its end."""
    end = path.find(b"/")
    while end >= 0:
        yield path[: end + 1]
        end = path.find(b"/", end + 1)


def _understood(fields: list[bytes]) -> Iterator[Change]:
    """Entries of `git status --porcelain=v2 -z`; an index that has more than the commit counts, too."""
    for entry in fields:
        kind, _, rest = entry.partition(b" ")
        if kind == b"?":
            yield Change(rest, "?", "", same_mode=False, submodule=False)
        elif kind == b"1":
            signs, _, _, index_mode, tree_mode, _, _, path = rest.split(b" ", 7)
            in_tree = chr(signs[1])
            yield Change(
                path,
                in_tree if in_tree != "." else "A",
                index_mode.decode(),
                same_mode=index_mode == tree_mode,
                submodule=index_mode == tree_mode == _GITLINK,
                repository=index_mode != _GITLINK == tree_mode,
            )
        elif kind == b"u":
            yield Change(rest.split(b" ", 9)[-1], "M", "", same_mode=False, submodule=False)


def _as_written(git: Git, candidates: list[Change]) -> set[bytes]:
    """Those whose bytes are what a checkout writes there."""
    if not candidates:
        return set()
    sizes: list[int] = git.inside(lambda: [_size(git.folder, each.path) for each in candidates])
    same: set[bytes] = set()
    group: list[bytes] = []
    total = 0
    for change, size in zip(candidates, sizes, strict=True):
        group.append(change.path)
        total += size
        if total >= _TOGETHER:
            same |= _compared(git, group)
            group, total = [], 0
    return same | _compared(git, group)


def _strange(place: str, paths: list[bytes]) -> list[int]:
    """In the child: which of the paths are neither files, links nor folders."""
    modes = [_mode(os.path.join(os.fsencode(place), path)) for path in paths]
    known = (S_ISREG, S_ISLNK, S_ISDIR)
    return [n for n, mode in enumerate(modes) if mode and not any(is_it(mode) for is_it in known)]


def _mode(path: bytes) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _size(place: str, path: bytes) -> int:
    try:
        return os.lstat(os.path.join(os.fsencode(place), path)).st_size
    except OSError:
        return 0


def _compared(git: Git, group: list[bytes]) -> set[bytes]:
    """Have git write them elsewhere, and compare."""
    if not group:
        return set()
    beside = os.path.join(git.scratch, f".herald-compared-{os.getpid()}")
    given = b"".join(path + b"\0" for path in group)
    try:
        git.inside(lambda: os.makedirs(beside, 0o700, exist_ok=True))
        arguments = ("checkout-index", "-z", "--stdin", "--quiet", f"--prefix={beside}/")
        output = git.attempt(*arguments, given=given, deadline=_LONG)
        if output.code != 0:
            raise refused("checkout-index", output)
        numbers: list[int] = git.inside(lambda: _equal(git.folder, beside, group))
    finally:
        git.unstoppable().inside(lambda: shutil.rmtree(beside, ignore_errors=True))
    return {group[number] for number in numbers}


def _equal(place: str, other: str, paths: list[bytes]) -> list[int]:
    """In the child: which of the files are equal in two folders."""
    roots = (os.fsencode(place), os.fsencode(other))
    return [n for n, path in enumerate(paths) if _are_equal(*(os.path.join(root, path) for root in roots))]


def _are_equal(one: bytes, other: bytes) -> bool:
    try:
        with _opened(one) as first, _opened(other) as second:
            while (piece := first.read(_PIECE)) == second.read(_PIECE):
                if not piece:
                    return True
    except OSError:
        pass
    return False


def _opened(path: bytes) -> BinaryIO:
    return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
