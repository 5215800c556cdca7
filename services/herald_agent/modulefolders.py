"""The repositories of submodules in an own workspace, `.git/modules/NAME`, made anew as `.git` itself is.

A run can write them. What is taken is branches, HEAD and their objects, checked by their hashes, the folder that a
repository belongs to, and the address of its remote where that is one of the ordinary forms. Everything else
(filters, hooks, index, alternates, replacements ...) is not. The `.git` file in the folder is Herald's, too.
"""

import os
import re
from collections.abc import Callable
from typing import NamedTuple

from herald import durable
from herald_agent import modulenames, process
from herald_agent.disarming import is_folder
from herald_agent.git import Git
from herald_agent.gitfolder import FILTER, carry
from herald_agent.reference import check_hash
from herald_agent.submodules import MOST, gitlinks, pointer_of

_LONG = 300.0
_MOST_REFS = 2000
_LONGEST_URL = 2000
_URL = re.compile(r"(?:https|ssh)://[^\s\"\\]+|[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^\s:\"\\-][^\s\"\\]*|/[^\"\\\n]*")

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
_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"


class Module(NamedTuple):
    """One repository below `.git/modules`, and the folder with its files (empty: none that is there)."""

    name: str
    path: str


class Base(NamedTuple):
    """Objects of a submodule that Herald itself has: the folder, and commits that are there for certain."""

    objects: str = ""
    tips: tuple[str, ...] = ()


def bring(git: Git, bases: Callable[[str], Base], notes: list[str]) -> None:
    """Make `.git.new/modules` from `.git/modules`. Raises OSError, Failed."""
    place = git.folder
    links = list(gitlinks(git))[:MOST] if git.attempt("rev-parse", "--git-dir").code == 0 else []
    git.inside(lambda: _absorb(place, links))
    seen: set[str] = set()
    for name in names(git):
        path = _folder_of(git, name)
        if path in seen:
            path = ""
        seen.add(path)
        _make(git, Module(name, path), bases(name), notes)
    kept = [os.path.join(place, path) for path in seen if path]
    cut: list[str] = git.inside(lambda: _cut_off(place, links, kept))
    notes.extend(f"The folder {path} belonged to a repository elsewhere; it counts as not initialised." for path in cut)


def names(git: Git) -> list[str]:
    """The repositories below `.git/modules`, each before those in it."""
    top = os.path.join(git.folder, ".git", "modules")
    found: list[str] = git.inside(lambda: modulenames.find(top))
    return found


def write_config(place: str, new: str, module: Module, url: str, *, is_sha256: bool, objects: str) -> None:
    """In the child: an empty repository for a submodule. `place` is the workspace, `new` the folder to fill."""
    for each in ("objects/pack", "objects/info", "refs/heads", "info"):
        os.makedirs(os.path.join(new, each), 0o700, exist_ok=True)
    write_text(os.path.join(new, "HEAD"), "ref: refs/heads/none\n")
    write_text(os.path.join(new, "info/exclude"), "")
    write_text(os.path.join(new, "config"), config_of(place, module, url, is_sha256=is_sha256))
    if objects:
        write_text(os.path.join(new, "objects/info/alternates"), f"{objects}\n")


def config_of(place: str, module: Module, url: str, *, is_sha256: bool) -> str:
    """The configuration of a submodule's repository."""
    text = _CONFIG.format(version=int(is_sha256))
    text += f'\turl = "{url}"\n' if _URL.fullmatch(url) and len(url) <= _LONGEST_URL else ""
    if module.path:
        final = os.path.join(place, ".git", "modules", module.name)
        up = os.path.relpath(os.path.join(place, module.path), final)
        escaped = up.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        text += f'[core]\n\tworktree = "{escaped}"\n'
    return text + FILTER + (_SHA256 if is_sha256 else "")


def write_text(path: str, text: str) -> None:
    """In the child: write a small file of Herald's making."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def establish(place: str, module: Module, url: str, *, is_sha256: bool, objects: str) -> None:
    """In the child: have a submodule's folder belong to its repository, which is made if it is not there."""
    repository = os.path.join(place, ".git", "modules", module.name)
    if is_folder(os.path.join(repository, "objects")):
        with open(os.path.join(repository, "objects", "info", "alternates"), "w", encoding="utf-8") as file:
            file.write(f"{objects}\n")
        write_text(os.path.join(repository, "config"), config_of(place, module, url, is_sha256=is_sha256))
    else:
        write_config(place, repository, module, url, is_sha256=is_sha256, objects=objects)
    os.makedirs(os.path.join(place, module.path), exist_ok=True)
    link(place, module)


def link(place: str, module: Module) -> None:
    """In the child: have the folder of a submodule name its repository, and nothing else."""
    folder = os.path.join(place, module.path)
    pointer = os.path.join(folder, ".git")
    target = os.path.relpath(os.path.join(place, ".git", "modules", module.name), folder)
    making = f"{pointer}.new"
    durable.with_no_trace(making)
    with open(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(b"gitdir: " + os.fsencode(target) + b"\n")
    os.rename(making, pointer)


def _make(git: Git, module: Module, base: Base, notes: list[str]) -> None:
    place = git.folder
    old, new = (os.path.join(place, top, "modules", module.name) for top in (".git", ".git.new"))
    there = git.with_variables(GIT_DIR=old, GIT_WORK_TREE=place)
    refs = _refs(there)
    head = there.commit_of("HEAD")
    named = there.attempt("symbolic-ref", "--quiet", "HEAD").out.decode("utf-8", "replace").strip()
    url = _setting(git, old, "remote.origin.url")
    is_sha256 = len(head or next(iter(refs.values()), "")) == 64
    git.inside(lambda: write_config(place, new, module, url, is_sha256=is_sha256, objects=base.objects))
    made = git.with_variables(GIT_DIR=new, GIT_WORK_TREE=place)
    wanted = {**refs, **({"HEAD": head} if check_hash(head) else {})}
    lost = [] if _take(there, made, wanted, base.tips) else list(wanted)
    if lost:
        lost = [name for name, commit in wanted.items() if not _take(there, made, {name: commit}, base.tips)]
        notes.append(f"Incomplete in the submodule {module.path or module.name}, and left out: {', '.join(lost[:5])}.")
    if named in wanted and named not in lost:
        made("symbolic-ref", "HEAD", named)
    if module.path:
        git.inside(lambda: link(place, module))


def _refs(git: Git) -> dict[str, str]:
    """The branches that the old repository names. What git there says is no more than a claim."""
    output = git.attempt(
        "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/", "refs/remotes/", deadline=_LONG
    )
    found = {}
    for line in output.out.decode("utf-8", "replace").splitlines()[:_MOST_REFS]:
        head, _, name = line.partition(" ")
        if check_hash(head) and name.isprintable() and "�" not in name:
            found[name] = head
    return found


def _take(old: Git, new: Git, refs: dict[str, str], tips: tuple[str, ...]) -> bool:
    """Take refs with their objects; false when they are not whole there."""
    if not refs:
        return True
    excluded = "".join(f"^{tip}\n" for tip in tips)
    missing = {commit for commit in refs.values() if new.commit_of(commit) != commit}
    if missing and not carry(old, new, "".join(f"{commit}\n" for commit in sorted(missing)) + excluded):
        return False
    wanted = "".join(f"{commit}\n" for commit in refs.values()) + excluded
    if new.attempt("rev-list", "--objects", "--quiet", "--stdin", given=wanted, deadline=_LONG).code != 0:
        return False
    return all(new.attempt("update-ref", "--no-deref", name, commit).code == 0 for name, commit in refs.items())


def _setting(git: Git, repository: str, name: str) -> str:
    """A value of the old configuration, read as data."""
    path = os.path.join(repository, "config")
    output = git.attempt("config", "--file", path, "--no-includes", "--null", "--get", name)
    return os.fsdecode(output.out.split(b"\0")[0]) if output.code == 0 else ""


def _folder_of(git: Git, name: str) -> str:
    """The folder of a repository from the workspace's top on; empty when none there names it."""
    place, repository = git.folder, os.path.join(git.folder, ".git", "modules", name)
    claimed = _setting(git, repository, "core.worktree")
    if not claimed:
        return ""
    folder = os.path.normpath(os.path.join(repository, claimed))
    inner = os.path.relpath(folder, place)
    if inner.split("/")[0] in (".", "..", ".git") or "\n" in inner:
        return ""
    return inner if git.inside(lambda: _names(folder, repository)) else ""


def _names(folder: str, repository: str) -> bool:
    """In the child: whether a folder, which no link leads to, says that this is its repository."""
    if os.path.realpath(folder) != os.path.join(os.path.realpath(os.path.dirname(folder)), os.path.basename(folder)):
        return False
    pointer = pointer_of(os.path.join(folder, ".git"))
    return bool(pointer) and os.path.realpath(os.path.join(folder, pointer)) == os.path.realpath(repository)


def _absorb(place: str, links: list[str]) -> None:
    """In the child: a submodule that was cloned by hand has its repository in its folder; it moves to the others."""
    for path in links:
        own = os.path.join(place, path, ".git")
        target = os.path.join(place, ".git", "modules", path)
        if not is_folder(own) or os.path.lexists(target) or ".." in path.split("/"):
            continue
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        os.rename(own, target)
        up = os.path.relpath(os.path.join(place, path), target)
        with open(own, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"gitdir: {os.path.relpath(target, os.path.dirname(own))}\n")
        _claim(target, up)


def _claim(repository: str, folder: str) -> None:
    """In the child: note in an absorbed repository whose it is; what else its configuration said goes when it is
    made anew."""
    path = os.path.join(repository, "config")
    try:
        is_sha256 = b"sha256" in durable.read_limited(path, 1 << 16)
    except (OSError, ValueError):
        is_sha256 = False
    durable.with_no_trace(path)
    escaped = folder.replace("\\", "\\\\").replace('"', '\\"')
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f'[core]\n\trepositoryformatversion = {int(is_sha256)}\n\tworktree = "{escaped}"\n')
        file.write(_SHA256 if is_sha256 else "")


def _cut_off(place: str, links: list[str], kept: list[str]) -> list[str]:
    """In the child: folders of submodules lose a `.git` that is none of Herald's making; returns which."""
    cut = []
    for path in links:
        folder = os.path.join(place, path)
        pointer = os.path.join(folder, ".git")
        if folder in kept or not os.path.lexists(pointer):
            continue
        if is_folder(pointer):
            process.remove_tree(pointer)
        else:
            durable.with_no_trace(pointer)
        cut.append(path)
    return cut
