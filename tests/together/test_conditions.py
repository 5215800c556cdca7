"""What the try command needs, and what it says when that is missing: one line, exit code 3."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.repositories import clone, git, remote_with_commit
from tests.together.trying import Try, program, run

STANDIN = ("--agent", "standin")


def refused(*arguments: str | Path, **environment: str) -> str:
    """The one line with which the command refuses."""
    done = subprocess.run(
        [program(), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
        cwd="/",
    )
    assert done.returncode == 3, done
    assert done.stdout == ""
    assert done.stderr.startswith("herald-try: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def fake_claude(folder: Path, script: str) -> Path:
    """A folder with a `claude` in it."""
    folder.mkdir()
    (folder / "claude").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "claude").chmod(0o755)
    return folder


@pytest.mark.parametrize("arguments", [["--agent", "gpt"], ["--unknown"], ["argument"], ["--state"]])
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    done = subprocess.run([program(), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: herald-try" in done.stderr
    assert done.stdout == ""


def test_a_project_that_is_no_clone_is_refused(tmp_path: Path) -> None:
    assert f"--project {tmp_path} is no git clone" in refused("--project", tmp_path)
    assert "is no git clone" in refused("--project", tmp_path / "nothing")


def test_a_project_without_a_remote_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert f"`git -C {tmp_path} remote add origin URL`" in refused("--project", tmp_path)


def test_a_state_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for state in (file, file / "below", Path("/proc/herald")):
        assert "cannot be written" in refused("--state", state)


def test_without_git_there_is_the_command_that_installs_it(tmp_path: Path) -> None:
    assert "`apt-get install git`" in refused(PATH=str(tmp_path))


def test_an_agent_that_is_asked_for_and_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "git").symlink_to(_which("git"))
    assert "npm install -g @anthropic-ai/claude-code" in refused("--agent", "claude", PATH=str(tmp_path))
    logged_out = fake_claude(tmp_path / "out", "exit 1")
    assert "claude auth login" in refused("--agent", "claude", PATH=f"{logged_out}:{os.environ['PATH']}")


def _which(name: str) -> str:
    return subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True, text=True, check=True).stdout.strip()


def test_the_agent_is_claude_when_installed_and_logged_in(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    path = fake_claude(tmp_path / "in", f'echo "$@ $HOME $ANTHROPIC_MODEL $SECRET" > {asked}')
    given = {"PATH": f"{path}:{os.environ['PATH']}", "HOME": "/home/ada", "ANTHROPIC_MODEL": "m", "SECRET": "s"}
    code, done = run(tmp_path / "state", **given)
    assert code == 0, done.told()
    assert done.stderr[2] == f"agent: claude ({path}/claude)"
    assert asked.read_text() == "auth status /home/ada m \n"


def test_with_a_key_the_home_of_the_caller_is_not_used(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    path = fake_claude(tmp_path / "in", f'echo "$HOME $ANTHROPIC_API_KEY" > {asked}')
    state = tmp_path / "state"
    code, done = run(state, PATH=f"{path}:{os.environ['PATH']}", ANTHROPIC_API_KEY="k", HOME="/home/ada")
    assert code == 0, done.told()
    assert asked.read_text() == f"{state}/agent k\n"


def test_else_the_stand_in_is_the_agent_and_the_reason_is_told(tmp_path: Path) -> None:
    logged_out = fake_claude(tmp_path / "out", "exit 1")
    code, done = run(tmp_path / "state", PATH=f"{logged_out}:{os.environ['PATH']}")
    assert code == 0, done.told()
    assert done.stderr[2] == "agent: standin (claude is installed but not logged in)"


def test_a_remote_by_another_name_or_by_a_relative_path_is_followed(tmp_path: Path) -> None:
    remote = remote_with_commit(tmp_path)
    work = clone(remote, tmp_path / "work")
    git(work, "remote", "rename", "origin", "upstream")
    git(work, "remote", "set-url", "upstream", "../remote.git")
    code, done = run(tmp_path / "state", "create a: b", "+1", options=(*STANDIN, "--project", work))
    assert code == 0, done.told()
    assert len(remote.updates()) == 1


def test_a_linked_worktree_is_a_clone_too(tmp_path: Path) -> None:
    remote = remote_with_commit(tmp_path)
    work = clone(remote, tmp_path / "work")
    git(work, "worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "linked")
    code, done = run(tmp_path / "state", "create a: b", "+1", options=(*STANDIN, "--project", tmp_path / "linked"))
    assert code == 0, done.told()
    assert len(remote.updates()) == 1


def test_two_clones_of_one_name_are_two_projects(tmp_path: Path) -> None:
    remote = remote_with_commit(tmp_path)
    state = tmp_path / "state"
    for folder, name in (("a/Werk Ä", "werk"), ("b/werk", "werk-2"), ("a/Werk Ä", "werk")):
        work = tmp_path / folder
        if not work.exists():
            clone(remote, work)
        code, done = run(state, "say hi", options=(*STANDIN, "--project", work))
        assert code == 0, done.told()
        assert done.posts[0].startswith(f"[{name}] ")


def test_a_broken_project_file_is_reported_and_the_configuration_before_stays(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert run(state, options=STANDIN)[0] == 0
    with (state / "etc" / "projects" / "sample.yaml").open("a") as file:
        file.write("branch_prefx: x\n")
    code, done = run(state, "say hi", options=STANDIN)
    assert code == 0, done.told()
    assert any("sample.yaml:" in line and "branch_prefx" in line for line in done.stderr)
    assert "configuration: the one before stays in force" in done.stderr
    assert any("hi" in line for line in done.posts)


def test_a_damaged_cursor_prints_posts_again_rather_than_losing_them(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert run(state, "say once", options=STANDIN)[0] == 0
    (state / "try" / "cursor").write_bytes(b"\xff")
    code, done = run(state, options=STANDIN)
    assert code == 0, done.told()
    assert any("once" in line for line in done.posts)
    assert any(path.name.startswith("cursor.damaged-") for path in (state / "try").iterdir())


def test_folders_of_commands_that_were_killed_altogether_are_removed(tmp_path: Path) -> None:
    with Try(tmp_path / "state", *STANDIN) as attempt, tempfile.TemporaryDirectory(prefix="herald-try-") as kept:
        bus = Path(attempt.wait_for("bus: ").removeprefix("bus: "))
        dead = Path(tempfile.mkdtemp(prefix="herald-try-", dir="/tmp"))
        (dead / "runtime.lock").touch()
        (Path(kept) / "lock").touch()  # somebody's state folder, not in use
        assert run(tmp_path / "other", options=STANDIN)[0] == 0
        assert not dead.exists()
        assert (Path(kept) / "lock").exists()
        assert bus.exists()  # its command lives
        assert attempt.finish() == 0, attempt.told()
