"""Prepare lists and packs the branches of agents; Discard deletes one, unless somebody went on with it."""

from pathlib import Path

import pytest

from tests.agent.place import Place, git


def prepared(place: Place, have: list[str]) -> tuple[dict[str, str], int]:
    reply = place.call("Prepare", have=have)
    assert "error" not in reply, reply
    branches = {each["name"]: each["head"] for each in reply["parameters"]["branches"]}
    return branches, reply["parameters"]["pack_bytes"]


def mirror_of(place: Place) -> Path:
    mirror = place.folder / "mirror.git"
    git(place.folder, "clone", "--quiet", "--bare", str(place.remote), str(mirror))
    return mirror


def test_branches_under_the_prefix_are_listed_and_packed(place: Place) -> None:
    heads = {f"agent/pounce-{n}": place.run(f"create {n}.txt: {n}").end["head"] for n in (1, 2)}
    git(place.tree, "branch", "mine")
    git(place.tree, "branch", "agent/other-1")
    branches, size = prepared(place, [place.base])
    assert branches == heads
    pack = place.folder / "prepared.pack"
    assert size == pack.stat().st_size > 0
    mirror = mirror_of(place)
    with pack.open("rb") as file:
        git(mirror, "index-pack", "--stdin", "--fix-thin", "--strict", stdin=file)
    for head in heads.values():
        assert git(mirror, "cat-file", "-t", head) == "commit"


def test_what_the_caller_has_is_not_packed_again(place: Place) -> None:
    head = place.run("create a.txt: a").end["head"]
    assert prepared(place, [head]) == ({"agent/pounce-1": head}, 0)
    assert prepared(place, ["1" * 40, head])[1] == 0


def test_a_caller_that_has_nothing_gets_everything(place: Place) -> None:
    place.run("create a.txt: a")
    _, size = prepared(place, [])
    empty = place.folder / "empty.git"
    git(place.folder, "init", "--quiet", "--bare", str(empty))
    with (place.folder / "prepared.pack").open("rb") as file:
        git(empty, "index-pack", "--stdin", "--strict", stdin=file)
    assert size > 0


def test_a_clone_without_branches_of_agents_gives_none(place: Place) -> None:
    assert prepared(place, [place.base]) == ({}, 0)


def test_an_unusable_workspace_is_a_conflict_with_what_to_do(place: Place) -> None:
    place.configure(path=str(place.folder / "nowhere"), workspace="path")
    reply = place.call("Prepare", have=[])
    assert reply["error"] == "io.herald.Agent.Conflict"
    assert "is missing; clone the project there" in reply["parameters"]["message"]


def test_have_must_be_hashes(place: Place) -> None:
    assert place.call("Prepare", have=["--all"])["error"] == "io.herald.Agent.Invalid"


def test_discard_deletes_the_branch(place: Place) -> None:
    head = place.run("create a.txt: a").end["head"]
    for _ in range(2):  # the second finds it gone
        reply = place.call("Discard", branch="agent/pounce-1", head=head)
        assert reply["parameters"] == {"removed": True, "reason": "", "ignored": 0}
        assert not (place.workspace / "a.txt").exists()
        assert place.branches() == []


def test_discard_keeps_commits_beyond_the_head(place: Place) -> None:
    head = place.run("create a.txt: a").end["head"]
    place.run("create b.txt: b", branch="agent/pounce-1", base=head)
    reply = place.call("Discard", branch="agent/pounce-1", head=head)
    assert reply["parameters"]["removed"] is False
    assert "holds 1 commit beyond" in reply["parameters"]["reason"]
    assert "agent/pounce-1" in place.branches()


def test_discard_keeps_what_a_person_has_checked_out(place: Place) -> None:
    place.configure(workspace="path")
    head = place.run("create a.txt: a").end["head"]
    git(place.clone, "checkout", "--quiet", "agent/pounce-1")
    reply = place.call("Discard", branch="agent/pounce-1", head=head)
    assert reply["parameters"]["removed"] is False
    assert "checked out" in reply["parameters"]["reason"]


def test_discard_of_a_head_that_is_not_there_keeps_the_branch(place: Place) -> None:
    place.run("create a.txt: a")
    reply = place.call("Discard", branch="agent/pounce-1", head="1" * 40)
    assert reply["parameters"]["removed"] is False


@pytest.mark.parametrize("parameters", [{"branch": "--all", "head": "1" * 40}, {"branch": "a", "head": "HEAD"}])
def test_discard_takes_names_and_hashes_only(place: Place, parameters: dict[str, str]) -> None:
    assert place.call("Discard", **parameters)["error"] == "io.herald.Agent.Invalid"
