"""Submodules of a workspace: where each stands before a run, and what of them is the agent's work after it.

A submodule is a gitlink of the index with a repository in its folder. Where it stands says nothing about who put it
there: somebody may have moved it upstream, and the folder is still at the commit before. So only a difference to where
it stood when the run began is the agent's.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from herald import durable
from herald_agent.changes import Changes
from herald_agent.git import Git, is_below
from herald_agent.reference import check_hash

GITLINK = b"160000"
DEEPEST = 5
"""Levels of submodules in submodules."""

MOST = 200
"""Submodules of one workspace that are looked at."""

_LONG = 300.0
_NAMED = 5
_LONGEST_POINTER = 8192


class Standing(NamedTuple):
    """How a submodule's folder was: its HEAD (empty: there is no repository), the branch that HEAD named, and a digest
    of what lay there that no commit has (empty: nothing)."""

    head: str
    branch: str
    strange: str


class Submodule(NamedTuple):
    """A gitlink of the index, and git in its folder."""

    path: str
    wanted: str
    git: Git
    is_repository: bool


def gitlinks(git: Git) -> dict[str, str]:
    """The gitlinks of the index: path and commit. An index that a run made unreadable has none."""
    found = {}
    output = git.attempt("ls-files", "-z", "--stage", deadline=_LONG)
    for line in output.out.split(b"\0") if output.code == 0 else []:
        if line.startswith(GITLINK):
            words, _, path = line.partition(b"\t")
            found[os.fsdecode(path)] = words.split(b" ")[1].decode()
    return found


def walk(
    git: Git, within: str = "", prepare: Callable[[Submodule], bool] | None = None, prefix: str = "", depth: int = 0
) -> Iterator[Submodule]:
    """Every submodule, and those in it after it. `path` is from the workspace's top on.

    `within`: repositories are only those in this folder, as Herald has made them. `prepare` may make one, and says
    whether one is there then.
    """
    links = dict(list(gitlinks(git).items())[:MOST])
    if not links or depth >= DEEPEST:
        return
    there = repositories_of(git, links, within)
    for path, wanted in links.items():
        one = Submodule(f"{prefix}{path}", wanted, in_submodule(git, path), path in there)
        if prepare is not None:
            one = one._replace(is_repository=prepare(one))
        yield one
        if one.is_repository and git.inside(partial(os.path.lexists, os.path.join(one.git.folder, ".git"))):
            yield from walk(one.git, within, prepare, f"{one.path}/", depth + 1)


def repositories_of(git: Git, paths: Iterable[str], within: str) -> list[str]:
    """Those of the folders that hold a repository; `within` as above."""
    found: list[str] = git.inside(lambda: [path for path in paths if _is_repository(git.folder, path, within)])
    return found


def in_submodule(git: Git, path: str) -> Git:
    """Git in a submodule's folder; never in the repository around it, should the one in the folder be gone."""
    folder = os.path.join(git.folder, path)
    return git.at(folder).with_variables(GIT_DIR=os.path.join(folder, ".git"), GIT_WORK_TREE=folder)


def standings(git: Git, within: str = "") -> dict[str, Standing]:
    """Where each submodule stands. Raises Failed, OSError."""
    return {each.path: standing_of(each) for each in walk(git, within)}


def standing_of(submodule: Submodule) -> Standing:
    """Where one stands."""
    git = submodule.git
    if not submodule.is_repository:
        names: list[str] = git.inside(lambda: _entries(git.folder))
        return Standing("", "", _digest(names))
    return Standing(git.commit_of("HEAD"), git.branch(), _digest(strange(git)))


def strange(git: Git) -> list[str]:
    """What in a submodule's folder no commit of it has: one line of status for each."""
    options = ("--porcelain", "--untracked-files=all", "--ignore-submodules=all", "--no-renames")
    output = git.attempt("status", "-z", *options, deadline=_LONG)
    return [os.fsdecode(line) for line in output.out.split(b"\0")[:-1]]


def sort_out(git: Git, found: Changes, began: dict[str, Standing]) -> Changes:
    """Add the gitlinks that the agent moved to what is taken; the others are passed over without a word."""
    moved = [path for path in found.submodules if _moved(git, path, began)]
    return found._replace(paths=[*found.paths, *map(os.fsencode, moved)], submodules=[])


def unstage(git: Git, began: dict[str, Standing]) -> None:
    """Take out of a person's index what a plain `git add` of the agent put there of submodules it never moved."""
    options = ("-z", "--raw", "--cached", "--no-renames", "--ignore-submodules=none")
    listed = git.listed("diff-index", *options, "HEAD", "--", deadline=_LONG)
    for words, name in zip(listed[::2], listed[1::2], strict=False):
        fields = words.split(b" ")
        path = os.fsdecode(name)
        stale = path in began and began[path].head == fields[3].decode()
        if stale and fields[0] == b":" + GITLINK and fields[1] == GITLINK:
            git("update-index", "--cacheinfo", f"{GITLINK.decode()},{fields[2].decode()},{path}")


def tell(git: Git, within: str, began: dict[str, Standing], notes: list[str]) -> None:
    """Say what a run left in submodules that cannot be part of the work. Raises Failed, OSError."""
    for each in walk(git, within):
        now, before = standing_of(each), began.get(each.path, Standing("", "", ""))
        if not now.strange or now.strange == before.strange:
            continue
        if each.is_repository:
            names = [line[3:] for line in strange(each.git)]
            notes.append(f"Not committed in the submodule {each.path}, and so not part of the work: {_some(names)}.")
        else:
            place = each.git
            names = place.inside(partial(_entries, place.folder))
            notes.append(
                f"Not part of the work, because the submodule {each.path} is not initialised: files in its folder"
                f" ({_some(names)})."
            )


def _moved(git: Git, path: str, began: dict[str, Standing]) -> bool:
    """Whether a submodule stands elsewhere than when the run began."""
    now = in_submodule(git, path).commit_of("HEAD")
    before = began.get(path)
    return bool(now) and check_hash(now) and (before is None or now != before.head)


def _is_repository(folder: str, path: str, within: str) -> bool:
    """In the child: whether a repository is in the folder, which no link leads out of the workspace."""
    place = os.path.join(folder, path)
    if not is_below(place, folder) or _kind(place) != stat.S_IFDIR or _kind(f"{place}/.git") not in _DOT_GIT:
        return False
    return not within or is_below(os.path.join(place, pointer_of(f"{place}/.git") or "."), within)


def pointer_of(path: str) -> str:
    """What a `.git` file names; empty when it is none."""
    try:
        data = durable.read_limited(path, _LONGEST_POINTER)
    except (OSError, ValueError):
        return ""
    return os.fsdecode(data.removeprefix(b"gitdir: ").rstrip(b"\n")) if data.startswith(b"gitdir: ") else ""


_DOT_GIT = (stat.S_IFDIR, stat.S_IFREG)


def _kind(path: str) -> int:
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except OSError:
        return 0


def _entries(folder: str) -> list[str]:
    """In the child: the files below a folder that is no repository, as far as they are to be named."""
    found: list[str] = []
    if _kind(folder) != stat.S_IFDIR:
        return found
    for top, _, files in os.walk(folder):
        found += [os.path.relpath(os.path.join(top, name), folder) for name in files]
        if len(found) > MOST:
            break
    return sorted(found)


def _digest(names: list[str]) -> str:
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:16] if names else ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(name.encode("utf-8", "replace").decode() for name in names[:_NAMED]) + more
