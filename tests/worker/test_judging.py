"""What an agent made is judged strictly; what it only inherited from its base is not held against it."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from herald.errors import Conflict
from herald_worker import judging
from herald_worker.mirror import Mirror
from tests.support import blemishes, repositories
from tests.support.blemishes import Store
from tests.support.repositories import git, git_bytes

_LIMIT = 64 << 20
_EVIL = b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n'
_UNREADABLE = b'[submodule "x"\n'


class Bench:
    """A mirror whose base holds what a test put there, and a store in which runs make objects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "objects.git"
        self.path.mkdir()
        git(self.path, "init", "--quiet", "--bare", ".")
        self.store = Store(self.path)
        self.base = ""

    def begin(self, *entries: tuple[str, str, str]) -> None:
        """The base's tree has these entries."""
        self.base = self.store.commit(self.store.tree(*entries))
        self.mirror("import_base", self.pack(self.base), self.base)

    def run(self, *entries: tuple[str, str, str], run: str = "7-1-abc", parent: str = "", **options: Any) -> str:
        """A run hands over a commit whose tree has these entries."""
        above = parent or self.base
        head = self.store.commit(self.store.tree(*entries), above, message=f"{run}\n".encode())
        self.mirror("import_run", run, self.pack(head, above), head, above, _LIMIT, **options)
        return head

    def refuses(self, words: str, *entries: tuple[str, str, str]) -> None:
        with pytest.raises(Conflict, match=words):
            self.run(*entries)
        mirror = self.folder / "state" / "worker" / "mirrors" / "sample.git"
        assert not (mirror / "quarantine").exists()
        assert git(mirror, "for-each-ref", "refs/runs") == ""

    def pack(self, head: str, base: str = "") -> str:
        """A pack in a file."""
        path = self.folder / "handed-over.pack"
        path.write_bytes(repositories.pack(self.path, head, base))
        return str(path)

    def mirror(self, method: str, *arguments: Any, **options: Any) -> Any:
        async def act() -> Any:
            return await getattr(Mirror("sample"), method)(*arguments, **options)

        return asyncio.run(act())

    def file(self, name: str, data: bytes = b"content\n") -> tuple[str, str, str]:
        return "100644", name, self.store.blob(data)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path / "state"))
    return Bench(tmp_path)


def test_a_refusal_names_object_message_and_key(bench: Bench) -> None:
    bench.begin(bench.file("a"))
    entries = (bench.file(".GIT"),)
    tree = bench.store.tree(*entries)

    bench.refuses(rf"object {tree}: hasDotgit \(contains '\.git'\).*commits again.*`git\.fsck\.accept`", *entries)


@pytest.mark.parametrize("name", ["zeroPaddedFilemode", "hasDotgit", "hasDot", "nullSha1", "gitmodulesSymlink"])
def test_an_entry_that_the_base_has_may_be_repeated_in_a_new_tree(bench: Bench, name: str) -> None:
    inner = bench.store.tree(bench.file("x"))
    blemished = {
        "zeroPaddedFilemode": ("040000", "folder", inner),
        "hasDotgit": ("40000", ".GIT", inner),
        "hasDot": ("40000", ".", inner),
        "nullSha1": ("160000", "module", bench.store.absent),
        "gitmodulesSymlink": ("120000", ".gitmodules", bench.store.blob()),
    }[name]
    other = (
        blemished[0],
        blemished[1] + "2" if name == "nullSha1" else blemished[1],
        bench.store.tree(bench.file("y")),
    )
    bench.begin(blemished, bench.file("z"))

    head = bench.run(blemished, bench.file("z", b"changed\n"))

    assert bench.mirror("summary", head).files == 1
    if name != "nullSha1":
        with pytest.raises(Conflict, match=name):
            bench.run(other, bench.file("z"), run="8-1-abc")
    elsewhere = bench.store.tree(blemished, bench.file("new"))
    with pytest.raises(Conflict, match=name):
        bench.run(blemished, ("40000", "deeper", elsewhere), bench.file("z"), run="9-1-abc")


def test_a_deep_entry_that_the_base_has_may_be_repeated_too(bench: Bench) -> None:
    inner = bench.store.tree(bench.file("x"))
    deep = bench.store.tree(("40000", ".GIT", inner), bench.file("a"))
    bench.begin(("40000", "one", bench.store.tree(("40000", "two", deep))))

    changed = bench.store.tree(("40000", ".GIT", inner), bench.file("a", b"changed\n"))
    bench.run(("40000", "one", bench.store.tree(("40000", "two", changed))))

    with pytest.raises(Conflict, match="hasDotgit"):
        bench.run(("40000", "two", bench.store.tree(("40000", "one", changed))), run="8-1-abc")


def test_a_bad_submodule_file_of_the_base_stays_but_is_not_made_nor_moved(bench: Bench) -> None:
    bench.begin(bench.file(".gitmodules", _EVIL), bench.file("a"))

    bench.run(bench.file(".gitmodules", _EVIL), bench.file("a", b"changed\n"))

    for entries in (
        (bench.file(".gitmodules", _EVIL + b"\n"), bench.file("a")),
        (bench.file(".gitmodules", _EVIL), ("40000", "lib", bench.store.tree(bench.file(".gitmodules", _EVIL)))),
    ):
        with pytest.raises(Conflict, match=r"gitmodulesUrl .*only in the remote's history"):
            bench.run(*entries, run="8-1-abc", accepted=("gitmodulesUrl",))


def test_doubled_names_and_wrong_order_are_the_agents_when_its_entries_take_part(bench: Bench) -> None:
    bench.begin(bench.file("b"), bench.file("a"), bench.file("a", b"second\n"))

    bench.run(bench.file("b"), bench.file("a"), bench.file("a", b"second\n"), bench.file("z"))

    bench.begin(bench.file("a"), bench.file("b"))
    doubled = bench.file("a"), bench.file("a", b"mine\n"), bench.file("b")
    disordered = bench.file("a"), bench.file("b"), bench.file("a2")
    for entries, name in ((doubled, "duplicateEntries"), (disordered, "treeNotSorted")):
        with pytest.raises(Conflict, match=name):
            bench.run(*entries, run="8-1-abc")


def test_a_blemish_of_the_parents_tree_that_the_base_lacks_is_refused(bench: Bench) -> None:
    bench.begin(bench.file("a"))
    first = bench.store.commit(bench.store.tree(bench.file(".GIT")), bench.base)
    head = bench.store.commit(bench.store.tree(bench.file("a", b"changed\n")), first)

    with pytest.raises(Conflict, match="hasDotgit"):
        bench.mirror("import_run", "7-1-abc", bench.pack(head, bench.base), head, bench.base, _LIMIT)


@pytest.mark.parametrize("name", ["badTimezone", "badDate", "nulInCommit", "missingSpaceBeforeEmail"])
def test_a_blemished_commit_of_an_agent_is_refused_until_a_person_accepts_the_id(bench: Bench, name: str) -> None:
    bench.begin(bench.file("a"))
    old = blemishes.HARMLESS[name](bench.store)
    raw = git_bytes(bench.path, "cat-file", "commit", old).replace(
        b"\nauthor", f"\nparent {bench.base}\nauthor".encode(), 1
    )
    head = bench.store.write("commit", raw)
    call = ("import_run", "7-1-abc", bench.pack(head, bench.base), head, bench.base, _LIMIT)

    with pytest.raises(Conflict, match=rf"object {head}: {name} .*or add {name} to `git\.fsck\.accept`"):
        bench.mirror(*call)
    bench.mirror(*call, accepted=(name,))


def test_what_git_only_mentions_is_on_the_card_once_and_not_when_it_was_there_before(bench: Bench) -> None:
    bench.begin(bench.file(".mailmap"), bench.file("a"))
    first = bench.run(bench.file(".gitmodules", _UNREADABLE), bench.file("a"))
    again = bench.run(bench.file(".gitmodules", _UNREADABLE), bench.file("a", b"2\n"), run="8-1-abc", parent=first)

    for head in (first, again):
        (flag,) = bench.mirror("summary", head).flags
        assert flag.startswith("git's check mentions: gitmodulesParse (")
    bench.mirror("import_run", "8-1-abc", bench.pack(again, first), again, first, _LIMIT)
    bench.mirror("import_base", bench.pack(again, bench.base), again)
    inherited = bench.run(bench.file(".gitmodules", _UNREADABLE), bench.file("b"), run="9-1-abc", parent=again)
    assert bench.mirror("summary", inherited).flags == ()


def test_what_was_discarded_leaves_no_remark(bench: Bench) -> None:
    bench.begin(bench.file("a"))
    head = bench.run(bench.file(".gitmodules", _UNREADABLE))
    remarks = bench.folder / "state" / "worker" / "mirrors" / "sample.git" / "remarks"
    assert len(list(remarks.iterdir())) == 1

    bench.mirror("discard", head)

    assert not list(remarks.iterdir())


def test_a_wide_tree_with_a_name_twice_is_judged_without_holding_the_service_up() -> None:
    numbers = [*range(40_000), 39_999]
    tree = b"".join(b"100644 f%06d\0" % number + b"x" * 20 for number in numbers)
    began = time.monotonic()
    entries = list(judging._parsed(tree, 20))
    assert not judging._is_orderly(entries, set())
    assert [each.name for each in entries] == [b"f%06d" % number for number in numbers]
    assert time.monotonic() - began < 10
