"""What the agent puts in the place of something of another kind is taken as it is."""

import pytest

from tests.agent.place import Place, git
from tests.agent.test_beforehand import commit, paths

REPLACED = {
    "a folder by a link": ("rm -r d && ln -s e d", ["d", "e/x", "f", "n/deep/down/y", "n/z"]),
    "a folder in a folder by a link": ("rm -r n/deep && ln -s ../e n/deep", ["d/x", "e/x", "f", "n/deep", "n/z"]),
    "a folder by a link to files of the same names": ("rm -r d && cp -r e o && ln -s o d", [
        "d", "e/x", "f", "n/deep/down/y", "n/z", "o/x"
    ]),
    "a folder by a file": ("rm -r n && echo n > n", ["d/x", "e/x", "f", "n"]),
    "a file by a folder": ("rm f && mkdir -p f/in && echo f > f/in/side", [
        "d/x", "e/x", "f/in/side", "n/deep/down/y", "n/z"
    ]),
    "a file by a link to a folder": ("rm f && ln -s e f", ["d/x", "e/x", "f", "n/deep/down/y", "n/z"]),
    "a folder in the index alone": ("git rm -qr --cached d && rm -r d && ln -s e d", [
        "d", "e/x", "f", "n/deep/down/y", "n/z"
    ]),
}  # fmt: skip


@pytest.fixture
def place(place: Place) -> Place:
    commit(place, d__x="d", e__x="e", f="f", n__z="z", n__deep__down__y="y")
    return place


@pytest.mark.parametrize("workspace", ["own", "path"])
@pytest.mark.parametrize("kind", REPLACED)
def test_something_of_another_kind_in_its_place_is_taken(place: Place, kind: str, workspace: str) -> None:
    place.configure(workspace=workspace)
    command, expected = REPLACED[kind]
    end = place.run(f"shell {command}").end
    assert (end["message"], end["commits"], end["uncommitted"]) == ("", 1, False)
    assert paths(place, end) == ["README.md", *expected]
    after = place.run("shell git status --porcelain; find . -path ./.git -prune -o ! -type d -print | sort")
    found = after.text.split("model. ")[1].split()
    assert found == ["./README.md", "./d/x", "./e/x", "./f", "./n/deep/down/y", "./n/z"]


@pytest.mark.parametrize("workspace", ["own", "path"])
def test_a_link_that_is_replaced_by_a_folder_is_taken(place: Place, workspace: str) -> None:
    place.configure(workspace=workspace)
    (place.clone / "l").symlink_to("e")
    commit(place)
    end = place.run("shell rm l && mkdir -p l/in && echo l > l/in/side").end
    assert (end["message"], end["commits"], end["uncommitted"]) == ("", 1, False)
    assert "l/in/side" in paths(place, end)
    assert "l" not in paths(place, end)
    assert git(place.tree, "status", "--porcelain") == ""
    assert "l -> e" in place.run("shell ls -ld l").text
