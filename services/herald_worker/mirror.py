"""The worker's own bare repository of one project: what it knows of the remote, and the commits of runs.

Commits of an agent come as a raw pack and a hash. The pack is indexed, checked and found complete in a quarantine
folder, and only then moved in, so that nothing of a refused pack is ever part of the repository. Refs:
`refs/base/default`, the remote's default branch; `refs/runs/RUN`, the head of a run until it is pushed or discarded;
`refs/kept/TIME/BRANCH`, what a reset left (`kept`).

Acts on one repository wait for one another. herald-git reads the objects as alternates."""

import asyncio
import contextlib
import functools
import os
import re
import shutil
import weakref
from collections.abc import AsyncIterator, Iterable
from typing import NoReturn

from herald import durable, fsck, git_words, journal, names, object_format
from herald.errors import Conflict, Invalid, Unavailable
from herald_worker import commit_summary, confined_git, git_causes, judging, mirror_folder
from herald_worker.beside import Beside
from herald_worker.commit_summary import Summary
from herald_worker.confined_git import Outcome
from herald_worker.judging import Judge
from herald_worker.passed_files import memory_of, opened

_BASE = "refs/base/default"
_RUNS = "refs/runs/"
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MOST_SUBJECTS = 20
_LOGGED = "%s%x00%(trailers:key=Tests,valueonly=true,unfold=true,separator=%x20)%x00"
_MOST_PACKS = 50
_MOST_INPUT = 1 << 40


class Damaged(Unavailable):
    """The repository was damaged. It has been set aside; the next act makes an empty one."""


class _Turn:
    """Whose turn it is at one path, and whether the repository there was prepared since this process started."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.prepared = False
        self.complete: tuple[str, ...] | None = None
        """The ref and head that were found complete last, and what the disk showed then."""


_turns: weakref.WeakValueDictionary[str, _Turn] = weakref.WeakValueDictionary()


class Mirror:
    """The bare repository of one project. All `Mirror`s of a project are one and the same."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.path = os.path.join(names.state_folder(names.WORKER), "mirrors", f"{project}.git")
        self._objects = os.path.join(self.path, "objects")
        self._quarantine = os.path.join(self.path, "quarantine")
        self._turn = _turns.setdefault(self.path, _Turn())

    async def known(self) -> list[str]:
        """Commits to offer as `have`: the remote's default branch and the heads of open runs."""
        async with self._one_act():
            try:
                outcome = await self._git("for-each-ref", "--format=%(objectname)", _BASE, _RUNS)
                if outcome.code or "broken ref" in outcome.words:
                    await self._blame(outcome)
            except Damaged:
                return []
            return sorted(set(outcome.out.decode().split()))

    async def import_base(self, pack_path: str, head: str) -> None:
        """Take the head of the remote's default branch from a pack of herald-git, which may be empty."""
        _checked(head)
        async with self._one_act(head):
            if await self._is_complete(_BASE, head):
                return
            async with self._quarantined(pack_path, _MOST_INPUT) as variables:
                # herald-git has checked it: what the remote's history may have is decided there, once.
                await self._demand(await self._index(pack_path, _MOST_INPUT, variables, history=True))
                await self._demand_complete(head, variables, history=True)
                await self._accept()
            await self._demand(await self._git("update-ref", _BASE, head))

    async def import_run(
        self, run: str, pack_path: str, head: str, base: str, limit_bytes: int, accepted: tuple[str, ...] = ()
    ) -> None:
        """Take the commits of a run as `refs/runs/RUN`. The same run and head again: nothing is done.

        `base` is a commit of the mirror that the history must meet; from there on is for `summary` to find out.
        `accepted` are the ids of git's check that a person accepts in this project.
        Raises Conflict with the reason when the pack is not what a run may hand over.
        """
        _checked(head, base, run=run)
        ref = _RUNS + run
        async with self._one_act():
            if await self._is_complete(ref, head):
                return
            async with self._quarantined(pack_path, limit_bytes) as variables:
                levels = await asyncio.to_thread(fsck.ignored_of_agents, accepted)
                remarks = await self._index_judged(
                    pack_path, limit_bytes, Judge(self._git, variables, base, head), levels
                )
                await self._demand_own_commit(head)
                await self._demand_complete(head, variables)
                await self._demand_kinship(base, head, variables)
                await self._accept()
            mirror_folder.write_remarks(self.path, head, remarks)
            outcome = await self._git("update-ref", ref, head, "0" * len(head))
            if "reference already exists" in outcome.words:
                raise Conflict(f"run {run} has handed over another commit before")
            await self._demand(outcome)

    @contextlib.asynccontextmanager
    async def beside(
        self, pack: str = "", limit: int = _MOST_INPUT, judged: tuple[str, str, tuple[str, ...]] | None = None
    ) -> AsyncIterator[Beside]:
        """git on this repository and, in the quarantine, a pack that is not part of it yet.

        `judged`: a base, a head and the accepted ids, by which it is checked as a run's is, before it may be taken in.
        Raises Conflict when it is refused.
        """
        async with self._one_act(), self._quarantined(pack or os.devnull, limit) as variables:
            if judged is not None:
                base, head, accepted = judged
                levels = await asyncio.to_thread(fsck.ignored_of_agents, accepted)
                await self._index_judged(pack, limit, Judge(self._git, variables, base, head), levels)
            elif pack:
                await self._demand(await self._index(pack, limit, variables, history=True))
            complete = functools.partial(self._demand_complete, variables=variables)
            yield Beside(functools.partial(self._git, variables=variables), self._demand, complete, self._accept)

    async def export(self, head: str, had: str | Iterable[str], pack_path: str) -> None:
        """Write a pack of `head` into an existing file, without what the receiver had.

        `had`: commits whose whole history the receiver has; empty and unknown ones don't count.
        """
        given = [each for each in ([had] if isinstance(had, str) else had) if each]
        _checked(head, *given)
        async with self._one_act():
            revisions = [head, *(f"^{each}" for each in await self._known_of(given))]
            with opened(pack_path, os.O_WRONLY | os.O_TRUNC) as pack:
                options = ("--revs", "--thin", "--delta-base-offset", "--stdout", "--quiet")
                given_bytes = "".join(f"{each}\n" for each in revisions).encode()
                first = len(revisions) == 1
                outcome = await self._git("pack-objects", *options, given=given_bytes, stdout=pack, history=first)
            await self._demand(outcome)

    async def summary(self, head: str, base_branch_head: str = _BASE) -> Summary:
        """What `head` has beyond the remote's default branch, from the objects themselves."""
        _checked(head, *([base_branch_head] if base_branch_head != _BASE else []))
        async with self._one_act():
            fork = await self._demand_kinship(base_branch_head, head)
            beyond = f"{base_branch_head}..{head}"
            count = await self._git("rev-list", "--count", beyond)
            await self._demand(count)
            log = await self._git("log", f"--max-count={_MOST_SUBJECTS}", f"--format={_LOGGED}", beyond)
            await self._demand(log)
            options = ("-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv")
            diff = await self._git("diff-tree", *options, "--raw", fork, head)
            await self._demand(diff)
            words = await self._git("diff-tree", *options, "--ignore-cr-at-eol", fork, head)
            remarks = await self._remarks(base_branch_head, head)
        texts = [commit_summary.plain(text) for text in log.out.decode(errors="replace").split("\0")]
        numbers = commit_summary.difference(diff.out, words.out, remarks)
        return Summary(int(count.out), tuple(texts[:-1:2]), *numbers, texts[1] if len(texts) > 1 else "")

    async def has(self, commit: str) -> bool:
        """Whether this commit is here."""
        _checked(commit)
        async with self._one_act():
            return await self._has(commit)

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether one commit is in the history of the other (a commit is in its own)."""
        _checked(ancestor, descendant)
        async with self._one_act():
            outcome = await self._git("merge-base", "--is-ancestor", ancestor, descendant)
            if outcome.code not in (0, 1):
                await self._blame(outcome)
            return outcome.code == 0

    async def drop(self, run: str) -> None:
        """Forget the head of a run; nothing happens when there is none."""
        _checked(run=run)
        async with self._one_act():
            await self._demand(await self._git("update-ref", "-d", _RUNS + run))

    async def discard(self, head: str) -> None:
        """Forget every run that ended with this commit."""
        _checked(head)
        async with self._one_act():
            outcome = await self._git("for-each-ref", "--format=%(refname) %(objectname)", _RUNS)
            await self._demand(outcome)
            mirror_folder.write_remarks(self.path, head, [])
            for ref, value in map(str.split, outcome.out.decode().splitlines()):
                if value == head:
                    await self._demand(await self._git("update-ref", "-d", ref, head))

    async def tidy(self) -> None:
        """Join small packs once there are many; drops nothing, so that herald-git may read meanwhile."""
        async with self._one_act():
            packs = [name for name in os.listdir(os.path.join(self._objects, "pack")) if name.endswith(".pack")]
            if len(packs) > _MOST_PACKS:
                await self._demand(await self._git("repack", "--geometric=2", "-d", "--quiet", history=True))

    @contextlib.asynccontextmanager
    async def _one_act(self, base: str = "") -> AsyncIterator[None]:
        """`base`: a commit of the remote; a repository whose objects have another format is made anew."""
        async with self._turn.lock:
            if not self._turn.prepared or (base and not object_format.fits(self.path, base)):
                await self._prepare(base)
                self._turn.prepared = True
            yield

    async def _prepare(self, base: str) -> None:
        """Make the repository, or remove what a killed worker left in it."""
        half_made = f"{self.path}.new"
        there = await asyncio.to_thread(mirror_folder.swept, self.path, half_made, self._quarantine)
        if there and base and not object_format.fits(self.path, base):
            there = self._set_aside_unfit()
        if there:
            await asyncio.to_thread(mirror_folder.open_to_group, self.path)
            return
        kind = object_format.option(base)
        outcome = await confined_git.run("init", "--bare", "--template=", "--quiet", kind, half_made)
        if outcome.code:
            raise Unavailable(f"no repository can be made at {self.path}: {git_words.telling(outcome.words)}")
        mirror_folder.configure(half_made, base)
        os.rename(half_made, self.path)

    def _set_aside_unfit(self) -> bool:
        """The remote was made anew in the other format; what never held anything is removed. Returns False."""
        if os.listdir(os.path.join(self._objects, "pack")):
            kept = durable.set_aside(self.path)
            journal.notice(f"{self.path} has another object format than the remote; it is {kept}", project=self.project)
        else:
            shutil.rmtree(self.path)
        return False

    async def _git(
        self,
        *arguments: str,
        variables: dict[str, str] | None = None,
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int = asyncio.subprocess.PIPE,
        given: bytes = b"",
        history: bool = False,
    ) -> Outcome:
        """Run git here; `given` is what it reads on its standard input, `history` as in `confined_git.run`."""
        arguments = (f"--git-dir={self.path}", *arguments)
        with contextlib.ExitStack() as stack:
            if given:
                stdin = stack.enter_context(memory_of(given))
            return await confined_git.run(*arguments, variables=variables, stdin=stdin, stdout=stdout, history=history)

    @contextlib.asynccontextmanager
    async def _quarantined(self, pack_path: str, limit: int) -> AsyncIterator[dict[str, str]]:
        """An empty quarantine for a pack; yields the variables with which git sees it beside the repository."""
        size = os.stat(pack_path).st_size
        if size > limit:
            raise Conflict(f"the commits have {size >> 20} MiB as a pack; at most {limit >> 20} MiB are taken")
        escaped = self._objects.replace("\\", "\\\\").replace('"', '\\"')
        variables = {"GIT_OBJECT_DIRECTORY": self._quarantine, "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{escaped}"'}
        try:
            os.makedirs(self._quarantine, mode=0o700, exist_ok=True)
            yield variables
        finally:
            await asyncio.to_thread(shutil.rmtree, self._quarantine, ignore_errors=True)

    async def _index(
        self, pack_path: str, limit: int, variables: dict[str, str], *check: str, history: bool = False
    ) -> Outcome:
        with opened(pack_path, os.O_RDONLY) as pack:
            if not os.fstat(pack).st_size:
                return Outcome(0, b"", "")
            arguments = ("index-pack", "--stdin", "--fix-thin", f"--max-input-size={limit}", *check)
            return await self._git(*arguments, variables=variables, stdin=pack, history=history)

    async def _index_judged(self, pack_path: str, limit: int, judge: Judge, levels: list[str]) -> list[str]:
        """Index what an agent made; returns what git's check only mentions. Raises Conflict for what it refuses."""
        check = "--strict" + ("=" if levels else "") + ",".join(f"{name}=ignore" for name in levels)
        outcome = await self._index(pack_path, limit, judge.variables, check)
        if outcome.code and any(each.refuses for each in fsck.findings(outcome.words)):
            journal.info(f"git's check refuses:\n{git_words.whole(outcome.words)}", project=self.project)
            await asyncio.to_thread(shutil.rmtree, self._quarantine)
            os.makedirs(self._quarantine, mode=0o700)
            await self._demand(await self._index(pack_path, limit, judge.variables))
            outcome = await judge.acquitted(outcome, check)
        await self._demand(outcome)
        mentioned = [each for each in fsck.findings(outcome.words) if not each.refuses]
        return judging.remarks(await judge.own(mentioned[: judging.MOST_REMARKS]))

    async def _remarks(self, base: str, head: str) -> list[str]:
        """What git's check mentioned about the commits that `head` has beyond `base`."""
        found = []
        for commit, remarks in mirror_folder.read_remarks(self.path).items():
            beyond = await self._git("rev-list", "--max-count=1", commit, f"^{base}")
            within = await self._git("merge-base", "--is-ancestor", commit, head)
            if beyond.out.strip() and within.code == 0:
                found += remarks
        return found

    async def _known_of(self, commits: list[str]) -> list[str]:
        """Those of the hashes that are commits here: git refuses to exclude what it doesn't have."""
        if not commits:
            return []
        asked = "".join(f"{each}\n" for each in commits).encode()
        outcome = await self._git("cat-file", "--batch-check=%(objectname) %(objecttype)", given=asked)
        await self._demand(outcome)
        lines = (line.split() for line in outcome.out.decode().splitlines())
        return [line[0] for line in lines if line[1:] == ["commit"]]

    async def _has(self, commit: str) -> bool:
        outcome = await self._git("cat-file", "-e", f"{commit}^{{commit}}")
        if outcome.code and "Not a valid object name" not in outcome.words:
            await self._blame(outcome)
        return outcome.code == 0

    async def _demand_own_commit(self, head: str) -> None:
        """The head must be a commit of the pack itself: not the hash of something that was here before."""
        outcome = await self._git("cat-file", "-t", head, variables={"GIT_OBJECT_DIRECTORY": self._quarantine})
        if outcome.out.strip() != b"commit":
            raise Conflict(f"{head[:12]} is not a commit of the pack that was handed over")

    async def _demand_complete(self, head: str, variables: dict[str, str], *, history: bool = False) -> None:
        arguments = ("rev-list", "--objects", "--quiet", head, "--not", "--all")
        await self._demand(await self._git(*arguments, variables=variables, history=history))

    async def _demand_kinship(self, base: str, head: str, variables: dict[str, str] | None = None) -> str:
        """Where the two histories meet; raises Conflict when they never do."""
        fork = await self._git("merge-base", base, head, variables=variables)
        if fork.code == 1 and not fork.words:
            raise Conflict(f"{head[:12]} has no history in common with {base.removeprefix('refs/')[:12]}")
        await self._demand(fork)
        return fork.out.decode().strip()

    async def _is_complete(self, ref: str, head: str) -> bool:
        """Whether a ref is at `head` already. Reads the commit too: a ref alone would hide a lost pack.

        Asks git only when the ref or the set of packs has changed since it was asked last.
        """
        seen = (ref, head, *(mirror_folder.trace(os.path.join(self.path, name)) for name in (ref, "objects/pack")))
        if "" not in seen and seen == self._turn.complete:
            return True
        outcome = await self._git("rev-parse", "--verify", "--quiet", ref)
        if outcome.code or outcome.out.decode().strip() != head:
            return False
        await self._demand(await self._git("rev-parse", "--verify", f"{head}^{{tree}}"))
        self._turn.complete = seen
        return True

    async def _accept(self) -> None:
        source, target = (os.path.join(folder, "pack") for folder in (self._quarantine, self._objects))
        await asyncio.to_thread(mirror_folder.accept, source, target)

    async def _demand(self, outcome: Outcome) -> None:
        if outcome.code:
            await self._blame(outcome)

    async def _blame(self, outcome: Outcome) -> NoReturn:
        """Raise for a failure of git: the pack's fault, or a damaged repository, which is then set aside."""
        words = git_words.whole(outcome.words)
        journal.info(f"git failed in {self.path} and said:\n{words}", project=self.project)
        git_causes.raise_known(words)
        levels = await asyncio.to_thread(fsck.for_damage)
        check = await self._git(*levels, "fsck", "--full", "--no-dangling", "--no-progress", history=True)
        if check.code:
            git_causes.raise_known(git_words.whole(check.words))  # of its own troubles nothing is damaged
            if check.code < 0 and not check.words.strip():
                raise Unavailable(f"git's check of the mirror of {self.project} was killed; try again")
            self._set_aside(f"{words}\n{git_words.whole(check.words)}")
            raise Damaged(f"the mirror of {self.project} was damaged; it is set aside and made anew by a fetch")
        raise Conflict(f"the commits are incomplete or damaged: {git_words.telling(words) or outcome.code}")

    def _set_aside(self, words: str) -> None:
        self._turn.prepared = False
        kept = durable.set_aside(self.path) if os.path.lexists(self.path) else "nothing: it was removed"
        journal.error(f"{self.path} is damaged; it was set aside as {kept}\n{words}", project=self.project)


def _checked(*hashes: str, run: str = "none") -> None:
    for value in hashes:
        if not _HASH.fullmatch(value):
            raise Invalid(f"{value[:80]!r} is not a commit hash")
    if not _RUN.fullmatch(run):
        raise Invalid(f"{run[:80]!r} is not the name of a run")
