"""What a card says of submodules, above everything else, and the commits that it needs of them.

A commit that the remote of a submodule does not have yet is taken from the workspace into a mirror, as the run's own
commits are, before there is a card. Whether it can be pushed is decided by herald-git at the push, by what the remote
has then.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from asyncvarlink import FileDescriptor

from herald import names
from herald.bus import client
from herald.durable import with_no_trace
from herald.errors import Busy, HeraldError, Unavailable
from herald.interfaces.agent import Agent
from herald.interfaces.git import Git
from herald.snapshot import Project
from herald_worker import confined_git, pointers
from herald_worker.commit_summary import plain
from herald_worker.mirror import Mirror
from herald_worker.proposals import NewProposal
from herald_worker.submodules import gitlinks, key_of

_GIT_DEADLINE = 300.0
_AGENT_DEADLINE = 300.0
_MOST_PACK = 512 << 20
_DEEPEST = 5
_SHOWN = 5
_GITLINK = b"160000"
_TRIES = 5
_PAUSE = 1.0
"""Seconds between two of them: what ended there a moment ago may still have the workspace."""


class Moved(NamedTuple):
    """A gitlink that commits changed: path, one entry for each level, and the commits before (or empty) and now."""

    path: tuple[str, ...]
    old: str
    new: str


class SubmoduleCards:
    """Looks at the submodules of proposals."""

    def __init__(self) -> None:
        self._git = client.peer(Git, _GIT_DEADLINE)
        self._agent = client.peer(Agent, _AGENT_DEADLINE)

    async def completed(self, project: Project, new: NewProposal) -> NewProposal:
        """The proposal, with what there is to say of submodules as the first lines of its card."""
        lines: list[str] = []
        for each in await moved(project.name, "refs/base/default", new.head, ()):
            lines += await self._about(project, new, each)
        return new._replace(card="\n".join([*lines, new.card])) if lines else new

    async def _about(self, project: Project, new: NewProposal, link: Moved) -> list[str]:
        joined = plain("/".join(link.path))
        url = ""
        try:
            checked = await self._git.CheckSubmodule(project=project.name, path=list(link.path), commit=link.new)
            if checked["has"]:
                return []
            url = checked["url"]
            reason = f"{plain(url)} has it on no branch or tag"
        except HeraldError as error:
            reason = plain(error.message)
        try:
            taken = await self._taken(project, new, link, url)
        except HeraldError as error:
            missing = f"it could not be taken from the workspace either: {plain(error.message)}"
            return [f"⚠️ Not pushable: {joined} is at {link.new[:12]}; {reason}, and {missing}"]
        deeper = [line for each in taken.inner for line in await self._about(project, new, each)]
        if taken.large_files:
            first = f"⚠️ Not pushable: the submodule {joined} keeps files with git-lfs, which Herald does not push there"
            how = f"{'Push' if url else 'Accept its address, push'} {link.new[:12]} there with them, then vote"
            return [*deeper, f"{first} ({taken.large_files}). Herald keeps the commit. {how}", *taken.subjects]
        if url and project.submodules_push:
            first = f"Pushed first: the submodule {joined} at {link.new[:12]}, to {new.branch} at {plain(url)}"
            return [*deeper, first, *taken.subjects]
        how = "push it there, or set `git.submodules.push: true`" if url else "accept its address"
        lacks = f"the submodule {joined} is at {link.new[:12]}; {reason}"
        first = f"⚠️ Not pushable: {lacks}. Herald keeps the commit; {how}, then vote"
        return [*deeper, first, *taken.subjects]

    async def _taken(self, project: Project, new: NewProposal, link: Moved, url: str) -> "_Taken":
        """Import a commit with its history; `url` is empty while no address is accepted. Raises HeraldError."""
        key = key_of(project.name, url or f"unknown:{'/'.join(link.path)}")
        mirror = Mirror(key)
        have = [link.old] if link.old and await mirror.has(link.old) else []
        if not await mirror.has(link.new):
            with _pack(new.run) as (path, fd):
                await self._give(project, new, link, have, fd)
                base, accepted = have[0] if have else link.new, project.fsck_accept
                await mirror.import_run(_run_of(new.run, link), path, link.new, base, _MOST_PACK, accepted)
        beyond = [f"^{commit}" for commit in have]
        log = await _git(key, "log", f"--max-count={_SHOWN + 1}", "--format=%s", link.new, *beyond)
        subjects = [f"• {plain(line)}" for line in log.out.decode("utf-8", "replace").splitlines()]
        if len(subjects) > _SHOWN:
            subjects[_SHOWN:] = ["• …"]
        looked_into = bool(url) and len(link.path) < _DEEPEST
        inner = await moved(key, have[0] if have else "", link.new, link.path) if looked_into else []
        large_files = await pointers.named_by_new(mirror, link.new, tuple(have))
        return _Taken(subjects, inner, pointers.shown(large_files))

    async def _give(self, project: Project, new: NewProposal, link: Moved, have: list[str], fd: int) -> None:
        for attempt in range(_TRIES):
            try:
                await self._agent.GiveSubmodule(
                    project=project.name,
                    workspace=new.workspace,
                    path="/".join(link.path),
                    commit=link.new,
                    have=have,
                    pack=FileDescriptor(fd),
                )
            except (Busy, Unavailable):
                if attempt + 1 == _TRIES:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return


class _Taken(NamedTuple):
    """What a commit of a submodule brings: what is new in it, the submodules that it moved, files of git-lfs."""

    subjects: list[str]
    inner: list[Moved]
    large_files: str


async def moved(mirror: str, old: str, new: str, around: tuple[str, ...]) -> list[Moved]:
    """The gitlinks that a commit changed since it left the history of another one; of none: all that it has."""
    if not old:
        return [Moved((*around, path), "", link) for path, link in (await gitlinks(mirror, new)).items()]
    fork = await _git(mirror, "merge-base", old, new)
    start = fork.out.decode().strip() or old
    options = ("-r", "-z", "--raw", "--no-renames", "--ignore-submodules=none", "--no-abbrev")
    listed = await _git(mirror, "diff-tree", *options, start, new)
    fields = listed.out.split(b"\0")
    found = []
    for words, path in zip(fields[::2], fields[1::2], strict=False):
        before, after, old_hash, new_hash, *_ = words.lstrip(b":").split(b" ")
        if after == _GITLINK:
            was = old_hash.decode() if before == _GITLINK else ""
            found.append(Moved((*around, path.decode("utf-8", "replace")), was, new_hash.decode()))
    return found


async def forget(project: str, run: str) -> None:
    """What was kept for a run's card need not be offered any more; its objects stay."""
    folder = os.path.join(names.state_folder(names.WORKER), "mirrors")
    for name in os.listdir(folder):
        if name.startswith(f"{project}+") and name.endswith(".git"):
            mirror = Mirror(name.removesuffix(".git"))
            with contextlib.suppress(HeraldError):
                listed = await _git(mirror.project, "for-each-ref", "--format=%(refname:lstrip=2)", *_refs_of(run))
                for each in listed.out.decode().split():
                    await mirror.drop(each)


def _run_of(run: str, link: Moved) -> str:
    """Under which name a mirror keeps a commit of a run: two submodules with one address share the mirror."""
    return f"{run}-{hashlib.sha256('/'.join(link.path).encode('utf-8', 'replace')).hexdigest()[:8]}"


def _refs_of(run: str) -> tuple[str, str]:
    return f"refs/runs/{run}", f"refs/runs/{run}-*"


async def _git(mirror: str, *arguments: str) -> confined_git.Outcome:
    return await confined_git.run(f"--git-dir={Mirror(mirror).path}", *arguments)


@contextlib.contextmanager
def _pack(run: str) -> Iterator[tuple[str, int]]:
    folder = os.path.join(names.state_folder(names.WORKER), "proposing")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, f"{run}.submodule.pack")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield path, fd
    finally:
        os.close(fd)
        with_no_trace(path)
