"""What the agent changed in the index alone is part of the work, as far as the files bear it out."""

import pytest

from tests.agent.place import Place, git
from tests.agent.test_beforehand import FORGETFUL, commit, paths
from tests.agent.test_submodules import Library

ADD = "git -c protocol.file.allow=always submodule add -q"
BOTH = pytest.mark.parametrize("workspace", ["own", "path"])


@BOTH
def test_a_submodule_that_was_added_and_not_committed_is_taken_whole(place: Place, workspace: str) -> None:
    place.configure(workspace=workspace)
    library = Library(place.folder, "library")
    end = place.run(
        f"shell {ADD} {library.clone} 'libs/my lib' && cd libs/my\\ lib && echo 2 > a.c && git commit -qam 2"
    ).end
    assert (end["message"], end["commits"]) == ("", 1)
    assert paths(place, end) == [".gitmodules", "README.md", "libs/my lib"]
    made = git(place.tree, "rev-parse", f"{end['head']}:libs/my lib")
    assert made != library.commits[0]
    again = place.run("shell git submodule status", base=end["head"])
    assert again.end["commits"] == 0
    assert made in again.text


@BOTH
def test_a_submodule_in_the_place_of_a_folder_of_files_is_taken(place: Place, workspace: str) -> None:
    commit(place, lib__x="x", lib__in__y="y")
    place.configure(workspace=workspace)
    library = Library(place.folder, "library")
    end = place.run(f"shell git rm -qr lib && {ADD} {library.clone} lib").end
    assert (end["message"], end["commits"]) == ("", 1)
    assert paths(place, end) == [".gitmodules", "README.md", "lib"]
    assert place.run("shell git status --porcelain; cat lib/x lib/in/y").text.endswith("model. xy")


@BOTH
def test_a_file_that_git_is_told_to_track_no_more_is_tracked_no_more(place: Place, workspace: str) -> None:
    commit(place, secret="s", out__a="a", out__in__b="b")
    place.configure(workspace=workspace)
    end = place.run(
        "shell git rm -qr --cached secret out; printf 'secret\\nout\\n' > .gitignore; echo more >> out/a"
    ).end
    moved = f"In the way of the checkout, and moved to {place.state / 'agent/kept/pounce'}: out/a."
    assert (end["message"], end["commits"]) == ("" if place.own else moved, 1)
    assert paths(place, end) == [".gitignore", "README.md"]
    assert place.run("shell cat secret out/in/b").text.endswith("model. sb")


@BOTH
def test_an_ignored_file_that_was_added_by_force_is_taken_as_it_is(place: Place, workspace: str) -> None:
    commit(place, gitignore="dist\n*.bin\n")
    place.configure(workspace=workspace)
    end = place.run("shell mkdir dist; echo 1 > dist/a; echo 1 > dist/b; ln -s a x.bin; git add -f dist/a x.bin").end
    assert (end["message"], end["commits"]) == ("", 1)
    assert paths(place, end) == [".gitignore", "README.md", "dist/a", "x.bin"]


@BOTH
def test_what_lay_there_before_is_not_taken_because_it_is_in_the_index(place: Place, workspace: str) -> None:
    commit(place, gitignore=".env\n")
    place.configure(workspace=workspace, workspace_files=(".env", "notes") if workspace == "own" else ())
    (place.clone / ".env").write_text("SECRET=1\n")
    (place.clone / "notes").write_text("mine\n")
    end = place.run(f"shell git add -f notes; {FORGETFUL}; git add -A; echo new > new").end
    assert paths(place, end) == [".gitignore", "README.md", "new"]
    assert (place.tree / "notes").read_text() == "mine\n"


@BOTH
def test_an_index_that_was_emptied_is_no_deletion(place: Place, workspace: str) -> None:
    commit(place, a="a", d__b="b")
    place.configure(workspace=workspace)
    end = place.run("shell git rm -qr --cached .").end
    assert (end["message"], end["commits"], end["head"]) == ("", 0, place.base)


@pytest.mark.parametrize("emptying", ["rm .git/index", "git rm -qr --cached ."])
def test_an_index_that_is_gone_untracks_no_ignored_file(place: Place, emptying: str) -> None:
    commit(place, x__bin="x")
    commit(place, gitignore="x\n")
    end = place.run(f"shell {emptying}").end
    assert (end["commits"], end["head"]) == (0, place.base)


def test_a_clone_in_the_index_that_is_no_submodule_is_left_out_and_named(place: Place) -> None:
    end = place.run("shell git clone -q . inner; git add inner; rm -f gone; touch gone; git add gone; rm gone").end
    assert end["commits"] == 0
    assert end["message"] == "Not taken, because they are repositories of their own: inner/."


@pytest.mark.parametrize(
    "spoiling", ["mkfifo x.bin", "mkdir x.bin", "ln -s /etc dist", "head -c 99 /dev/zero > .git/index"]
)
def test_a_claim_that_the_files_do_not_bear_out_costs_nothing_else(place: Place, spoiling: str) -> None:
    commit(place, gitignore="dist\n*.bin\n")
    adding = "mkdir dist; echo 1 > dist/passwd; echo 1 > x.bin; git add -f dist/passwd x.bin"
    end = place.run(f"shell {adding}; rm -r dist x.bin; {spoiling}; echo new > new").end
    assert (end["message"], end["commits"]) == ("", 1)
    assert paths(place, end) == [".gitignore", "README.md", "new"]
