"""FetchSubmodule: one submodule of a project, from where the remote's default branch says, if that is accepted.

Each has a bare repository of its own, PROJECT+DIGEST.git, made and mended as the project's is. A nested one is named
by the commit that the default branch has of the one around it.
"""

import functools
import hashlib
import os
import stat
from collections.abc import Callable
from typing import Any, NamedTuple

from herald import fsck, snapshot
from herald.bus.oneshot import Call, Descriptor, Method
from herald.errors import Conflict, Invalid
from herald.snapshot import Project
from herald_git import advertisement, command, fetch, gitmodules, remote, repository, submodule_url
from herald_git.arguments import checked_hash
from herald_git.remote import Remote
from herald_git.repository import Repository, RepositoryError
from herald_git.submodule_url import Address

_GITLINK = b"160000"
_SECONDS = 60.0
_DEEPEST = 5
_MOST_HAVE = 10_000


class Named(NamedTuple):
    """A submodule as a commit of the repository around it names it."""

    name: str
    url: str
    commit: str


class Origin(NamedTuple):
    """Where a submodule comes from. `names` are those of `.gitmodules`, from the outermost one on; `commit` is the one
    that the default branch has, empty when it does not have the submodule yet."""

    address: Address
    names: tuple[str, ...]
    commit: str


def fetch_submodule(call: Call) -> None:
    """The method FetchSubmodule."""
    pack: int = call.parameters["pack"]
    try:
        if not stat.S_ISREG(os.fstat(pack).st_mode):
            raise Invalid("pack must be a regular file")
        path = checked_path(call.parameters["path"])
        commit = checked_hash(call.parameters["commit"])
        have = [checked_hash(each) for each in call.parameters["have"][:_MOST_HAVE]]
        project = snapshot.read().project(call.parameters["project"])
        origin = origin_of(project, path)
        with repository.locked(key_of(project.name, origin.address.url)) as own:
            call.reply(own.mended(lambda: _fetched(own, project, origin, commit, have, pack)))
            own.tidy()
    finally:
        os.close(pack)


FETCH_SUBMODULE = Method(
    fetch_submodule, {"project": str, "path": list, "commit": str, "have": list, "pack": Descriptor}
)


def key_of(project: str, url: str) -> str:
    """The name under which the repositories of a submodule are kept, here, in the mirror and in the agents' stores."""
    return f"{project}+{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def origin_of(project: Project, path: list[str]) -> Origin:
    """Where a submodule comes from: by way of those around it, from the default branch on. Raises Conflict."""
    around, names = remote.of_project(project).url, []
    accepted = dict(project.submodules_urls)
    with repository.locked(project.name) as own:
        one = _or_accepted(lambda: _named(own, _default_head(own), path[0]), path[:1], accepted)
    for depth in range(1, len(path) + 1):
        address = submodule_url.judged(project.name, "/".join(path[:depth]), one.url, around, accepted)
        names.append(one.name)
        if depth < len(path):
            around = address.url
            look = functools.partial(_inner, project, address, one.commit, path[depth])
            one = _or_accepted(look, path[: depth + 1], accepted)
    return Origin(address, tuple(names), one.commit)


def _or_accepted(look: Callable[[], Named], path: list[str], accepted: dict[str, str]) -> Named:
    """One that the default branch does not have yet, or not any more, is where a person says. Raises Conflict."""
    try:
        return look()
    except Conflict:
        if "/".join(path) not in accepted:
            raise
        return Named(path[-1], accepted["/".join(path)], "")


def _inner(project: Project, address: Address, commit: str, path: str) -> Named:
    """A submodule of a submodule, by the commit of the one around it. Raises Conflict."""
    if not commit:
        raise Conflict(f"the remote's default branch has no submodule around {path}")
    with repository.locked(key_of(project.name, address.url)) as own:

        def look() -> Named:
            own.prepare(commit)
            _demand(own, project, address, commit, commit)
            return _named(own, commit, path)

        return own.mended(look)


def _default_head(own: Repository) -> str:
    remembered = own.remembered()
    if not remembered:
        raise Conflict("the project has to be fetched first")
    return advertisement.parse(remembered).default().head


def _fetched(
    own: Repository, project: Project, origin: Origin, commit: str, have: list[str], pack: int
) -> dict[str, Any]:
    own.prepare(commit)
    _demand(own, project, origin.address, commit, origin.commit)
    size = 0 if commit in have else fetch.pack_of(own, commit, have, pack)
    return {"url": origin.address.url, "names": list(origin.names), "pack_bytes": size}


def _demand(own: Repository, project: Project, address: Address, commit: str, default: str) -> None:
    """Have the commit here, fetched if need be. Raises Conflict when the remote has it nowhere.

    At the first fetch it is noted what the commit of the default branch, `default`, names inside.
    """
    fetched_before = bool(own.remembered())
    noted = not default or submodule_url.is_noted(project.name, address.url)
    if not noted and fetched_before:  # by a version that did not note it: what came since is not the first
        submodule_url.note(project.name, address.url, gitmodules.read(own, default).addresses)
        noted = True
    for wanted in (commit,) if noted else (default, commit):
        if not has(own, wanted):
            fetch_all(own, project, address)
        if not has(own, wanted):
            bring(own, project, address, wanted)
    if not noted and has(own, default):
        submodule_url.note(project.name, address.url, gitmodules.read(own, default).addresses)
    if not has(own, commit):
        raise Conflict(f"{address.url} does not have the commit {commit[:12]}")


def fetch_all(own: Repository, project: Project, address: Address) -> None:
    """Bring branches and tags up to date. Raises HeraldError, RepositoryError."""
    bring(own, project, address, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
    own.remember(b"fetched\n")


def bring(own: Repository, project: Project, address: Address, *what: str) -> None:
    """One fetch. A commit that the remote does not hand out by its hash is no error."""
    origin = Remote(project.name, address.url, "git.submodules.urls")
    options = ("--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--quiet")
    outcome = own.git(
        *(*fsck.for_fetch(project.fsck_accept), "fetch", *options, "--", address.url, *what),
        seconds=command.limits().act if own.remembered() else command.limits().first_fetch,
        environment=environment_of(origin, address),
    )
    if outcome.code and what[0].startswith("+"):
        refusal = origin.refusal(outcome.words)
        raise fsck.refusal_of_history(outcome.words, project.name) or refusal or RepositoryError(outcome.words)


def environment_of(origin: Remote, address: Address) -> dict[str, str]:
    """The environment of git towards a submodule's remote; where Herald holds nothing, it shows nothing."""
    if not address.anonymous:
        return origin.environment()
    return command.environment() | {"GIT_ALLOW_PROTOCOL": "https", "HOME": "/nonexistent", "GIT_ASKPASS": ""}


def has(own: Repository, commit: str, environment: dict[str, str] | None = None) -> bool:
    """Whether a commit is here, or where the environment says."""
    return own.git("cat-file", "-e", f"{commit}^{{commit}}", seconds=_SECONDS, environment=environment).code == 0


def _named(own: Repository, commit: str, path: str) -> Named:
    """What a commit says of one submodule. Raises Conflict."""
    listed = own.git("--literal-pathspecs", "ls-tree", "-z", commit, "--", path, seconds=_SECONDS)
    if listed.code:
        raise RepositoryError(listed.words)
    words = listed.out.split(b"\0")[0].partition(b"\t")[0].split(b" ")
    link = words[2].decode() if words[0] == _GITLINK else ""
    file = gitmodules.read(own, commit)
    name = next((name for name, each in file.paths.items() if each == path), "")
    if not link or not name or name not in file.urls:
        raise Conflict(f"the remote's default branch has no submodule {path} with an address")
    if ".." in name.split("/") or name.startswith(("-", "/")) or not name.isprintable() or "" in name.split("/"):
        raise Conflict(f"its name {name[:80]!r} is not one that git may be given")
    return Named(name, file.urls[name], link)


def checked_path(value: list[Any]) -> list[str]:
    """The path of a submodule, one entry for each level. Raises Invalid."""
    if not 1 <= len(value) <= _DEEPEST or not all(isinstance(each, str) and each.isprintable() for each in value):
        raise Invalid("path must name a submodule, and those around it before it")
    if any(part in ("", ".", "..", ".git") for each in value for part in each.split("/")):
        raise Invalid(f"{value!r} is not the path of a submodule")
    return [str(each) for each in value]
