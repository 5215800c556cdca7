"""Path mode: the run works in the project's folder, and what was checked out there is put back."""

import pytest

from tests.agent.place import Place, git, wait_for
from tests.agent.test_own import kill_orphans


@pytest.fixture
def place(place: Place) -> Place:
    """A project in path mode."""
    place.configure(workspace="path")
    return place


def test_the_run_works_in_the_folder_and_its_checkout_is_put_back(place: Place) -> None:
    files = place.run(f"shell pwd; git branch --show-current; echo 1 > one; test $(pwd) = {place.clone}")
    assert files.text.split("\n")[:2] == [f"I am the stand-in, a script and no model. {place.clone}", "agent/pounce-1"]
    assert files.end["commits"] == 1
    assert git(place.clone, "branch", "--show-current") == "main"
    assert git(place.clone, "status", "--porcelain") == ""
    assert not (place.clone / "one").exists()
    assert place.leftovers() == []


def test_a_detached_checkout_is_put_back_too(place: Place) -> None:
    git(place.clone, "checkout", "--quiet", "--detach")
    place.run("create a.txt: a")
    assert git(place.clone, "branch", "--show-current") == ""
    assert git(place.clone, "rev-parse", "HEAD") == place.base


def test_a_dirty_tree_is_refused_and_left_alone(place: Place) -> None:
    name = "README.md"
    (place.clone / name).write_text("half done\n")
    files = place.run("create a.txt: a")
    assert files.end["outcome"] == "workspace"
    assert "uncommitted changes; commit or stash them" in files.end["message"]
    assert (place.clone / name).read_text() == "half done\n"
    assert place.branches() == ["main"]


@pytest.mark.parametrize("command", ["echo a > a.txt", "echo a > a.txt; git add --all; git commit -qm Mine"])
def test_what_a_person_has_lying_about_is_never_committed(place: Place, command: str) -> None:
    (place.clone / "mine.txt").write_text("half done\n")
    (place.clone / "notes").mkdir()
    (place.clone / "notes/one [1].txt").write_text("half done\n")
    files = place.run(f"shell {command}")
    assert (files.end["outcome"], files.end["commits"]) == ("ok", 1), files.end
    assert git(place.clone, "diff", "--name-only", place.base, "agent/pounce-1") == "a.txt"
    assert git(place.clone, "status", "--porcelain") == "?? mine.txt\n?? notes/"
    assert (place.clone / "notes/one [1].txt").read_text() == "half done\n"


def test_an_untracked_file_in_the_way_is_named_and_stays(place: Place) -> None:
    git(place.clone, "checkout", "--quiet", "-b", "next")
    (place.clone / "new.txt").write_text("theirs\n")
    git(place.clone, "add", "new.txt")
    git(place.clone, "commit", "--quiet", "-m", "New")
    base = git(place.clone, "rev-parse", "HEAD")
    git(place.clone, "checkout", "--quiet", "main")
    (place.clone / "new.txt").write_text("mine\n")
    (place.clone / ".git/info/exclude").write_text("new.txt\n")
    files = place.run("say hi", base=base)
    assert files.end["outcome"] == "workspace"
    assert "new.txt" in files.end["message"]
    assert (place.clone / "new.txt").read_text() == "mine\n"
    assert git(place.clone, "branch", "--show-current") == "main"


def test_ignored_files_do_not_count_and_stay(place: Place) -> None:
    (place.clone / ".git/info/exclude").write_text("*.o\n")
    (place.clone / "a.o").write_text("object\n")
    files = place.run("create a.txt: a")
    assert files.end["outcome"] == "ok"
    assert (place.clone / "a.o").exists()


def test_a_clone_without_a_commit_is_refused(place: Place) -> None:
    git(place.clone, "checkout", "--quiet", "--orphan", "empty")
    git(place.clone, "rm", "--quiet", "-rf", ".")
    files = place.run("create a.txt: a")
    assert files.end["outcome"] == "workspace"
    assert "has no commit checked out" in files.end["message"]


def test_without_auto_commit_the_changes_stay_on_the_runs_branch_and_the_next_run_goes_on_there(place: Place) -> None:
    place.configure(workspace="path", auto_commit=False)
    files = place.run("create a.txt: a")
    assert files.end["uncommitted"] is True
    assert files.end["commits"] == 0
    assert "Uncommitted changes stay in the workspace, on branch agent/pounce-1" in files.end["message"]
    assert git(place.clone, "status", "--porcelain") == "A  a.txt"
    again = place.run("shell cat a.txt; echo b > b.txt")
    assert (again.end["outcome"], again.text.split("model. ")[1]) == ("ok", "a\n")
    place.configure(workspace="path")
    last = place.run("say hi")
    assert (last.end["branch"], last.end["commits"]) == ("agent/pounce-1", 1)
    assert git(place.clone, "ls-tree", "-r", "--name-only", "agent/pounce-1").split() == ["README.md", "a.txt", "b.txt"]
    assert git(place.clone, "branch", "--show-current") == "main"


def test_an_agent_that_checked_something_else_out_does_not_confuse_the_end(place: Place) -> None:
    files = place.run("shell echo 1 > one && git add one && git commit -qm One && git checkout -q main")
    assert files.end["commits"] == 1
    assert git(place.clone, "branch", "--show-current") == "main"


def test_after_a_kill_the_next_act_commits_what_was_left_and_puts_the_checkout_back(place: Place) -> None:
    instance, _ = place.start("shell echo 1 > one; sleep 60", branch="agent/pounce-1", title="Interrupted")
    instance.receive()
    wait_for((place.clone / "one").exists, "work")
    instance.process.kill()
    instance.wait()
    kill_orphans()
    assert git(place.clone, "branch", "--show-current") == "agent/pounce-1"
    (place.clone / ".git/index.lock").write_text("")  # a git command died with the driver
    reply = place.call("Prepare", have=[])
    assert [each["name"] for each in reply["parameters"]["branches"]] == ["agent/pounce-1"]
    assert git(place.clone, "branch", "--show-current") == "main"
    assert git(place.clone, "status", "--porcelain") == ""
    assert git(place.clone, "log", "-1", "--format=%s", "agent/pounce-1") == "Interrupted"
    retried = place.run("create two.txt: 2", branch="agent/pounce-1")
    assert retried.end["branch"] == "agent/pounce-1"
    assert retried.end["commits"] == 2


def test_a_checkout_that_was_cut_off_is_undone(place: Place) -> None:
    instance, _ = place.start("sleep 60", branch="agent/pounce-1")
    instance.receive()
    ready = place.state / "agent/checkouts/pounce.ready"
    wait_for(ready.exists, "the workspace")
    instance.process.kill()
    instance.wait()
    ready.unlink()  # as if the kill had come in the middle of the checkout
    (place.clone / ".git/index.lock").write_text("")
    (place.clone / "README.md").write_text("half of a ch")
    files = place.run("create a.txt: a", branch="agent/pounce-1")
    assert files.end["outcome"] == "ok"
    assert files.end["commits"] == 1
    assert place.show("agent/pounce-1", "README.md") == "Pounce"
    assert git(place.clone, "status", "--porcelain") == ""
