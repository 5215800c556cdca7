"""The folders of commits: never changed while containers may use them, removed when none does."""

import shutil

from tests.deploy.unit import COMPOSE, Place

_FILES = {"compose.yaml": COMPOSE, "page.html": "one"}
_ONE, _TWO, _THREE = ("1" * 40, "2" * 40, "3" * 40)


def whole(*names: str) -> set[str]:
    return {f"{name}{end}" for name in names for end in ("", ".made")}


def test_another_commit_has_another_folder_and_the_one_before_goes_after_it(place: Place) -> None:
    place.deploy(_FILES, _ONE)
    place.docker.order(exit=1)
    place.deploy(_FILES | {"page.html": "two"}, _TWO)
    assert place.trees() == whole(_ONE, _TWO), "containers may use either of them"
    place.docker.order()
    place.deploy(_FILES | {"page.html": "three"}, _THREE)

    assert place.trees() == whole(_THREE)
    assert [call["files"]["page.html"] for call in place.docker.calls()] == ["one", "two", "three"]


def test_the_same_commit_has_the_same_folder(place: Place) -> None:
    place.deploy(_FILES, _ONE)
    folder = (place.own / "trees" / _ONE).stat().st_ino
    result = place.deploy(_FILES, _ONE)

    assert (result["outcome"], result["message"]) == ("ok", "")
    assert (place.own / "trees" / _ONE).stat().st_ino == folder
    assert place.trees() == whole(_ONE)


def test_what_containers_wrote_stays_and_is_told(place: Place) -> None:
    place.docker.order(write={"data/table": "worth keeping"})
    assert place.deploy(_FILES, _ONE)["message"] == ""
    place.docker.order()
    again, other = place.deploy(_FILES, _ONE), place.deploy(_FILES, _TWO)

    kept = place.own / "trees" / _ONE
    for result in (again, other):
        assert result["outcome"] == "ok"
        assert result["message"].startswith(f"⚠️ Containers have written into {kept}, which stays")
    assert (kept / "data" / "table").read_text() == "worth keeping"
    assert [set(call["files"]) for call in place.docker.calls()] == [set(_FILES)] * 3, "a commit is what it is"
    assert place.trees() == whole(_ONE, _TWO)


def test_a_file_that_a_container_has_changed_is_not_deployed_again(place: Place) -> None:
    place.docker.order(write={"page.html": "changed"})
    place.deploy(_FILES, _ONE)
    place.docker.order()
    place.deploy(_FILES, _ONE)

    assert place.docker.call(2)["files"]["page.html"] == "one"


def test_trees_of_failures_do_not_pile_up(place: Place) -> None:
    place.deploy(_FILES, _ONE)
    place.docker.order(exit=1)
    for digit in "23456789":
        place.deploy(_FILES, digit * 40)

    assert place.trees() == whole(_ONE, *(digit * 40 for digit in "456789"))


def test_what_a_kill_left_half_unpacked_is_no_tree(place: Place) -> None:
    place.deploy(_FILES, _ONE)
    trees = place.own / "trees"
    (trees / f"{_TWO}.new").mkdir()
    (trees / f"{_TWO}.new" / "compose.yaml").write_text("torn")
    (trees / _TWO).mkdir()
    (trees / f"{_THREE}.made").touch()
    shutil.copytree(trees / _ONE, trees / _THREE)
    shutil.rmtree(trees / _THREE)
    place.deploy(_FILES, _TWO)

    assert place.docker.call(2)["files"] == _FILES
    assert place.trees() == whole(_TWO)
