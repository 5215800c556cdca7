"""What git's check says about the objects that an agent made, and which of it the agent has only inherited.

Errors and warnings refuse. A blemish that the base has at the same path, mode and hash alike, is not the agent's: a new
tree has to repeat the entries around the one that was changed, and git reads `.gitmodules` anew with each of them.
"""

import contextlib
import glob
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import NamedTuple, Protocol

from herald import fsck, object_format
from herald.fsck import Finding
from herald_worker.confined_git import Outcome, TooMuch

_MOST_COMMITS = 200
"""Beyond that nobody looks where each object stands: what git refuses is refused."""

_MOST_ROUNDS = 20
MOST_REMARKS = 20
_TREE = "40000"
_DIED = 128
"""git's exit status when it could not do what it was asked."""


class Git(Protocol):
    """Runs git on the mirror, confined."""

    def __call__(
        self, *arguments: str, variables: dict[str, str] | None = ..., given: bytes = ...
    ) -> Awaitable[Outcome]: ...


class Entry(NamedTuple):
    """An entry of a tree, as the tree has it."""

    mode: str
    name: bytes
    value: bytes

    @property
    def raw(self) -> bytes:
        """Its bytes in the tree."""
        return self.mode.encode() + b" " + self.name + b"\0" + self.value

    @property
    def place(self) -> bytes:
        """By what git sorts it."""
        return self.name + (b"/" if self.mode.lstrip("0") == _TREE else b"")


class Judge:
    """Tells what of the findings in one pack is the agent's. The objects must be readable with `variables`."""

    def __init__(self, git: Git, variables: dict[str, str], base: str, head: str) -> None:
        self._git = git
        self.variables = variables
        self._base, self._head = base, head
        self._scratch = os.path.join(variables["GIT_OBJECT_DIRECTORY"], "judged")
        self._of_base: set[tuple[str, str, str]] | None = None
        self._new: list[set[tuple[str, str, str]]] | None = None

    async def acquitted(self, refused: Outcome, levels: str) -> Outcome:
        """Check again without what was inherited, until git takes the pack or fails otherwise.

        Raises Conflict for what is the agent's own.
        """
        skipped: list[str] = []
        outcome = refused
        folder = self.variables["GIT_OBJECT_DIRECTORY"]
        (pack,) = glob.glob(os.path.join(glob.escape(folder), "pack", "*.pack"))
        for _ in range(_MOST_ROUNDS):
            found = [each for each in fsck.findings(outcome.words) if each.refuses and each.object not in skipped]
            if outcome.code == 0 or not found:
                return outcome
            own = found if len(found) > MOST_REMARKS else await self.own(found)
            if own:
                raise fsck.refusal_of_agent(own)
            skipped += {each.object for each in found}
            check = f"{levels}{',' if '=' in levels else '='}skiplist=/dev/stdin"
            given = "".join(f"{each}\n" for each in skipped).encode()
            index = os.path.join(folder, "judged.idx")
            outcome = await self._git("index-pack", check, "-o", index, pack, variables=self.variables, given=given)
        return outcome

    async def own(self, found: list[Finding]) -> list[Finding]:
        """Those that the base does not have in the same place."""
        return [each for each in found if not await self._is_inherited(each)]

    async def _is_inherited(self, finding: Finding) -> bool:
        if self._new is None:
            await self._list()
        assert self._new is not None
        assert self._of_base is not None
        places = {entry for entries in self._new for entry in entries if entry[1] == finding.object}
        if not places:
            # A pack is completed by what its deltas build on: that is no work of the agent if it was here before.
            return (await self._git("cat-file", "-t", finding.object)).out.strip() in (b"tree", b"commit")
        if all(mode == _TREE for mode, _, _ in places):
            return all([await self._is_inherited_tree(finding, path) for _, _, path in places])
        return places <= self._of_base

    async def _list(self) -> None:
        """All entries of the base's tree, and of the trees of all new commits."""
        listed = await self._git(
            "rev-list", f"--max-count={_MOST_COMMITS + 1}", self._head, f"^{self._base}", variables=self.variables
        )
        commits = listed.out.decode().split()
        self._of_base, self._new = set(), []
        if listed.code or len(commits) > _MOST_COMMITS:
            return
        with contextlib.suppress(TooMuch):  # then nothing counts as inherited
            self._of_base = await self._entries(self._base)
            new: set[tuple[str, str, str]] = set()
            for commit in commits:  # together they are hardly more than one, each by itself a whole tree
                new |= await self._entries(commit)
            self._new = [new]

    async def _entries(self, commit: str) -> set[tuple[str, str, str]]:
        """Mode, hash and path of everything in a commit's tree, and of the tree itself; empty if git can't read it."""
        root = await self._git("rev-parse", "--verify", f"{commit}^{{tree}}", variables=self.variables)
        listed = await self._git("ls-tree", "-r", "-t", "-z", "--full-tree", commit, variables=self.variables)
        if root.code or listed.code:
            return set()
        found = {(_TREE, root.out.decode().strip(), "")}
        for line in listed.out.decode("utf-8", "surrogateescape").split("\0"):
            what, tab, path = line.partition("\t")
            if tab:
                mode, _, value = what.split(" ")[:3]
                found.add((mode.lstrip("0"), value, path))
        return found

    async def _is_inherited_tree(self, finding: Finding, path: str) -> bool:
        """Whether the tree is without this blemish once the entries are left out that the base has at this path."""
        assert self._of_base is not None
        there = [value for mode, value, at in self._of_base if at == path and mode == _TREE]
        if not there:
            return False
        of_base = {each.raw for each in await self._tree(there[0])}
        entries = await self._tree(finding.object)
        if not _is_orderly(entries, of_base):
            return False
        rest = b"".join(each.raw for each in entries if each.raw not in of_base)
        return await self._is_without(finding.id, rest)

    async def _tree(self, value: str) -> list[Entry]:
        outcome = await self._git("cat-file", "tree", value, variables=self.variables)
        return list(_parsed(outcome.out, len(value) // 2))

    async def _is_without(self, blemish: str, tree: bytes) -> bool:
        """Whether git's check does not find this in a tree of this content, alone in a repository made for it."""
        there = f"--git-dir={self._scratch}"
        try:
            kind = object_format.option(self._base)
            made = await self._git(there, "init", "--bare", "--template=", "--quiet", kind)
            options = ("-t", "tree", "-w", "--literally", "--stdin")
            written = await self._git(there, "hash-object", *options, given=tree)
            check = await self._git(there, "fsck", "--strict", "--no-dangling", "--no-progress")
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
        value = written.out.decode().strip()
        if made.code or written.code or not value or not 0 <= check.code < _DIED:
            return False
        return f" in tree {value}: {blemish}: " not in check.words


def remarks(found: Iterable[Finding]) -> list[str]:
    """What git mentions, in words for a card."""
    return list(dict.fromkeys(f"{each.id} ({each.words})" for each in found))[:MOST_REMARKS]


def _parsed(tree: bytes, width: int) -> Iterable[Entry]:
    start = 0
    while start < len(tree):
        blank = tree.find(b" ", start)
        end = tree.find(b"\0", blank)
        if blank < 0 or end < 0:
            yield Entry(tree[start:].decode(errors="replace"), b"", b"")
            return
        yield Entry(tree[start:blank].decode(errors="replace"), tree[blank + 1 : end], tree[end + 1 : end + 1 + width])
        start = end + 1 + width


def _is_orderly(entries: list[Entry], of_base: set[bytes]) -> bool:
    """Whether entries that are the agent's own neither repeat a name nor stand in the wrong place."""
    names = [each.name for each in entries]
    doubled = {name for name, count in Counter(names).items() if count > 1}
    if any(each.name in doubled and each.raw not in of_base for each in entries):
        return False
    return all(
        one.place < other.place or (one.raw in of_base and other.raw in of_base)
        for one, other in itertools.pairwise(entries)
    )
