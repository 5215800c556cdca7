"""Submodules of an own workspace brought to the commits that the checkout names; what a run made in them survives."""

import os
import shutil
import time
from typing import NamedTuple

from herald import durable
from herald_agent import submodules, tree
from herald_agent.changes import changes, stage
from herald_agent.git import Git
from herald_agent.submodule_making import Making
from herald_agent.submodules import Submodule

_LONG = 900.0


class Ground(NamedTuple):
    """The files of one submodule, and where those go that are in the way."""

    folder: str
    kept: str


def leave(git: Git, kept: str, commit: str) -> list[str]:
    """Before a checkout: empty the folders of submodules that the commit does not have there; returns what was moved.

    Their repositories stay, with all that was committed in them.
    """
    links = submodules.gitlinks(git)
    here = [each for each in submodules.walk(git, within(git)) if each.is_repository and each.path in links]
    if not here:
        return []
    listed = git.listed("--literal-pathspecs", "ls-tree", "-z", commit, "--", *[each.path for each in here])
    staying = {os.fsdecode(line.partition(b"\t")[2]) for line in listed if line.startswith(submodules.GITLINK)}
    return [name for each in here if each.path not in staying for name in vacate(git, kept, each)]


def bring(git: Git, kept: str, making: Making, notes: list[str]) -> list[str]:
    """After a checkout: bring those that are initialised, or are to be, to their gitlinks' commits.

    Returns what was moved.
    """
    moved: list[str] = []
    for each in submodules.walk(git, within(git), lambda one: making.make(git, one, notes)):
        if not each.is_repository:
            continue
        if each.git.commit_of(each.wanted) != each.wanted:
            moved += vacate(git, kept, each)
            notes.append(
                f"The submodule {each.path} is not initialised any more: its commit {each.wanted[:12]} is not here."
            )
            continue
        _save(each, notes)
        ground = Ground(each.git.folder, os.path.join(kept, each.path))
        moved += [f"{each.path}/{name}" for name in tree.bring(each.git, ground, each.wanted, "")]
    return moved


def look(git: Git) -> None:
    """Make the indexes anew, so that what differs from HEAD shows as changed. Raises Failed."""
    for each in submodules.walk(git, within(git)):
        if each.is_repository and each.git.commit_of("HEAD"):
            each.git("read-tree", "--reset", "HEAD", deadline=_LONG)


def hold(git: Git, branch: str) -> None:
    """Give commits that a run made in submodules a branch there, should no branch have them. Raises Failed."""
    for each in submodules.walk(git, within(git)):
        if each.is_repository:
            hold_one(each.git, branch)


def drop(git: Git, inside: str, branch: str) -> None:
    """Forget the branch of a run in all submodules; its commits are nobody's then. Raises Failed."""
    for each in submodules.walk(git, inside):
        if each.is_repository and each.git.head_of(branch) and each.git.branch() != branch:
            each.git("update-ref", "-d", f"refs/heads/{branch}")


def hold_one(git: Git, branch: str) -> None:
    """The same for one submodule."""
    head = git.commit_of("HEAD")
    if not head or git("for-each-ref", "--count=1", f"--contains={head}", "refs/heads/", "refs/remotes/", "refs/tags/"):
        return
    name, number = branch, 1
    while (there := git.head_of(name)) and git.attempt("merge-base", "--is-ancestor", there, head).code != 0:
        number += 1
        name = f"{branch}-{number}"
    git("update-ref", f"refs/heads/{name}", head)


def vacate(git: Git, kept: str, submodule: Submodule) -> list[str]:
    """Empty the folder of a submodule; what no commit has is moved, and returned. Raises Failed, OSError."""
    inner = [each for each in submodules.walk(submodule.git, within(git)) if each.is_repository]
    moved: list[str] = []
    for each in reversed(inner):
        moved += vacate(git, kept, each._replace(path=f"{submodule.path}/{each.path}"))
    if submodule.git.commit_of("HEAD"):
        submodule.git("read-tree", "--reset", "HEAD", deadline=_LONG)
    options = ("--porcelain", "--untracked-files=all", "--ignored=matching", "--ignore-submodules=all", "--no-renames")
    lines = [os.fsdecode(line) for line in submodule.git.listed("status", "-z", *options, deadline=_LONG)]
    names = [line[3:].rstrip("/") for line in lines if line[:2] != " D"]
    target = os.path.join(kept, time.strftime("%Y%m%d-%H%M%S", time.gmtime()), submodule.path)
    folder = submodule.git.folder
    git.inside(lambda: _empty(folder, target, names))
    return [*moved, *(f"{submodule.path}/{name}" for name in names)]


def _save(submodule: Submodule, notes: list[str]) -> None:
    """What was changed and not committed is kept on a branch: the checkout that follows writes over it."""
    git = submodule.git
    head = git.commit_of("HEAD")
    if not head:
        return
    git("read-tree", "--reset", "HEAD", deadline=_LONG)
    git.attempt("update-index", "-q", "--refresh", deadline=_LONG)
    found = changes(git, with_untracked=False)
    if not found.paths:
        return
    stage(git, found.paths)
    made = git("commit-tree", git("write-tree", deadline=_LONG), "-p", head, "-m", "Changes that were not committed")
    name = f"left/{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{made[:7]}"
    git("update-ref", f"refs/heads/{name}", made)
    notes.append(f"Uncommitted changes in the submodule {submodule.path} from before are on its branch {name}.")


def _empty(folder: str, target: str, names: list[str]) -> None:
    """In the child: move what is named, remove the rest, keep the folder."""
    for name in names:
        source, goal = os.path.join(folder, name), os.path.join(target, name)
        if os.path.lexists(source):
            os.makedirs(os.path.dirname(goal), 0o700, exist_ok=True)
            shutil.move(source, goal)
    durable.with_no_trace(os.path.join(folder, ".git"))
    shutil.rmtree(folder)
    os.mkdir(folder)


def within(git: Git) -> str:
    """Where the repositories of the submodules of an own workspace are."""
    return os.path.join(git.folder, ".git", "modules")
