"""What a reset keeps: in the mirror what git's check lets in, beside it what it refuses, for thirty days."""

import asyncio
import time
from pathlib import Path

import pytest

from herald.interfaces.agent import Branch
from herald_worker import kept
from herald_worker.kept import Kept, Unpushed
from herald_worker.mirror import Mirror
from tests.support import repositories
from tests.support.repositories import Crafted, git

BRANCH = "agent/sample-1"


class Place:
    """A mirror that knows main, and a workspace with branches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        remote = repositories.remote_with_commit(folder)
        self.base = remote.heads()["main"]
        self.workspace = repositories.clone(remote, folder / "workspace")
        self.mirror = folder / "state" / "worker" / "mirrors" / "sample.git"
        self.pack = folder / "handed-over.pack"
        self.pack.write_bytes(repositories.pack(self.workspace, self.base))
        asyncio.run(Mirror("sample").import_base(str(self.pack), self.base))

    def commit(self, text: str, branch: str = BRANCH) -> str:
        """A commit on a branch of the agent; its pack is what the unit hands over."""
        head = repositories.commit(self.workspace, {"work.txt": text}, "Work", branch=branch)
        self.pack.write_bytes(repositories.pack(self.workspace, head, self.base))
        return head

    def unpushed(self, heads: dict[str, str], pushed: dict[str, str] | None = None) -> list[Unpushed]:
        branches = [Branch(name=name, head=head) for name, head in heads.items()]
        return asyncio.run(kept.unpushed(Mirror("sample"), str(self.pack), branches, pushed or {}))

    def keep(self, *branches: Unpushed) -> list[Kept]:
        return asyncio.run(kept.keep(Mirror("sample"), str(self.pack), branches, [self.base]))

    def drop_old(self) -> None:
        asyncio.run(kept.drop_all_old())

    def refs(self) -> dict[str, str]:
        """What the mirror keeps."""
        lines = git(self.mirror, "for-each-ref", "--format=%(refname) %(objectname)", "refs/kept/").splitlines()
        return dict(line.split(" ") for line in lines)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path / "state"))
    return Place(tmp_path)


def test_only_commits_that_no_remote_has_are_unpushed_and_counted_without_being_taken(place: Place) -> None:
    first = place.commit("1")
    head = place.commit("2")

    assert place.unpushed({BRANCH: head, "agent/sample-0": place.base}) == [Unpushed(BRANCH, head, 2)]
    assert place.unpushed({BRANCH: head}, {BRANCH: first}) == [Unpushed(BRANCH, head, 1)]
    assert place.unpushed({BRANCH: head}, {BRANCH: head}) == []
    assert not asyncio.run(Mirror("sample").has(head))


def test_what_is_kept_is_a_ref_with_its_whole_history(place: Place) -> None:
    head = place.commit("1")
    (one,) = place.keep(Unpushed(BRANCH, head, 1))

    assert one.ref.startswith("refs/kept/2")
    assert one.ref.endswith(f"/{BRANCH}")
    assert place.refs() == {one.ref: head}
    assert git(place.mirror, "rev-list", "--objects", head)


def test_kept_again_it_has_the_later_time_alone(place: Place) -> None:
    branch = Unpushed(BRANCH, place.commit("1"), 1)
    (first,) = place.keep(branch)
    (second,) = place.keep(branch)

    assert first.ref != second.ref
    assert list(place.refs()) == [second.ref]


def test_another_commit_of_the_branch_leaves_the_one_that_is_kept(place: Place) -> None:
    (first,) = place.keep(Unpushed(BRANCH, place.commit("1"), 1))
    (second,) = place.keep(Unpushed(BRANCH, place.commit("2"), 2))

    assert list(place.refs()) == [first.ref, second.ref]


def test_what_gits_check_refuses_is_kept_as_a_bundle_and_never_in_the_mirror(place: Place) -> None:
    good = place.commit("1")
    (card,) = place.keep(Unpushed(BRANCH, good, 1))
    crafted = Crafted()
    blob = crafted.blob(b"x\n")
    head = crafted.commit(crafted.tree(("100644", ".git", blob)), place.base)
    place.pack.write_bytes(crafted.pack())
    found = place.keep(Unpushed("agent/sample-2", head, 1), Unpushed(BRANCH, good, 1))

    refused, known = sorted(found, key=lambda each: each.ref)
    assert known.ref != card.ref
    assert list(place.refs()) == [known.ref]
    assert "hasDotgit" in refused.reason
    assert not asyncio.run(Mirror("sample").has(head))
    git(place.workspace, "-c", "fetch.fsckObjects=false", "fetch", "--quiet", refused.bundle, "agent/sample-2:refs/x")
    assert git(place.workspace, "rev-parse", "refs/x") == head


def test_after_thirty_days_it_is_dropped_and_not_a_day_before(place: Place) -> None:
    head = place.commit("1")
    place.keep(Unpushed(BRANCH, head, 1))
    (new,) = place.refs()
    made = {}
    for days in (29, 31):
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time() - days * 86400))
        made[days] = f"refs/kept/{stamp}/{BRANCH}"
        git(place.mirror, "update-ref", made[days], head)
        bundle = place.folder / "state/worker/kept/sample" / f"{stamp}.bundle"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.touch()
    git(place.mirror, "update-ref", "refs/kept/by-hand/x", head)
    place.drop_old()

    assert set(place.refs()) == {new, made[29], "refs/kept/by-hand/x"}
    assert [each.name for each in bundle.parent.iterdir()] == [f"{made[29].split('/')[2]}.bundle"]
