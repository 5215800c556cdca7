"""Which large files commits name: found in the mirror, whatever an agent says."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from herald import largefiles
from herald.largefiles import Pointer
from herald_worker import pointers
from herald_worker.mirror import Mirror
from herald_worker.pointers import LargeFile, matches
from tests.support import repositories
from tests.support.largefiles import POINTER, pointer_of
from tests.support.repositories import git
from tests.worker.test_mirror import Workshop

ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
ONE, TWO = b"one" * 1000, b"two" * 500


def oid(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path / "state"))
    return Workshop(tmp_path)


def found(shop: Workshop, **files: str) -> list[LargeFile]:
    """What a commit of these files, handed over by a run, names."""
    head = repositories.commit(shop.clone, {name.replace("__", "/"): text for name, text in files.items()})
    shop.run(head, f"run-{head[:8]}")
    return named(shop, head)


def named(shop: Workshop, head: str) -> list[LargeFile]:
    return sorted(asyncio.run(pointers.named_by_new(Mirror("sample"), head)))


def test_pointers_of_new_commits_are_found_at_any_depth(shop: Workshop) -> None:
    files: dict[str, str] = {".gitattributes": ATTRIBUTES, "a.bin": pointer_of(ONE), "b__c d__e.bin": pointer_of(TWO)}
    assert found(shop, **files) == [LargeFile("a.bin", oid(ONE), 3000), LargeFile("b/c d/e.bin", oid(TWO), 1500)]


def test_a_text_that_looks_like_a_pointer_is_one_only_where_attributes_say_so(shop: Workshop) -> None:
    files: dict[str, str] = {".gitattributes": ATTRIBUTES, "example.txt": pointer_of(ONE), "real.bin": "no pointer\n"}
    assert found(shop, **files) == []
    assert found(shop, **{"same.bin": pointer_of(ONE)}) == [LargeFile("same.bin", oid(ONE), 3000)]


def test_one_file_under_two_names_is_found_by_the_one_that_git_lfs_keeps(shop: Workshop) -> None:
    files: dict[str, str] = {".gitattributes": ATTRIBUTES, "a.txt": pointer_of(ONE), "z.bin": pointer_of(ONE)}
    assert found(shop, **files) == [LargeFile("z.bin", oid(ONE), 3000)]


def test_what_a_later_commit_removes_is_needed_by_the_one_before(shop: Workshop) -> None:
    repositories.commit(shop.clone, {".gitattributes": ATTRIBUTES, "gone.bin": pointer_of(ONE)})
    git(shop.clone, "rm", "--quiet", "gone.bin")
    assert found(shop, other="x") == [LargeFile("gone.bin", oid(ONE), 3000)]


def test_what_the_default_branch_names_is_not_new(shop: Workshop) -> None:
    base = repositories.commit(shop.clone, {".gitattributes": ATTRIBUTES, "a.bin": pointer_of(ONE)})
    shop.import_base(base)
    shop.base = base
    git(shop.clone, "mv", "a.bin", "moved.bin")
    assert found(shop, **{"b.bin": pointer_of(TWO)}) == [LargeFile("b.bin", oid(TWO), 1500)]


def test_where_only_some_commits_are_known_everything_after_them_is_named(shop: Workshop) -> None:
    first = repositories.commit(shop.clone, {".gitattributes": ATTRIBUTES, "a.bin": pointer_of(ONE)})
    base = repositories.commit(shop.clone, {"b.bin": pointer_of(TWO)})
    shop.import_base(base)

    def beyond(*known: str) -> list[str]:
        return sorted(each.path for each in asyncio.run(pointers.named_beyond(Mirror("sample"), base, list(known))))

    assert beyond() == ["a.bin", "b.bin"]
    assert beyond("1" * 40, first) == ["b.bin"]
    assert beyond(base) == []


def test_a_huge_size_is_taken_as_it_is(shop: Workshop) -> None:
    text = POINTER.format(oid=oid(ONE), size="9" * 19)
    assert found(shop, **{".gitattributes": ATTRIBUTES, "a.bin": text})[0].size == int("9" * 19)


def test_of_two_sizes_for_one_content_the_larger_is_asked_for(shop: Workshop) -> None:
    lie = POINTER.format(oid=oid(ONE), size=7)
    files: dict[str, str] = {".gitattributes": ATTRIBUTES, "a.bin": pointer_of(ONE), "b.bin": lie}
    assert [each.size for each in found(shop, **files)] == [3000]


def test_a_commit_that_the_mirror_lacks_names_nothing(shop: Workshop) -> None:
    assert named(shop, "1" * 40) == []


def test_files_of_a_tree_are_chosen_by_globs(shop: Workshop) -> None:
    files = {"a.bin": pointer_of(ONE), "data/b.bin": pointer_of(TWO), "data/note.txt": "x"}
    base = repositories.commit(shop.clone, {".gitattributes": ATTRIBUTES, **files})
    shop.import_base(base)

    def chosen(*globs: str) -> list[str]:
        return sorted(each.path for each in asyncio.run(pointers.named_by(Mirror("sample"), base, globs)))

    assert chosen("all") == ["a.bin", "data/b.bin"]
    assert chosen("data") == ["data/b.bin"]
    assert chosen("a.*", "nothing") == ["a.bin"]
    assert chosen("*.txt") == []


@pytest.mark.parametrize(
    ("path", "glob", "is_meant"),
    [
        ("a/b/c.bin", "*.bin", True),
        ("a/b/c.bin", "a", True),
        ("a/b/c.bin", "/a/b/", True),
        ("a/b/c.bin", "b/*.bin", False),
        ("a/b/c.bin", "a/*/c.bin", True),
        ("A.bin", "a.bin", False),
    ],
)
def test_globs_mean_what_they_mean_to_git_lfs(path: str, glob: str, is_meant: bool) -> None:
    assert matches(path, glob) is is_meant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (pointer_of(ONE), Pointer(oid(ONE), 3000)),
        (pointer_of(ONE).replace("\n", "\r\n"), Pointer(oid(ONE), 3000)),
        (pointer_of(ONE).rstrip("\n"), Pointer(oid(ONE), 3000)),
        (pointer_of(ONE) + "and more\n", None),
        (POINTER.format(oid=oid(ONE), size="-1"), None),
        (POINTER.format(oid=oid(ONE)[1:], size=5), None),
        (POINTER.format(oid=oid(ONE), size=5) + " " * 1024, None),
    ],
)
def test_a_pointer_is_read_as_git_lfs_reads_it(text: str, expected: Any) -> None:
    assert largefiles.parse(text.encode()) == expected
