"""An own workspace begins with what agents did in the project's folder, and in worktrees of the version before."""

from pathlib import Path

from tests.agent.place import Place, git


def branch_in_the_clone(place: Place, name: str, file: str) -> str:
    """A branch of an agent that the version before left in the project's clone; returns its head."""
    git(place.clone, "checkout", "--quiet", "-b", name, "main")
    (place.clone / file).write_text("work\n")
    git(place.clone, "add", file)
    git(place.clone, "commit", "--quiet", "-m", f"Add {file}")
    head = git(place.clone, "rev-parse", "HEAD")
    git(place.clone, "checkout", "--quiet", "main")
    return head


def worktree_of_before(place: Place, branch: str) -> Path:
    """The worktree of a run, as the version before made it."""
    folder = place.state / "agent/worktrees/pounce" / branch.replace("/", "+")
    folder.parent.mkdir(parents=True)
    git(place.clone, "worktree", "add", "--quiet", "-b", branch, str(folder), "main")
    return folder


def test_unproposed_branches_of_the_clone_are_in_the_new_workspace(place: Place) -> None:
    head = branch_in_the_clone(place, "agent/pounce-20260101-000000", "one.txt")
    mine = branch_in_the_clone(place, "mine", "two.txt")
    before = place.clone_state()
    assert place.run("say hi").end["outcome"] == "ok"
    reply = place.call("Prepare", have=[place.base])["parameters"]
    assert reply["branches"] == [{"name": "agent/pounce-20260101-000000", "head": head}]
    assert reply["pack_bytes"] > 0
    assert mine not in git(place.workspace, "rev-list", "--all")
    assert place.clone_state() == before


def test_work_in_a_worktree_of_the_version_before_is_committed_and_taken_over(place: Place) -> None:
    folder = worktree_of_before(place, "agent/pounce-1")
    (folder / "left.txt").write_text("left\n")
    place.run("say hi", branch="agent/pounce-7")
    assert place.show("agent/pounce-1", "left.txt") == "left"
    assert not folder.exists()
    assert git(place.clone, "worktree", "list").count("\n") == 0
    assert git(place.clone, "status", "--porcelain") == ""


def test_a_record_of_the_version_before_does_not_stop_the_next_run(place: Place) -> None:
    folder = worktree_of_before(place, "agent/pounce-1")
    records = place.state / "agent/checkouts"
    records.mkdir()
    going = (
        f'{{"mode": "worktree", "clone": "{place.clone}", "folder": "{folder}", "asked": "agent/pounce-1", "branch": '
        f'"agent/pounce-1", "base": "{place.base}", "back": "", "title": "T", "created": true, "ours": true}}'
    )
    (records / "pounce.json").write_text(
        f'{{"going": {going}, "ended": {{"agent/pounce-1": ["agent/pounce-1", "{place.base}"]}}}}'
    )
    (folder / "half.txt").write_text("half\n")
    files = place.run("create two.txt: 2", branch="agent/pounce-1")
    assert (files.end["outcome"], files.end["branch"], files.end["commits"]) == ("ok", "agent/pounce-1", 2)
    assert place.show("agent/pounce-1", "half.txt") == "half"
    assert list(records.glob("*.damaged*")) == []


def test_a_clone_that_cannot_be_read_stops_nothing(place: Place) -> None:
    (place.clone / ".git/HEAD").write_text("no, not really")
    history = place.folder / "history"
    git(place.folder, "clone", "--quiet", "--bare", str(place.remote), str(history))
    place.clone.rename(place.folder / "away")
    place.clone.mkdir()
    (place.clone / ".git").mkdir()
    import subprocess

    pack = subprocess.run(
        ["git", "-C", str(history), "pack-objects", "--revs", "--stdout", "-q"],
        input=f"{place.base}\n".encode(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert place.run("create a.txt: a", base_pack=pack).end["outcome"] == "ok"
