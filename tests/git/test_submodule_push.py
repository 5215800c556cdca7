"""Push of a project whose submodules' remotes lack what its commit names."""

import fcntl
from pathlib import Path

import pytest

from herald.errors import Busy
from herald_git.submodule import key_of
from tests.git import unit
from tests.git.conftest import Workbench
from tests.git.test_submodule import library, name_submodule
from tests.support import repositories
from tests.support.largefiles import pointer_of
from tests.support.processes import wait_for
from tests.support.repositories import Remote, git

BRANCH = "agent/sample-1"
NOWHERE = "1" * 40


class Submodule:
    """A submodule `lib` of the project, whose commits Herald pushes; a run has committed there."""

    def __init__(self, bench: Workbench, old: str = "") -> None:
        self.bench = bench
        self.remote: Remote = library(bench.folder, object_format=bench.object_format)
        self.work = bench.folder / "seed of library.git"
        name_submodule(bench, "../library.git", commit=old or self.remote.heads()["main"])
        self.main = bench.remote.heads()["main"]
        self.accept()

    def accept(self, **urls: str) -> None:
        """Put a configuration into force in which Herald pushes submodules, and people accepted these addresses."""
        project = repositories.project(remote=str(self.bench.remote.path))
        accepted = project._replace(submodules_push=True, submodules_urls=tuple(urls.items()))
        repositories.write_snapshot(self.bench.state, accepted)

    def commit(self, files: dict[str, str], *, imported: bool = True) -> str:
        """A commit of a run in the submodule, which its remote lacks."""
        head = repositories.commit(self.work, files, "Work in the submodule")
        return self.take(head) if imported else head

    def take(self, head: str) -> str:
        self.bench.import_commit(self.work, head, key_of("sample", str(self.remote.path)))
        return head

    def push(self, commit: str, **variables: str) -> tuple[str, str]:
        """Push a commit of the project that names this one of the submodule."""
        return self.bench.push(self.named(commit), branch=BRANCH, **variables)

    def named(self, commit: str) -> str:
        """A commit of the project that names this one of the submodule."""
        clone = self.bench.clone
        git(clone, "checkout", "--quiet", "-B", BRANCH, self.main)
        git(clone, "update-index", "--cacheinfo", f"160000,{commit},lib")
        git(clone, "commit", "--quiet", "-m", "Move lib")
        head = git(clone, "rev-parse", "HEAD")
        self.bench.import_commit(clone, head)
        return head


def test_a_submodule_whose_former_commit_nobody_has_any_more_is_pushed(bench: Workbench) -> None:
    lib = Submodule(bench, old=NOWHERE)
    head = lib.commit({"b.c": "two\n"})

    assert lib.push(head) == ("pushed", "")
    assert lib.remote.heads()[BRANCH] == head
    assert BRANCH in bench.remote.heads()


def test_a_submodule_in_one_whose_former_commit_is_gone_is_looked_at_whatever_its_hashes_are(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, "sha256")
    inner = library(bench.folder, "inner.git", "sha256")
    lib = Submodule(bench, old="1" * 64)
    there = f"160000,{inner.heads()['main']},in side"
    git(lib.work, "update-index", "--add", "--cacheinfo", there)
    git(lib.work, "commit", "--quiet", "-m", "With one in it")
    head = lib.take(git(lib.work, "rev-parse", "HEAD"))

    outcome, reason = lib.push(head)
    assert outcome == "refused"
    assert "the submodule lib/in side cannot be checked" in reason
    lib.accept(**{"lib/in side": str(inner.path)})
    assert lib.push(head) == ("pushed", "")
    assert lib.remote.heads()[BRANCH] == head


def test_a_submodule_s_commit_that_herald_does_not_have_either_is_told(bench: Workbench) -> None:
    lib = Submodule(bench)
    head = lib.commit({"b.c": "two\n"}, imported=False)

    outcome, reason = lib.push(head)

    assert outcome == "refused"
    assert "Herald does not have it either; push it there" in reason
    assert BRANCH not in bench.remote.heads()


def test_a_submodule_s_commit_that_names_a_large_file_is_not_pushed_without_it(bench: Workbench) -> None:
    lib = Submodule(bench)
    lib.commit({".gitattributes": "*.bin filter=lfs -text\n", "a.bin": pointer_of(b"large" * 100)})
    git(lib.work, "rm", "--quiet", "a.bin")
    head = lib.commit({"b.c": "two\n"})

    outcome, reason = lib.push(head)
    assert outcome == "refused"
    assert "names files of git-lfs, which Herald does not push there" in reason
    assert BRANCH not in lib.remote.heads()
    assert BRANCH not in bench.remote.heads()

    git(lib.work, "push", "--quiet", "--no-verify", "origin", "main")
    assert lib.push(head) == ("pushed", "")


def test_a_submodule_s_commit_with_a_text_that_looks_like_a_pointer_is_pushed(bench: Workbench) -> None:
    lib = Submodule(bench)
    head = lib.commit({".gitattributes": "*.bin filter=lfs -text\n", "example.txt": pointer_of(b"large" * 100)})
    assert lib.push(head) == ("pushed", "")
    assert not list((bench.state / "git").glob("*/herald-index*"))


def test_a_commit_that_was_kept_before_its_address_was_accepted_is_pushed(bench: Workbench) -> None:
    lib = Submodule(bench)
    head = lib.commit({"b.c": "two\n"}, imported=False)
    bench.import_commit(lib.work, head, key_of("sample", "unknown:lib"))
    assert lib.push(head) == ("pushed", "")
    assert lib.remote.heads()[BRANCH] == head


def test_a_push_that_nobody_waits_for_any_more_stops_between_a_submodule_and_the_project(bench: Workbench) -> None:
    lib = Submodule(bench)
    commit = lib.commit({"b.c": "two\n"})
    head = lib.named(commit)
    reached, go = lib.remote.hold("pre-receive")
    instance = unit.Unit(bench.state)
    instance.send("Push", {"project": "sample", "branch": BRANCH, "head": head, "expected": ""})
    wait_for(reached.exists, "the submodule's push")
    instance.hang_up()
    go.touch()
    instance.end()

    assert lib.remote.heads()[BRANCH] == commit
    assert BRANCH not in bench.remote.heads()
    lib.remote.accept()
    assert bench.push(head, branch=BRANCH) == ("pushed", "")


def test_a_submodule_that_is_in_use_is_no_refusal(bench: Workbench) -> None:
    lib = Submodule(bench)
    head = lib.named(lib.commit({"b.c": "two\n"}))
    with (bench.state / "git" / f"{key_of('sample', str(lib.remote.path))}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Busy):
            bench.push(head, branch=BRANCH, HERALD_GIT_DEADLINE="1")
    assert bench.push(head, branch=BRANCH) == ("pushed", "")
