"""Before a branch is pushed: the submodules that it names have the commits that it names, or get them first.

"Has" means: reachable from a branch or tag that the submodule's remote advertises now. Commits are pushed to a branch
of the same name as the project's, the innermost submodule first, so that a kill at any step leaves nothing at a remote
that names what is not there.
"""

import os
import time
from typing import Any, NamedTuple

from herald import journal, names, snapshot
from herald.bus.oneshot import Call, Method
from herald.errors import Busy, HeraldError, Unavailable
from herald.snapshot import Project
from herald_git import advertisement, command, remote, repository
from herald_git.arguments import checked_hash
from herald_git.remote import Remote
from herald_git.repository import Repository, RepositoryError
from herald_git.submodule import Origin, checked_path, environment_of, fetch_all, has, key_of, origin_of

_GITLINK = b"160000"
_SECONDS = 120.0
_DEEPEST = 5
_LONGEST = 2000.0
"""Seconds after which nothing more is begun: with the longest fetch and pushes that is less than the unit may live."""


class Moved(NamedTuple):
    """A gitlink that a commit changed: path, and the commits before (empty: none) and now."""

    path: str
    old: str
    new: str


def check_submodule(call: Call) -> dict[str, Any]:
    """The method CheckSubmodule."""
    path = checked_path(call.parameters["path"])
    commit = checked_hash(call.parameters["commit"])
    project = snapshot.read().project(call.parameters["project"])
    origin = origin_of(project, path)
    with repository.locked(key_of(project.name, origin.address.url)) as own:
        found = own.mended(lambda: _is_published(own, project, origin, commit))
    return {"url": origin.address.url, "has": found}


CHECK_SUBMODULE = Method(check_submodule, {"project": str, "path": list, "commit": str})


class _Act(NamedTuple):
    """A push of a project: who waits for it, and until when it may take, by the monotonic clock."""

    call: Call
    project: Project
    branch: str
    until: float

    def demand_time(self) -> None:
        """Before something that takes long. Raises Unavailable: the same may be done again, and what is done counts."""
        if self.call.is_abandoned():
            raise Unavailable("nobody waits for this push any more; it is made again")
        if time.monotonic() > self.until:
            raise Unavailable(f"the submodules of {self.project.name} take long; the push goes on with the next try")


def ready(call: Call, project: Project, branch: str, head: str) -> str:
    """Have everything at the submodules' remotes that a commit needs; returns why it is not, empty when it is.

    Raises Unavailable when a remote does not answer, Busy: the same may be done again.
    """
    with repository.locked(project.name) as own:
        moved = own.mended(lambda: _moved_since_default(own, head))
    act = _Act(call, project, branch, time.monotonic() + _LONGEST)
    reason = _ready(act, moved, [])
    if moved:
        act.demand_time()
    return reason


def _moved_since_default(own: Repository, head: str) -> list[Moved]:
    own.prepare(head)
    remembered = own.remembered()
    mirror = _with_mirrors(own.project)
    return _moved(own, mirror, advertisement.parse(remembered).default().head if remembered else "", head)


def _ready(act: _Act, moved: list[Moved], around: list[str]) -> str:
    for each in moved:
        path = [*around, each.path]
        act.demand_time()
        try:
            reason = _ready_one(act, each, path)
        except (Unavailable, Busy):
            raise
        except HeraldError as error:
            reason = f"the submodule {'/'.join(path)} cannot be checked: {error.message}"
        if reason:
            return reason
    return ""


def _ready_one(act: _Act, moved: Moved, path: list[str]) -> str:
    project = act.project
    origin = origin_of(project, path)
    url, joined = origin.address.url, "/".join(path)
    key = key_of(project.name, url)
    mirrors = _with_mirrors(key, key_of(project.name, f"unknown:{joined}"))
    with repository.locked(key) as own:
        if own.mended(lambda: _is_published(own, project, origin, moved.new)):
            return ""
        lacks = f"{url} has the commit {moved.new[:12]} of the submodule {joined} on no branch or tag"
        is_here = has(own, moved.new, mirrors)
        if is_here and own.mended(lambda: _names_large_files(own, moved.new, mirrors)):
            return f"{lacks}, and it names files of git-lfs, which Herald does not push there; push it there with them"
        if not project.submodules_push:
            return f"{lacks}; push it there, or set `git.submodules.push: true`, then `!push`"
        if origin.address.anonymous:
            return f"{lacks}, and is reached without a key; `git.submodules.urls` can name an address with one"
        if not is_here:
            return f"{lacks}, and Herald does not have it either; push it there"
        inner = own.mended(lambda: _moved(own, mirrors, moved.old, moved.new)) if len(path) < _DEEPEST else []
    if reason := _ready(act, inner, path):
        return reason
    with repository.locked(key) as own:
        return _push(own, project, origin, act.branch, Moved(joined, "", moved.new), mirrors)


def _names_large_files(own: Repository, commit: str, mirrors: dict[str, str]) -> bool:
    from herald_git import submodule_largefiles  # most pushes get by without

    return submodule_largefiles.named_by_new(own, commit, mirrors)


def _push(own: Repository, project: Project, origin: Origin, branch: str, moved: Moved, mirrors: dict[str, str]) -> str:
    """Push one commit to one branch, forward only; returns why that was refused, empty when it is there."""
    commit, path = moved.new, moved.path
    address = origin.address
    where = Remote(project.name, address.url, "git.submodules.urls")
    environment = mirrors | environment_of(where, address)
    outcome = own.git(
        *("push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-recurse-submodules", "--no-signed"),
        *("--", address.url, f"{commit}:refs/heads/{branch}"),
        seconds=command.limits().act,
        environment=environment,
    )
    if outcome.code == 0:
        journal.notice(f"pushed {commit} of the submodule {path} to {branch} at {address.url}", project=project.name)
        return ""
    refusal = where.refusal(outcome.words)
    if isinstance(refusal, Unavailable):
        raise refusal
    words = refusal.message if refusal else remote.spoken(outcome.words)
    return f"the commit {commit[:12]} of the submodule {path} could not be pushed: {words}"


def _is_published(own: Repository, project: Project, origin: Origin, commit: str) -> bool:
    own.prepare(commit)
    fetch_all(own, project, origin.address)
    if not has(own, commit):
        return False
    return bool(own.git("for-each-ref", "--count=1", f"--contains={commit}", seconds=_SECONDS).out)


def _moved(own: Repository, environment: dict[str, str], old: str, new: str) -> list[Moved]:
    """The gitlinks that a commit changed since it left the history of another one."""
    if not old or not has(own, old, environment):  # a commit that nobody has any more says nothing
        listed = own.git("ls-tree", "-r", "-z", "--full-tree", new, seconds=_SECONDS, environment=environment)
        if remote.is_own_fault(listed.words):
            raise RepositoryError(listed.words)
        lines = [line.partition(b"\t") for line in listed.out.split(b"\0") if line.startswith(_GITLINK)]
        return [Moved(os.fsdecode(path), "", words.split(b" ")[2].decode()) for words, _, path in lines]
    fork = own.git("merge-base", old, new, seconds=_SECONDS, environment=environment).out.decode().strip() or old
    options = ("-r", "-z", "--raw", "--no-renames", "--ignore-submodules=none", "--no-abbrev")
    listed = own.git("diff-tree", *options, fork, new, seconds=_SECONDS, environment=environment)
    if listed.code:
        raise RepositoryError(listed.words)
    fields = listed.out.split(b"\0")
    found = []
    for words, path in zip(fields[::2], fields[1::2], strict=False):
        before, after, old_hash, new_hash, *_ = words.lstrip(b":").split(b" ")
        if after == _GITLINK:
            found.append(Moved(os.fsdecode(path), old_hash.decode() if before == _GITLINK else "", new_hash.decode()))
    return found


def _with_mirrors(*mirrors: str) -> dict[str, str]:
    """An environment with the worker's objects of those mirrors that there are, quoted as git wants to be told."""
    top = os.path.join(names.state_folder(names.WORKER), "mirrors")
    folders = [os.path.join(top, f"{name}.git", "objects") for name in mirrors]
    escaped = [each.replace("\\", "\\\\").replace('"', '\\"') for each in folders if os.path.isdir(each)]
    return command.environment() | {"GIT_ALTERNATE_OBJECT_DIRECTORIES": ":".join(f'"{each}"' for each in escaped)}
