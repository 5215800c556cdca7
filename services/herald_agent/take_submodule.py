"""TakeSubmodule: what the worker fetched of a submodule, before a run that is to have it. ListSubmodules: which need
nothing, whatever the worker believes: records and stores may have been damaged since."""

import os
import stat
from typing import Any

from herald import snapshot
from herald.errors import Failed, Invalid
from herald_agent import locks, submodule_record, submodules
from herald_agent.access import Access, access
from herald_agent.git import Git
from herald_agent.reference import check_hash
from herald_agent.store import Incomplete
from herald_agent.submodule_making import Making
from herald_agent.submodule_record import Known
from herald_agent.workspace import workspace_of

_MOST_HAVE = 1000
_LONGEST_PROBLEM = 1000


def take_submodule(parameters: dict[str, Any]) -> dict[str, Any]:
    """Take what the pack holds. In a person's folder only into a submodule that is initialised there.

    `complete` says whether the commit is there now, `held` which of `have` are. Raises Busy while an agent is at work
    there, Conflict when the workspace cannot be used.
    """
    settings = snapshot.read()
    project = settings.project(parameters["project"])
    path, url, commit = parameters["path"], parameters["url"], parameters["commit"]
    names, problem = parameters["names"], parameters["problem"][:_LONGEST_PROBLEM]
    have = [each for each in parameters["have"][:_MOST_HAVE] if check_hash(each)]
    if not check_hash(commit) or not all(_is_name(each) for each in names) or not _is_name(path):
        raise Invalid("a submodule has a path, names and the full hash of a commit")
    if not stat.S_ISREG(os.fstat(parameters["pack"]).st_mode):
        raise Invalid("pack must be a regular file")
    workspace = workspace_of(project, parameters["workspace"])
    lock = locks.take_workspace(workspace.name)
    try:
        reached = access(settings, workspace)
        if reached.own is None:
            return _into_folder(reached, path, commit, have, parameters["pack"])
        known = Known("/modules/".join(names), names[-1] if names else "", url, problem)
        return _into_store(reached.own.making, path, known, commit, have, parameters["pack"])
    finally:
        os.close(lock)  # the run that follows is waiting for it already


def list_submodules(parameters: dict[str, Any]) -> dict[str, Any]:
    """Which of the submodules, each as `COMMIT PATH`, need nothing. Raises Busy, Conflict as TakeSubmodule does."""
    settings = snapshot.read()
    project = settings.project(parameters["project"])
    wanted = [(commit, path) for commit, _, path in (each.partition(" ") for each in parameters["wanted"])]
    if len(wanted) > submodules.MOST or not all(check_hash(commit) and _is_name(path) for commit, path in wanted):
        raise Invalid("wanted must be hashes of commits, each with the path of a submodule")
    workspace = workspace_of(project, parameters["workspace"])
    lock = locks.take_workspace(workspace.name)
    try:
        reached = access(settings, workspace)
        if reached.own is not None:
            held = [each for each in wanted if _is_in_store(reached.own.making, *each)]
        else:
            git = reached.repository([]).git
            there = {each.path: each.git for each in submodules.walk(git) if each.is_repository}
            held = [each for each in wanted if _is_in_folder(there.get(each[1]), each[0])]
    finally:
        os.close(lock)
    return {"held": [f"{commit} {path}" for commit, path in held]}


def _is_in_store(making: Making, commit: str, path: str) -> bool:
    known = making.known.get(path)
    return known is not None and bool(known.url) and making.store(known).holds(commit)


def _is_in_folder(git: Git | None, commit: str) -> bool:
    """One that is not initialised in a person's folder stays so."""
    return git is None or git.commit_of(commit) == commit


def _into_store(making: Making, path: str, known: Known, commit: str, have: list[str], pack: int) -> dict[str, Any]:
    """Into the store of the submodule, and noted for the next run."""
    before = making.known.get(path)
    if known.problem and before is not None and before.url:  # what was brought before is still of use
        known = before._replace(problem=known.problem, told=False)
    if before is None or before._replace(told=False) != known:
        making.known[path] = known
        submodule_record.save(making.workspace, making.known)
    if known.problem:
        return {"complete": True, "held": []}
    store = making.store(known)
    if not os.fstat(pack).st_size and not store.holds(commit):
        return {"complete": False, "held": [each for each in have if store.holds(each)]}
    was_there = os.path.lexists(store.path)
    try:
        store.take(pack, commit)
    except Incomplete:
        if not was_there or os.path.lexists(store.path):
            raise
        return {"complete": False, "held": []}  # it was damaged, and begins anew
    return {"complete": True, "held": [commit]}


def _into_folder(reached: Access, path: str, commit: str, have: list[str], pack: int) -> dict[str, Any]:
    """Into the repository of a person's submodule; one that is not initialised stays so."""
    git = reached.repository([]).git
    found = next((each for each in submodules.walk(git) if each.path == path and each.is_repository), None)
    if found is None or _is_in_folder(found.git, commit):
        return {"complete": True, "held": []}
    if os.fstat(pack).st_size:
        os.lseek(pack, 0, os.SEEK_SET)
        output = found.git.attempt("index-pack", "--stdin", "--fix-thin", stdin=pack, deadline=300.0)
        if output.code or found.git.commit_of(commit) != commit:
            raise Failed(f"the commit {commit[:12]} could not be taken into the submodule {path}")
        return {"complete": True, "held": [commit]}
    return {"complete": False, "held": [each for each in have if found.git.commit_of(each) == each]}


def _is_name(text: object) -> bool:
    if not isinstance(text, str) or not text or len(text) > 1000 or text[0] == "-" or not text.isprintable():
        return False
    return not any(part in ("", ".", "..", ".git") for part in text.split("/"))
