"""Fetch: bring the own repository up to date and pack what the caller lacks.

This is on the path of every message, so the ordinary case, nothing new and nothing to pack, is one connection and
one git process: what the remote advertises equals what it advertised when the last fetch ended.
"""

import os
import stat
from typing import Any

from herald import fsck, journal, snapshot
from herald.bus.oneshot import Call, Descriptor, Method
from herald.errors import Invalid, Unavailable
from herald.snapshot import Project
from herald_git import advertisement, command, gitmodules, prospects, remote, repository, submodule_url
from herald_git.advertisement import Advertisement, Default
from herald_git.arguments import checked_hash
from herald_git.remote import Remote
from herald_git.repository import Repository, RepositoryError

_TRACKED = "refs/remotes/origin/"
_MOST_HAVE = 10_000
_PACK_SECONDS = 300.0


def fetch(call: Call) -> None:
    """The method Fetch."""
    pack: int = call.parameters["pack"]
    journal.debug("called", project=call.parameters["project"])
    try:
        if not stat.S_ISREG(os.fstat(pack).st_mode):
            raise Invalid("pack must be a regular file")
        have = [checked_hash(each) for each in call.parameters["have"][:_MOST_HAVE]]
        project = snapshot.read().project(call.parameters["project"])
        origin = remote.of_project(project)
        with repository.locked(project.name) as own:
            call.reply(own.mended(lambda: _fetch_and_pack(own, project, origin, have, pack)))
            journal.debug("fetched", project=project.name)
            own.tidy()
    finally:
        os.close(pack)


FETCH = Method(fetch, {"project": str, "have": list, "pack": Descriptor})


def _fetch_and_pack(own: Repository, project: Project, origin: Remote, have: list[str], pack: int) -> dict[str, Any]:
    own.sweep()
    seen, default = _update(own, origin, project.fsck_accept)
    size = 0 if default.head in have else pack_of(own, default.head, have, pack)
    push = prospects.look(own, project, seen.branches, default.head)
    return {
        "branch": default.branch,
        "head": default.head,
        "pack_bytes": size,
        "in_the_way": push.in_the_way,
        "warning": push.warning,
        "warning_since": push.since,
    }


def _update(own: Repository, origin: Remote, accepted: tuple[str, ...]) -> tuple[Advertisement, Default]:
    """Fetch all branches if the remote has anything new; returns them and its default branch."""
    seen = advertisement.ask(own, origin)
    default = seen.default()
    before = own.remembered()
    _note_submodules(own, origin, before)
    if before == seen.raw:
        return seen, default
    own.prepare(default.head)  # only the remote tells the format of its objects
    _fetch_branches(own, origin, accepted, first=not before)
    head = _tracked_head(own, default.branch)
    if not submodule_url.is_noted(own.project, origin.url):
        submodule_url.note(own.project, origin.url, gitmodules.read(own, head).addresses)
    if head == default.head:
        own.remember(seen.raw)
    journal.info(f"fetched {default.branch} at {head[:12]}", project=own.project)
    return seen, Default(default.branch, head)


def _note_submodules(own: Repository, origin: Remote, before: bytes) -> None:
    """Of a remote that a version before has fetched: what its default branch named then, not what has come since."""
    if not before.startswith(origin.url.encode() + b"\n") or submodule_url.is_noted(own.project, origin.url):
        return
    head = advertisement.parse(before).default().head
    submodule_url.note(own.project, origin.url, gitmodules.read(own, head).addresses)


def _fetch_branches(own: Repository, origin: Remote, accepted: tuple[str, ...], *, first: bool) -> None:
    limits = command.limits()
    options = ("--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--quiet")
    outcome = own.git(
        *(*fsck.for_fetch(accepted), "fetch", *options, "--", origin.url, f"+refs/heads/*:{_TRACKED}*"),
        seconds=limits.first_fetch if first else limits.act,
        environment=origin.environment(),
    )
    if outcome.code:
        refusal = origin.refusal(outcome.words)
        raise fsck.refusal_of_history(outcome.words, own.project) or refusal or RepositoryError(outcome.words)


def _tracked_head(own: Repository, branch: str) -> str:
    outcome = own.git("rev-parse", "--verify", "--quiet", f"{_TRACKED}{branch}", seconds=_PACK_SECONDS)
    if outcome.code:
        raise Unavailable(f"branch {branch} went away at the remote during the fetch; try again")
    return outcome.out.decode().strip()


def pack_of(own: Repository, head: str, have: list[str], pack: int) -> int:
    """Write a pack of a commit without what the caller has; returns its size. Raises RepositoryError."""
    os.ftruncate(pack, 0)
    os.lseek(pack, 0, os.SEEK_SET)
    excluded = "".join(f"^{each}\n" for each in _known(own, have))
    outcome = own.git(
        *("pack-objects", "--revs", "--thin", "--delta-base-offset", "--stdout", "--quiet"),
        seconds=_PACK_SECONDS if excluded else max(_PACK_SECONDS, command.limits().first_fetch),
        stdin=f"{head}\n{excluded}".encode(),
        stdout=pack,
    )
    if outcome.code:
        raise RepositoryError(outcome.words)
    return os.fstat(pack).st_size


def _known(own: Repository, have: list[str]) -> list[str]:
    """Those of the hashes that are commits of the own repository: git refuses to exclude what it doesn't have."""
    if not have:
        return []
    asked = "".join(f"{each}\n" for each in have).encode()
    outcome = own.git("cat-file", "--batch-check=%(objectname) %(objecttype)", seconds=_PACK_SECONDS, stdin=asked)
    if outcome.code:
        raise RepositoryError(outcome.words)
    lines = (line.split() for line in outcome.out.decode().splitlines())
    return [line[0] for line in lines if line[1:] == ["commit"]]
