"""What a run leaves that could hold Herald's own git up, steer it, or get work lost."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.place import Place, git, wait_for

ONE = "echo a > a; git add a; git commit -qm One"


def committed(place: Place, branch: str) -> list[str]:
    return git(place.tree, "ls-tree", "-r", "--name-only", branch).split("\n")


def subjects(place: Place, branch: str) -> list[str]:
    return git(place.tree, "log", "--format=%s", branch).split("\n")


@pytest.mark.parametrize(
    "pipe", ["sub/.gitignore", "sub/.gitattributes", ".git/index", ".git/HEAD", ".git/info/exclude", ".git/packed-refs"]
)
def test_a_pipe_where_git_reads_a_file_holds_nothing_up(place: Place, pipe: str) -> None:
    files = place.run(f"shell {ONE}; mkdir sub; rm -f {pipe}; mkfifo {pipe}; echo w > sub/work")
    assert files.end["outcome"] == "ok", files.end
    assert committed(place, files.end["branch"]) == ["README.md", "a", "sub/work"]


def test_a_configuration_that_git_cannot_read_costs_no_commit_and_no_branch(place: Place) -> None:
    files = place.run(f"shell {ONE}; git branch agent/pounce-other; echo '[x' >> .git/config")
    assert (files.end["message"], subjects(place, files.end["branch"])) == ("", ["One", "Begin"])
    assert "agent/pounce-other" in place.branches()


def test_no_filter_of_the_run_is_called_after_it(place: Place, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    command = f"git config filter.z.smudge 'touch {witness}; cat'; echo '* filter=z' > .git/info/attributes"
    files = place.run(f"shell git checkout -qb other; echo x >> README.md; git commit -qam Other; {command}")
    assert files.end["outcome"] == "ok"
    assert not witness.exists()


@pytest.mark.parametrize("making", ["ln -s /tmp .git.new", "echo x > .git.new", "ln -s gone .git.new"])
def test_what_lies_where_the_new_git_folder_is_made_goes(place: Place, making: str) -> None:
    files = place.run(f"shell {ONE}; {making}")
    assert (files.end["outcome"], subjects(place, files.end["branch"])) == ("ok", ["One", "Begin"])
    assert not (place.workspace / ".git").is_symlink()
    assert not os.path.lexists(place.workspace / ".git.new")


def test_branches_beyond_count_do_not_push_the_runs_own_out(place: Place) -> None:
    many = 'for i in $(seq 2100); do echo "$(git rev-parse HEAD) refs/heads/a/$i"; done > .git/packed-refs'
    files = place.run(f"shell {ONE}; {many}")
    assert subjects(place, files.end["branch"]) == ["One", "Begin"]


def test_a_full_disk_while_branches_are_taken_loses_none(place: Place, tmp_path: Path) -> None:
    full, programs = tmp_path / "full", tmp_path / "programs"
    programs.mkdir()
    real = shutil.which("git")
    says_full = f"[ -e {full} ] && echo 'fatal: write error: No space left on device' >&2 && exit 128"
    (programs / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *"pack-objects --revs --stdout"*) {says_full};; esac\nexec {real} "$@"\n'
    )
    (programs / "git").chmod(0o755)
    place.environment["PATH"] = f"{programs}:{place.environment['PATH']}"
    files = place.run(f"shell {ONE}; git branch agent/pounce-other; echo b > b; touch {full}")
    assert files.end["outcome"] == "failed"
    assert "No space left" in files.end["message"]
    assert "No space left" in place.run("say hi").end["message"]
    full.unlink()
    assert place.run("say hi").end["outcome"] == "ok"
    assert subjects(place, "agent/pounce-1") == ["A title", "One", "Begin"]
    assert "agent/pounce-other" in place.branches()


def test_large_files_survive_a_kill_while_git_folders_are_exchanged(place: Place) -> None:
    place.run("shell mkdir -p .git/lfs/objects; echo data > .git/lfs/objects/x")
    (place.workspace / ".git.old").mkdir()
    (place.workspace / ".git/lfs").rename(place.workspace / ".git.old/lfs")
    assert place.run("say hi").end["outcome"] == "ok"
    assert (place.workspace / ".git/lfs/objects/x").read_text() == "data\n"


def test_what_a_home_says_to_git_does_not_decide_what_is_taken(place: Place) -> None:
    settings = "echo '*' > ignore; echo '* text eol=crlf' > attributes"
    place.run(f"shell mkdir -p ~/.config/git; cd ~/.config/git; {settings}")
    files = place.run("shell od -c README.md; echo new > new")
    assert "\\r" not in files.text
    assert committed(place, files.end["branch"]) == ["README.md", "new"]


def test_a_pipe_in_the_place_of_a_tracked_file_keeps_nothing_else_from_being_taken(place: Place) -> None:
    files = place.run("shell rm README.md; mkfifo README.md; echo w > work")
    assert committed(place, files.end["branch"]) == ["README.md", "work"]
    assert files.end["message"] == "Not taken, because they are neither files nor links: README.md."
    second = place.run("shell cat README.md")
    assert "Pounce" in second.text


@pytest.mark.parametrize("making", ["mkfifo new", "ln -s /dev/zero new"])
def test_what_cannot_be_read_to_its_end_in_the_way_of_a_checkout_is_moved_unread(place: Place, making: str) -> None:
    place.run(f"shell echo new > .git/info/exclude; {making}; git status")
    (place.clone / "new").write_text("x\n")
    git(place.clone, "add", "new")
    git(place.clone, "commit", "--quiet", "-m", "New")
    files = place.run("shell cat new", base=git(place.clone, "rev-parse", "HEAD"))
    assert files.end["outcome"] == "ok", files.end
    assert "x" in files.text


@pytest.mark.parametrize("workspace", ["own", "path"])
def test_a_new_file_in_a_folder_of_strangers_is_the_agents(place: Place, workspace: str) -> None:
    place.configure(workspace=workspace)
    if place.own:
        ignoring = "echo notes/ > .gitignore; git add .gitignore; git commit -qm Ignore"
        place.run(f"shell {ignoring}; mkdir notes; echo x > notes/a")
    else:
        (place.clone / "notes").mkdir()
        (place.clone / "notes/a").write_text("x\n")
    files = place.run("shell echo plan > notes/plan")
    assert committed(place, files.end["branch"]) == ["README.md", "notes/plan"]
    assert (place.tree / "notes/a").read_text() == "x\n"


def test_a_damaged_store_is_made_anew_from_the_same_pack(place: Place) -> None:
    pack = place.history()
    place.run("say hi")
    for path in (place.store / "objects/pack").glob("*.pack"):
        path.chmod(0o600)
        path.write_bytes(b"")
    assert place.run("say hi", base_pack=pack).end["outcome"] == "incomplete"
    assert place.run("say hi", base_pack=pack).end["outcome"] == "ok"
    shutil.rmtree(place.store / "objects")
    assert place.run("say hi", base_pack=pack).end["outcome"] == "ok"


def test_a_deep_folder_does_not_keep_a_workspace_from_being_surveyed(place: Place) -> None:
    deep = "import os\nfor _ in range(1200): os.mkdir('a'); os.chdir('a')"
    (place.folder / "deep.py").write_text(deep)
    place.run(f"shell python3 {place.folder / 'deep.py'}")
    assert place.call("Survey")["parameters"]["made"] is True
    assert place.call("Reset", keep=False)["parameters"]["reset"] is True


def test_a_kill_before_branches_were_taken_over_takes_them_over_later(place: Place) -> None:
    git(place.clone, "branch", "agent/pounce-0")
    place.run("say hi")
    git(place.workspace, "branch", "-D", "agent/pounce-0")
    (place.state / "agent/checkouts/pounce.taking").touch()
    place.run("say hi")
    assert "agent/pounce-0" in place.branches()


def test_folders_that_their_owner_may_not_change_are_removed(tmp_path: Path) -> None:
    locked = tmp_path / "top/locked/deeper"
    locked.mkdir(parents=True)
    (locked / "file").touch()
    locked.chmod(0o500)
    locked.parent.chmod(0o000)
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    code = f"from herald_agent import process; process.remove_tree({str(tmp_path / 'top')!r})"
    subprocess.run([*drop, sys.executable, "-c", code], check=True, env={**os.environ, "HERALD_MODE": "try"})
    assert not (tmp_path / "top").exists()


def test_what_a_person_edits_after_a_checkout_was_cut_off_is_put_aside_and_said(place: Place) -> None:
    place.configure(workspace="path")
    instance, _ = place.start("shell sleep 60")
    assert instance.receive()["parameters"] == {"state": "started"}
    ready = place.state / "agent/checkouts/pounce.ready"
    wait_for(ready.exists, "the agent works")
    instance.process.kill()
    instance.wait()
    ready.unlink()
    (place.clone / ".git/index.lock").touch()
    (place.clone / "README.md").write_text("A person's work\n")
    said = place.run("say hi").end["message"]
    assert "git stash` there: README.md" in said
    assert git(place.clone, "show", "stash@{0}:README.md") == "A person's work"
    assert git(place.clone, "status", "--porcelain") == ""


@pytest.mark.parametrize("made", ["ln -s {victim} pounce", "echo x > pounce"])
def test_what_a_run_puts_in_the_place_of_its_workspace_is_not_taken_for_it(
    place: Place, tmp_path: Path, made: str
) -> None:
    victim = tmp_path / "victim"
    git(tmp_path, "init", "--quiet", str(victim))
    (victim / "file").write_text("theirs")
    git(victim, "add", "file")
    git(victim, "commit", "--quiet", "-m", "Theirs")
    before = (victim / ".git/config").read_bytes(), git(victim, "rev-parse", "HEAD")
    files = place.run(f"shell cd ..; rm -rf pounce; {made.format(victim=victim)}")
    assert files.end["message"] == "The agent removed its own workspace, with what it committed there."
    assert place.run("say hi").end["outcome"] == "ok"
    assert ((victim / ".git/config").read_bytes(), git(victim, "rev-parse", "HEAD")) == before
    assert (victim / "file").read_text() == "theirs"
    assert place.workspace.is_dir()
    assert not place.workspace.is_symlink()


def test_a_pipe_in_a_persons_folder_holds_nothing_up_either(place: Place) -> None:
    place.configure(workspace="path")
    files = place.run("shell mkdir sub; echo w > sub/work; mkfifo sub/.gitignore")
    assert files.end["message"] == "Removed sub/.gitignore, a pipe or the like that git would wait for."
    assert committed(place, files.end["branch"]) == ["README.md", "sub/work"]
