"""The `.git` folder of an own workspace. What is in it at rest was made by Herald, whatever a run made of it.

Sealing takes branches and their objects out of a folder that a run could write, checked by their hashes, into a new
one. Everything else there (configuration, hooks, index, alternates, replacements ...) is not taken.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from herald import journal
from herald.errors import Failed
from herald_agent import disarming, modulenames, process
from herald_agent.disarming import clear, is_folder
from herald_agent.environment import LARGE_FILES
from herald_agent.git import Git
from herald_agent.locks import folder
from herald_agent.reference import check_branch, check_hash
from herald_agent.workspace import Workspace

UNBORN = "none"
"""The branch that HEAD names in a new folder; there is none of that name."""

_NEW, _OLD = ".git.new", ".git.old"
_CARRIED = ("lfs",)
"""Folders with objects of their own, which are known by their hashes."""

_DEEPEST = 8
"""Folders in each other, in those."""

_LONG = 300.0
"""Seconds for what grows with what the runs made."""

_MOST_BRANCHES = 2000

_CONFIG = """[core]
\trepositoryformatversion = {version}
\tbare = false
\tfilemode = true
\tlogallrefupdates = true
\tautocrlf = false
\tuntrackedCache = false
\tfsmonitor = false
\tsplitIndex = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
[remote "origin"]
\tfetch = +refs/heads/*:refs/remotes/origin/*
"""
FILTER = '[filter "lfs"]\n' + "".join(
    f"\t{name.removeprefix('filter.lfs.')} = {value}\n" for name, value in LARGE_FILES.items()
)
"""How git-lfs works in a workspace, as part of a configuration."""

_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"


class Upstream(NamedTuple):
    """The remote's default branch, as `origin/NAME` in a workspace; empty: not told."""

    branch: str = ""
    head: str = ""


class Making(NamedTuple):
    """What a new folder holds besides branches: where the base objects are, the format, patterns of `info/exclude`."""

    objects: str
    is_sha256: bool
    exclude: str


def is_there(workspace: Workspace) -> bool:
    """Whether the workspace has a `.git` folder; one that a kill left under another name is put back."""
    return is_there_in(workspace.folder)


def is_there_in(folder: str) -> bool:
    """The same for the folder."""
    place = os.path.join(folder, ".git")
    old = os.path.join(folder, _OLD)
    if not os.path.lexists(place) and is_folder(old):
        os.rename(old, place)
    return is_folder(place)


def disarm(git: Git, config: str) -> None:
    """Before anything is asked in a folder that a run wrote: git reads Herald's configuration, and waits for nothing.

    Raises OSError, Failed.
    """
    git.inside(lambda: disarming.disarm(git.folder, config))


def lay(git: Git, workspace: Workspace, upstream: Upstream, making: Making) -> Git:
    """Make the new folder beside the old one, without branches; returns git in it. Raises OSError, Failed."""
    new = os.path.join(workspace.folder, _NEW)
    git.inside(lambda: _lay(workspace.folder, making))
    there = git.with_variables(GIT_DIR=new, GIT_WORK_TREE=workspace.folder)
    follow(there, upstream)
    return there


def follow(git: Git, upstream: Upstream) -> None:
    """Have `origin/NAME` and `origin/HEAD` say where the remote's default branch is. Raises Failed."""
    if upstream.branch and upstream.head and git.commit_of(upstream.head) == upstream.head:
        tracked = f"refs/remotes/origin/{upstream.branch}"
        git("update-ref", tracked, upstream.head)
        git("symbolic-ref", "refs/remotes/origin/HEAD", tracked)


def seal(
    git: Git,
    workspace: Workspace,
    tips: list[str],
    upstream: Upstream,
    making: Making,
    notes: list[str],
    bring_modules: Callable[[], None],
) -> None:
    """Replace the `.git` folder by one of Herald's making with the same branches; `tips` need not be brought along.

    Raises OSError, Failed.
    """
    there = lay(git, workspace, upstream, making)
    if git.inside(lambda: is_there(workspace)):
        bring(git, there, heads_of(git, first=workspace.project.branch_prefix), tips, notes)
        bring_modules()
    git.inside(lambda: _exchange(workspace.folder))
    git.inside(lambda: _remove(os.path.join(workspace.folder, _OLD)))


def _lay(place: str, making: Making) -> None:
    _finish(place)
    new = os.path.join(place, _NEW)
    clear(new)
    for each in ("objects/pack", "objects/info", "refs/heads", "info"):
        os.makedirs(os.path.join(new, each), 0o700)
    files = {
        "HEAD": f"ref: refs/heads/{UNBORN}\n",
        "config": config_text(is_sha256=making.is_sha256),
        "objects/info/alternates": f"{making.objects}\n",
        "info/exclude": f"/{_NEW}\n/{_OLD}\n{making.exclude}",
    }
    for name, text in files.items():
        with open(os.path.join(new, name), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)


def config_text(*, is_sha256: bool) -> str:
    """The configuration of an own workspace."""
    return _CONFIG.format(version=int(is_sha256)) + FILTER + (_SHA256 if is_sha256 else "")


def heads_of(git: Git, prefix: str = "", first: str = "") -> dict[str, str]:
    """The branches that a folder names, those that begin with a prefix; those that begin with `first` are there
    however many others there are. What git there says is no more than a claim."""
    output = git.attempt("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/", deadline=_LONG)
    found = {}
    lines = output.out.decode("utf-8", "replace").splitlines()
    pairs = ((head, name.removeprefix("refs/heads/")) for head, _, name in (line.partition(" ") for line in lines))
    for head, branch in sorted(pairs, key=lambda pair: not (first and pair[1].startswith(first))):
        if branch.startswith(prefix) and check_hash(head) and check_branch(branch):
            found[branch] = head
        if len(found) == _MOST_BRANCHES:
            break
    return found


def bring(old: Git, new: Git, heads: dict[str, str], tips: list[str], notes: list[str]) -> None:
    """Take branches over: all at once, or, where something is missing, each that is whole by itself."""
    if not heads or _take(old, new, heads, tips):
        return
    lost = [branch for branch, head in heads.items() if not _take(old, new, {branch: head}, tips)]
    notes.extend(f"Branch {branch} is incomplete in the workspace and was left out." for branch in lost)
    journal.warning(f"left out of the workspace: {', '.join(lost)}")


def _take(old: Git, new: Git, heads: dict[str, str], tips: list[str]) -> bool:
    """Take branches with their objects; false when they are not whole there."""
    wanted_heads = list(heads.values())
    found = new.commits_of(*wanted_heads)
    missing = [head for head, there in zip(wanted_heads, found, strict=True) if head != there]
    excluded = "".join(f"^{tip}\n" for tip in tips)
    if missing and not carry(old, new, "".join(f"{head}\n" for head in missing) + excluded):
        return False
    wanted = "".join(f"{head}\n" for head in heads.values()) + excluded
    whole = new.attempt("rev-list", "--objects", "--quiet", "--stdin", given=wanted, deadline=_LONG)
    if whole.code != 0:
        return False
    lines = "".join(f"update refs/heads/{branch} {head}\n" for branch, head in heads.items())
    return new.attempt("update-ref", "--stdin", given=lines).code == 0


def carry(old: Git, new: Git, wanted: str) -> bool:
    """Pack objects in the old folder and index them in the new one, which finds out what they are.

    Raises Failed when the disk is full: what is not whole is left out, and nothing may pass for that.
    """
    path = os.path.join(folder("tmp"), f"sealing-{os.getpid()}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.unlink(path)
        packed = old.attempt("pack-objects", "--revs", "--stdout", "-q", given=wanted, stdout=fd, deadline=_LONG)
        _demand_room(packed)
        if packed.code != 0:
            return False
        os.lseek(fd, 0, os.SEEK_SET)
        indexed = new.attempt("index-pack", "--stdin", stdin=fd, deadline=_LONG)
        _demand_room(indexed)
        return indexed.code == 0
    finally:
        os.close(fd)


def _demand_room(output: process.Output) -> None:
    if output.code != 0 and any(words in output.err for words in (b"No space left", b"Disk quota")):
        raise Failed(
            "No space left on the disk for what the agent committed; nothing of it is lost: free some space, then send"
            " the next message"
        )


def _exchange(place: str) -> None:
    """In the child: the new folder takes the place of the old one, with the folders that stay."""
    git, new, old = (os.path.join(place, name) for name in (".git", _NEW, _OLD))
    _finish(place)
    if os.path.lexists(git):
        os.rename(git, old)
    os.rename(new, git)
    _carry_over(place)


def _finish(place: str) -> None:
    """In the child: what an exchange that was cut off left to do. Raises Failed."""
    if is_there_in(place) and os.path.lexists(os.path.join(place, _OLD)):
        _carry_over(place)
        _remove(os.path.join(place, _OLD))


def _carry_over(place: str) -> None:
    """In the child: what is in folders that stay goes from the old to the new one, unless it is there; those of
    submodules, too, where no link leads to either."""
    old, new = os.path.join(place, _OLD), os.path.join(place, ".git")
    if not is_folder(old):
        return
    made = set(modulenames.find(os.path.join(new, "modules")))
    modules = [os.path.join("modules", name) for name in modulenames.find(os.path.join(old, "modules")) if name in made]
    for name in (os.path.join(repository, each) for repository in ("", *modules) for each in _CARRIED):
        _merge(os.path.join(old, name), os.path.join(new, name), _DEEPEST)


def _merge(source: str, target: str, depth: int) -> None:
    if not is_folder(source):
        if depth < _DEEPEST and os.path.lexists(source) and not os.path.lexists(target):
            os.rename(source, target)
    elif not os.path.lexists(target):
        os.rename(source, target)
    elif is_folder(target) and depth:
        for name in os.listdir(source):
            _merge(os.path.join(source, name), os.path.join(target, name), depth - 1)


def _remove(path: str) -> None:
    """In the child. What stays would pass for somebody's work. Raises Failed."""
    process.remove_tree(path)
    if os.path.lexists(path):
        raise Failed(f"{path} cannot be removed")
