"""An own workspace begins with what agents did in the project's folder, and in worktrees of the version before."""

import shutil
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


def told(place: Place) -> str:
    """What the next run says about work that was kept; it is said once."""
    message = str(place.run("say hi").end["message"])
    assert place.run("say hi").end["message"] == ""
    return message


def kept_worktree(place: Place, message: str) -> Path:
    (kept,) = (place.state / "agent/kept/pounce").glob("*/*")
    assert f"Work of an agent from before an upgrade is kept in {kept}" in message
    return kept


def test_a_worktree_with_a_damaged_index_is_kept_and_told(place: Place) -> None:
    folder = worktree_of_before(place, "agent/pounce-1")
    (folder / "left.txt").write_text("left\n")
    (place.clone / ".git/worktrees" / folder.name / "index").write_bytes(b"\0" * 200)
    place.call("Update", base=place.base, have=[], default_branch="main", default_head=place.base)
    kept = kept_worktree(place, told(place))
    assert (kept / "left.txt").read_text() == "left\n"
    assert not folder.exists()
    assert "agent/pounce-1" in place.branches()


def test_commits_of_a_detached_worktree_get_a_branch(place: Place) -> None:
    folder = worktree_of_before(place, "agent/pounce-1")
    git(folder, "checkout", "--quiet", "--detach")
    (folder / "left.txt").write_text("left\n")
    assert place.run("say hi").end["message"] == ""
    (branch,) = [each for each in place.branches() if each.startswith("agent/pounce-left-")]
    assert place.show(branch, "left.txt") == "left"
    assert not folder.exists()


def test_a_repository_in_a_worktree_is_kept_with_it(place: Place) -> None:
    folder = worktree_of_before(place, "agent/pounce-1")
    git(folder, "init", "--quiet", "inner")
    git(folder / "inner", "commit", "--quiet", "--allow-empty", "-m", "Inner")
    kept = kept_worktree(place, told(place))
    assert git(kept / "inner", "log", "--format=%s") == "Inner"
    assert git(kept, "status", "--porcelain") == ""


def test_a_folder_that_git_does_not_know_is_kept_and_told(place: Place) -> None:
    folder = place.state / "agent/worktrees/pounce/agent+pounce-1"
    folder.mkdir(parents=True)
    (folder / "left.txt").write_text("left\n")
    assert (kept_worktree(place, told(place)) / "left.txt").read_text() == "left\n"


def test_a_worktree_that_takes_too_long_is_kept_and_does_not_hold_up_the_next_act(place: Place) -> None:
    folder = worktree_of_before(place, "agent/pounce-1")
    (folder / "left.txt").write_text("left\n")
    programs = place.folder / "programs"
    programs.mkdir()
    real = shutil.which("git")
    slow = f'#!/bin/sh\ncase "$*" in *"add --all"*) sleep 60;; esac\nexec {real} "$@"\n'
    (programs / "git").write_text(slow)
    (programs / "git").chmod(0o755)
    limit = place.folder / "limit"
    limit.mkdir()
    (limit / "sitecustomize.py").write_text("import herald_agent.takeover as it\nit._LONG = 1.0\n")
    place.environment["PATH"] = f"{programs}:{place.environment['PATH']}"
    place.environment["PYTHONPATH"] = f"{limit}:{place.environment['PYTHONPATH']}"
    message = told(place)
    assert "git add in" in message
    assert (kept_worktree(place, message) / "left.txt").read_text() == "left\n"


def test_a_branch_that_was_voted_down_does_not_come_back_from_the_clone_after_a_reset(place: Place) -> None:
    files = place.run("create hello.txt: hi")
    branch = files.end["branch"]
    git(place.clone, "fetch", "--quiet", str(place.workspace), f"{branch}:{branch}")
    assert place.call("Discard", branch=branch, head=files.end["head"], base=place.base)["parameters"]["removed"]
    assert place.call("Reset", keep=False)["parameters"]["reset"]
    place.run("say hi")
    assert place.branches() == []
