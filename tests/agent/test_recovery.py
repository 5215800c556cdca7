"""What a workspace goes on with, and what it leaves alone: after a change of the folder, a kill, a failure."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.agent.place import Instance, Place, git, wait_for
from tests.agent.test_own import kill_orphans
from tests.agent.test_persistence import said, with_base


def killed(place: Place, script: str, made: str, **parameters: str) -> None:
    """A run that was killed with its driver when it had made a file."""
    instance, _ = place.start(f"shell {script}; sleep 60", **parameters)
    instance.receive()
    wait_for((place.tree / made).exists, "work")
    die(instance)


def die(instance: Instance) -> None:
    instance.process.kill()
    instance.wait()
    kill_orphans()


def files_of(folder: Path, branch: str) -> list[str]:
    return git(folder, "ls-tree", "-r", "--name-only", branch).splitlines()


@pytest.mark.parametrize("prepared", [False, True])
def test_changes_that_were_left_in_the_projects_folder_are_not_looked_for_in_an_own_workspace(
    place: Place, prepared: bool
) -> None:
    place.configure(workspace="path", auto_commit=False)
    place.run("shell echo hi > work.txt")
    place.configure()
    if prepared:
        pack = place.history()
        (place.folder / "prepared.pack").write_bytes(pack)
        upstream = {"default_branch": "main", "default_head": place.base}
        assert place.call("Update", base=place.base, have=[], **upstream)["parameters"]["complete"]
    first = place.run("shell ls; echo next > next.txt")
    assert said(first.text) == "README.md\n"
    assert files_of(place.workspace, first.end["branch"]) == ["README.md", "next.txt"]
    assert f"left uncommitted are in {place.clone}, on branch agent/pounce-1" in first.end["message"]
    assert place.run("say hi").end["message"] == ""
    place.configure(workspace="path")
    assert (place.clone / "work.txt").read_text() == "hi\n"
    back = place.run("shell cat work.txt")
    assert (back.end["branch"], back.end["commits"], said(back.text)) == ("agent/pounce-1", 1, "hi\n")
    assert git(place.clone, "branch", "--show-current") == "main"


def test_changes_that_were_left_in_an_own_workspace_wait_there_while_the_folder_is_used(place: Place) -> None:
    place.configure(auto_commit=False)
    place.run("shell echo more >> README.md; git config core.pager evil")
    place.configure(workspace="path")
    other = place.run("create a.txt: a")
    assert f"are in {place.workspace}, on branch agent/pounce-1" in other.end["message"]
    place.configure()
    back = place.run("shell cat README.md")
    assert (said(back.text), back.end["branch"], back.end["commits"]) == ("Pounce\nmore\n", "agent/pounce-1", 1)


def test_a_workspace_that_was_removed_after_a_kill_commits_no_deletions(place: Place) -> None:
    killed(place, "echo 1 > one", "one", branch="agent/pounce-1")
    shutil.rmtree(place.workspace)
    files = place.run("create a.txt: a", branch="agent/pounce-1")
    assert files_of(place.workspace, files.end["branch"]) == ["README.md", "a.txt"]


def test_changes_in_a_workspace_whose_index_is_lost_are_kept_aside_and_named(place: Place) -> None:
    place.configure(auto_commit=False)
    place.run("shell echo more >> README.md")
    (place.state / "agent/checkouts/pounce.index").unlink()
    end = place.run("say hi").end
    (aside,) = (place.state / "agent/workspaces").glob("pounce.damaged-*")
    assert (end["outcome"], f"kept as {aside}" in end["message"]) == ("incomplete", True)
    assert (aside / "README.md").read_text() == "Pounce\nmore\n"
    assert place.run("say hi").end["outcome"] == "ok"


def failing_git(place: Place, pattern: str, words: str) -> Path:
    """A git that refuses commands like the pattern while the file that is returned exists."""
    folder, refusing = place.folder / "programs", place.folder / "refusing"
    folder.mkdir()
    program = f'#!/bin/sh\n[ -e {refusing} ] && case "$*" in {pattern}) {words};; esac\n'
    (folder / "git").write_text(f'{program}exec {shutil.which("git")} "$@"\n')
    (folder / "git").chmod(0o755)
    place.environment["PATH"] = f"{folder}:{place.environment['PATH']}"
    refusing.touch()
    return refusing


def test_a_folder_that_cannot_be_set_up_after_the_checkout_is_put_back(place: Place) -> None:
    place.configure(workspace="path")
    git(place.clone, "checkout", "--quiet", "-b", "mine")
    refusing = failing_git(place, "*--others*", 'echo "fatal: not today" >&2; exit 128')
    end = place.run("say hi").end
    assert end["outcome"] == "workspace"
    assert end["message"] == f"{place.clone} could not be set up: git ls-files failed: not today."
    assert git(place.clone, "branch", "--show-current") == "mine"
    assert place.branches() == ["main", "mine"]
    refusing.unlink()
    assert place.run("create a.txt: a").end["commits"] == 1
    assert git(place.clone, "branch", "--show-current") == "mine"


def test_a_folder_that_cannot_be_put_back_is_said_and_put_back_by_the_next_run(place: Place) -> None:
    place.configure(workspace="path")
    down = place.folder / "down"
    refusing = failing_git(
        place, "*", f'[ -e {down} ] && exit 128; case "$*" in *--others*) touch {down}; exit 128;; esac'
    )
    end = place.run("say hi").end
    assert git(place.clone, "branch", "--show-current") == "agent/pounce-1"
    assert (end["outcome"], "main in" in end["message"], "could not be put back" in end["message"]) == (
        "workspace",
        True,
        True,
    ), end
    refusing.unlink()
    assert place.run("say hi").end["outcome"] == "ok"
    assert git(place.clone, "branch", "--show-current") == "main"


@pytest.fixture
def in_place(place: Place) -> Place:
    """A project in path mode with a second file."""
    with_base(place, {"a.txt": b"a\n"})
    place.configure(workspace="path")
    return place


def test_what_a_person_does_on_another_branch_after_a_kill_is_theirs(in_place: Place) -> None:
    place = in_place
    killed(place, "echo agent > agent.txt; git add .; git commit -qm Agent; echo 2 > 2", "2", branch="agent/pounce-1")
    git(place.clone, "checkout", "--quiet", "main")
    (place.clone / "a.txt").write_text("person\n")
    (place.clone / "mine.txt").write_text("mine\n")
    assert place.call("Survey")["parameters"]["made"]
    assert git(place.clone, "status", "--porcelain", "--branch").split("\n") == [
        "## main", " M a.txt", "?? 2", "?? mine.txt",
    ]  # fmt: skip
    assert files_of(place.clone, "agent/pounce-1") == ["README.md", "a.txt", "agent.txt"]
    refused = place.run("say hi", branch="agent/pounce-1").end
    assert refused["message"].startswith(f"A task was broken off in {place.clone}, and main is checked out there since")
    assert "uncommitted changes" in refused["message"]
    git(place.clone, "checkout", "--quiet", "a.txt")
    again = place.run("say hi", branch="agent/pounce-1").end
    assert (again["branch"], again["commits"], "broken off" in again["message"]) == ("agent/pounce-1", 1, True)
    assert "broken off" not in place.run("say hi").end["message"]


def test_a_merge_of_a_person_after_a_kill_is_not_aborted(in_place: Place) -> None:
    place = in_place
    for branch in ("feature", "main"):
        git(place.clone, "checkout", "--quiet", "-B", branch, place.base)
        (place.clone / "a.txt").write_text(branch)
        git(place.clone, "commit", "--quiet", "-am", branch)
    killed(place, "echo agent > agent.txt", "agent.txt")
    git(place.clone, "checkout", "--quiet", "main")
    with pytest.raises(subprocess.CalledProcessError):
        git(place.clone, "merge", "--quiet", "feature")
    (place.clone / "a.txt").write_text("by hand\n")
    before = git(place.clone, "status", "--porcelain")
    place.call("Survey")
    assert git(place.clone, "status", "--porcelain") == before
    assert (place.clone / ".git/MERGE_HEAD").exists()
    assert (place.clone / "a.txt").read_text() == "by hand\n"


def test_a_rebase_that_a_killed_run_left_is_ended_and_the_checkout_put_back(in_place: Place) -> None:
    commits = "echo 1 > a.txt; git commit -qam 1; git checkout -qb other HEAD~1; echo 2 > a.txt; git commit -qam 2"
    killed(in_place, f"{commits}; git checkout -q agent/pounce-1; git rebase -q other; touch done", "done")
    assert git(in_place.clone, "branch", "--show-current") == ""
    in_place.call("Prepare", have=[])
    assert git(in_place.clone, "branch", "--show-current") == "main"
    assert not (in_place.clone / ".git/rebase-merge").exists()


def test_a_checkout_that_was_cut_off_before_git_moved_head_is_undone(in_place: Place) -> None:
    place = in_place
    (place.clone / "new.txt").write_text("new\n")
    older, newer = place.base, with_base(place, {})
    git(place.clone, "reset", "--quiet", "--hard", older)
    killed(place, "touch one", "one", base=newer)
    (place.state / "agent/checkouts/pounce.ready").unlink()
    (place.clone / "one").unlink()
    git(place.clone, "checkout", "--quiet", "main")
    (place.clone / ".git/index.lock").touch()
    (place.clone / "new.txt").write_text("new\n")  # written, and not in the index yet
    place.call("Prepare", have=[])
    assert git(place.clone, "status", "--porcelain", "--branch") == "## main"
    assert not (place.clone / ".git/index.lock").exists()


def test_a_task_that_was_broken_off_in_the_projects_folder_is_told_in_an_own_workspace(place: Place) -> None:
    place.configure(workspace="path")
    killed(place, "echo agent > agent.txt", "agent.txt")
    place.configure()
    first = place.run("say hi").end["message"]
    assert f"left uncommitted are in {place.clone}, on branch agent/pounce-1" in first
    assert "`git checkout main` puts it back" in first
    assert place.run("say hi").end["message"] == ""
    place.configure(workspace="path")
    assert place.run("say hi").end["branch"] == "agent/pounce-1"
    assert files_of(place.clone, "agent/pounce-1") == ["README.md", "agent.txt"]
    assert git(place.clone, "branch", "--show-current") == "main"


def test_a_checkout_that_was_broken_off_in_the_projects_folder_is_told_too(place: Place) -> None:
    place.configure(workspace="path")
    killed(place, "echo agent > agent.txt", "agent.txt")
    (place.state / "agent/checkouts/pounce.ready").unlink()
    place.configure()
    place.call("Reset", keep=False)
    said_then = place.run("say hi").end["message"]
    assert f"{place.clone}, which may still stand on branch agent/pounce-1; `git checkout main`" in said_then
