"""What a workspace goes on with, and what it leaves alone: after a change of the folder, a kill, a failure."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from herald_agent.git import patience_for
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


UNTRACK = "git rm -qr --cached results; echo results >> .gitignore; git add .gitignore; git commit -qm Untrack"


def kept_of(place: Place) -> dict[str, str]:
    """What is in the kept folder, by the path that it had."""
    files = [path for path in (place.state / "agent/kept/pounce").rglob("*") if path.is_file()]
    return {"/".join(path.relative_to(place.state / "agent/kept/pounce").parts[1:]): path.read_text() for path in files}


def test_ignored_files_in_the_way_of_what_is_put_back_are_kept_and_named(place: Place) -> None:
    with_base(place, {"results/r.txt": b"old\n", "results/same.txt": b"same\n", "results/deep/x": b"x\n"})
    place.configure(workspace="path")
    files = place.run(f"shell {UNTRACK}; echo new > results/r.txt; rm -r results/deep; echo file > results/deep")
    assert (files.end["outcome"], files.end["commits"]) == ("ok", 1)
    kept = place.state / "agent/kept/pounce"
    moved = f"In the way of the checkout, and moved to {kept}: results/deep, results/r.txt."
    assert moved in files.end["message"]
    assert kept_of(place) == {"results/r.txt": "new\n", "results/deep": "file\n"}
    assert git(place.clone, "branch", "--show-current") == "main"
    assert git(place.clone, "status", "--porcelain") == ""
    assert (place.clone / "results/r.txt").read_text() == "old\n"


def test_many_ignored_files_in_the_way_are_all_kept(place: Place) -> None:
    with_base(place, {f"results/{n:04}.txt": b"old\n" for n in range(1200)})
    place.configure(workspace="path")
    files = place.run(f"shell {UNTRACK}; for each in results/*; do echo new > $each; done")
    assert "results/0004.txt and 1195 more" in files.end["message"]
    assert set(kept_of(place).values()) == {"new\n"}
    assert len(kept_of(place)) == 1200
    assert git(place.clone, "status", "--porcelain") == ""


def test_ignored_files_in_the_way_of_the_runs_branch_are_kept_and_what_is_on_it_taken(place: Place) -> None:
    with_base(place, {"results/r.txt": b"old\n"})
    files = place.run(f"shell git checkout -qb other; {UNTRACK}; echo new > results/r.txt; echo more > more.txt")
    assert kept_of(place) == {"results/r.txt": "new\n"}
    assert "results/r.txt" in files.end["message"]
    assert files_of(place.workspace, files.end["branch"]) == ["README.md", "more.txt", "results/r.txt"]


@pytest.mark.parametrize("words", ["sleep 60", 'echo "error: unable to write file: Input/output error" >&2; exit 128'])
def test_a_workspace_is_not_set_aside_for_what_is_no_fault_of_it(place: Place, words: str) -> None:
    with_base(place, {".gitignore": b"out\n"})
    place.run("shell mkdir out; echo 1 > out/result")
    limit = place.folder / "limit"
    limit.mkdir()
    (limit / "sitecustomize.py").write_text("import herald_agent.tree as it\nit._LONG = 1.0\n")
    place.environment["PYTHONPATH"] = f"{limit}:{place.environment['PYTHONPATH']}"
    refusing = failing_git(place, "*'reset --quiet --hard'*", words)
    end = place.run("say hi").end
    assert (end["outcome"], "the workspace pounce could not be set up" in end["message"]) == ("failed", True), end
    assert not list((place.state / "agent/workspaces").glob("*.damaged-*"))
    refusing.unlink()
    (limit / "sitecustomize.py").unlink()
    assert said(place.run("shell cat out/result").text) == "1\n"


def test_what_grows_with_the_repository_has_more_time_in_a_large_one(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    with (tmp_path / "pack/one.pack").open("wb") as file:
        file.truncate(1 << 30)
    assert patience_for(str(tmp_path)) == 256.0


@pytest.mark.parametrize("mode", ["path", "own"])
def test_long_names_in_great_number_do_not_cost_the_record(place: Place, mode: str) -> None:
    deep = "/".join("d" * 250 for _ in range(11))
    with_base(place, {f"{deep}/keep": b"k\n"})
    place.configure(workspace=mode)
    place.run("say hi")
    for number in range(3200):
        (place.tree / deep / f"{number:04}").touch()
    if mode == "own":
        place.run("say hi")
        assert place.run("say hi").end["message"] == ""  # strangers are named once
    killed(place, "echo agent > agent.txt", "agent.txt", branch="agent/pounce-1")
    files = place.run("create q.txt: q", branch="agent/pounce-1")
    assert (files.end["branch"], files.end["commits"]) == ("agent/pounce-1", 2)
    assert not list((place.state / "agent/checkouts").glob("*.damaged-*"))
    if mode == "path":
        assert git(place.clone, "branch", "--show-current") == "main"
        assert not (place.state / "agent/checkouts/pounce.before").exists()


def test_what_a_run_left_is_committed_after_a_kill_between_the_seal_and_the_commit(place: Place) -> None:
    killed(place, "echo 1 > one; echo more >> README.md", "one", branch="agent/pounce-1", title="Interrupted")
    (place.workspace / ".git/index").unlink()  # as in a folder that was made anew
    git(place.workspace, "symbolic-ref", "HEAD", "refs/heads/none")
    place.call("Prepare", have=[])
    assert git(place.workspace, "log", "-1", "--format=%s", "agent/pounce-1") == "Interrupted"
    assert files_of(place.workspace, "agent/pounce-1") == ["README.md", "one"]
    assert place.show("agent/pounce-1", "README.md") == "Pounce\nmore"
    assert kept_of(place) == {}


def test_large_files_that_came_in_the_middle_of_an_exchange_do_not_cost_the_others(place: Place) -> None:
    place.run("say hi")
    git_folder, old = place.workspace / ".git", place.workspace / ".git.old"
    (git_folder / "lfs/objects/aa/bb").mkdir(parents=True)
    (git_folder / "lfs/objects/aa/bb/here").write_text("only here\n")
    shutil.copytree(git_folder, old)
    shutil.rmtree(git_folder / "lfs")
    data = b"another\n"
    oid = hashlib.sha256(data).hexdigest()
    (place.folder / "file").write_bytes(data)
    instance = place.instance()
    fd = os.open(place.folder / "file", os.O_RDWR)
    call = {"project": "pounce", "workspace": "pounce", "oid": oid, "size": len(data), "file": 0}
    instance.send("PutLargeFile", call, (fd,))
    os.close(fd)
    assert instance.receive() == {"parameters": {"taken": True}}
    instance.wait()
    place.run("say hi")
    assert (git_folder / "lfs/objects/aa/bb/here").read_text() == "only here\n"
    assert (git_folder / "lfs/objects" / oid[:2] / oid[2:4] / oid).read_bytes() == data
    assert not old.exists()


def test_after_a_stash_the_checkout_is_put_back_and_nothing_is_gone_on_with(place: Place) -> None:
    place.configure(workspace="path", auto_commit=False)
    place.run("shell echo more >> README.md")
    assert place.call("Stash")["parameters"] == {"stashed": True}
    assert git(place.clone, "branch", "--show-current") == "main"
    end = place.run("say hi").end
    assert (end["branch"], end["uncommitted"], end["message"]) == ("agent/pounce-2", False, "")
    assert git(place.clone, "branch", "--show-current") == "main"


def test_what_a_discard_moves_out_of_the_way_is_named_by_the_next_answer(place: Place) -> None:
    with_base(place, {"results/r.txt": b"old\n"})
    files = place.run(f"shell {UNTRACK}; echo new > results/r.txt")
    discarded = place.call("Discard", branch=files.end["branch"], head=files.end["head"], base=place.base)
    assert discarded["parameters"]["removed"]
    assert kept_of(place) == {"results/r.txt": "new\n"}
    assert "moved to" in (message := place.run("say hi").end["message"])
    assert "results/r.txt" in message
    assert place.run("say hi").end["message"] == ""


def test_what_an_update_moves_out_of_the_way_is_named_by_the_next_answer(place: Place) -> None:
    with_base(place, {".gitignore": b"out\n"})
    place.run("shell echo mine > out")
    base = with_base(place, {"out/x": b"x\n"})
    (place.folder / "prepared.pack").write_bytes(place.history())
    (place.state / "agent/checkouts/pounce.index").unlink()
    place.call("Update", base=base, have=[], default_branch="main", default_head=base)
    assert kept_of(place) == {"out": "mine\n"}
    assert "moved to" in place.run("say hi").end["message"]


def test_copies_of_an_act_that_was_killed_are_removed_from_the_home(place: Place) -> None:
    place.run("say hi")
    left = place.state / "agent/homes/pounce/.herald-compared-1"
    (left / "of").mkdir(parents=True)
    place.call("Survey")
    assert not left.exists()


def test_what_a_reset_cannot_remove_is_named_by_the_next_answer(place: Place) -> None:
    place.run("say hi")
    programs = place.folder / "programs"
    programs.mkdir()
    (programs / "rm").write_text("#!/bin/sh\nexit 1\n")
    (programs / "rm").chmod(0o755)
    paths = place.environment["PATH"]
    place.environment["PATH"] = f"{programs}:{paths}"
    assert place.call("Reset", keep=False)["parameters"]["reset"]
    place.environment["PATH"] = paths
    (left,) = (place.state / "agent/workspaces").glob("pounce.gone*")
    assert f"what is left is {left}." in place.run("say hi").end["message"]
