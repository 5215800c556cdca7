"""A message becomes a commit, a vote and a push: all services, by the try command."""

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import wait_for
from tests.support.repositories import Remote, clone, git, remote_with_commit
from tests.together.trying import Try, processes_of, program, run

STANDIN = ("--agent", "standin")


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return remote_with_commit(tmp_path)


@pytest.fixture
def work(tmp_path: Path, remote: Remote) -> Path:
    """A clone in the middle of somebody's work."""
    folder = clone(remote, tmp_path / "My Work")
    git(folder, "checkout", "--quiet", "-b", "mine")
    (folder / "README.md").write_text("changed\n", encoding="utf-8")
    (folder / "staged").write_text("staged\n", encoding="utf-8")
    git(folder, "add", "staged")
    (folder / "untracked").write_text("untracked\n", encoding="utf-8")
    return folder


def condition(folder: Path) -> tuple[str, ...]:
    """What a run must not touch."""
    return tuple(
        git(folder, *arguments)
        for arguments in (["status", "--porcelain"], ["symbolic-ref", "HEAD"], ["rev-parse", "main", "mine"], ["diff"])
    )


def agent_branches(remote: Remote) -> list[str]:
    return [branch for branch in remote.heads() if branch.startswith("agent/")]


def test_an_approved_commit_is_pushed_to_one_new_branch(tmp_path: Path, remote: Remote, work: Path) -> None:
    before, main = condition(work), remote.heads()["main"]
    code, done = run(tmp_path / "state", "create hello.txt: hi", "+1", options=(*STANDIN, "--project", work))
    assert code == 0, done.told()
    (branch,) = agent_branches(remote)
    assert re.fullmatch(r"agent/my-work-\d{8}-\d{6}", branch)
    assert git(remote.path, "show", f"{branch}:hello.txt") == "hi"
    assert git(remote.path, "rev-list", "--count", f"main..{branch}") == "1"
    assert [update[0] for update in remote.updates()] == [f"refs/heads/{branch}"]
    assert remote.heads()["main"] == main
    assert condition(work) == before
    assert all(line.startswith("[my-work] ") for line in done.posts)
    (card,) = [line for line in done.posts if line.startswith("[my-work] Ready to push")]
    assert card.startswith("[my-work] Ready to push — 1 commit. ")
    assert done.stderr[0].startswith("bus: /")
    assert done.stderr[1].startswith("heraldctl: ")
    assert done.stderr[-1] == "summary: task done: 1, proposal pushed: 1"


def test_a_rejected_branch_is_gone_and_nothing_is_pushed(tmp_path: Path, remote: Remote, work: Path) -> None:
    before = condition(work)
    code, done = run(tmp_path / "state", "create hello.txt: hi", "-1", options=(*STANDIN, "--project", work))
    assert code == 0, done.told()
    assert agent_branches(remote) == []
    assert remote.updates() == []
    assert "agent/" not in git(work, "branch", "--all")
    assert condition(work) == before


def test_a_card_waits_for_its_vote_until_a_later_start(tmp_path: Path, remote: Remote, work: Path) -> None:
    state = tmp_path / "state"
    code, first = run(state, "create hello.txt: hi", options=(*STANDIN, "--project", work))
    assert code == 0, first.told()
    assert remote.updates() == []
    code, second = run(state, "+1", options=STANDIN)  # the project is remembered
    assert code == 0, second.told()
    assert len(agent_branches(remote)) == len(remote.updates()) == 1
    assert not [line for line in second.posts if line.startswith("[my-work] Ready to push")]


def test_without_a_project_there_is_a_sample_with_a_remote(tmp_path: Path) -> None:
    state = tmp_path / "state"
    code, done = run(state, "create a/b.txt: x", "+1", options=STANDIN)
    assert code == 0, done.told()
    branches = git(state / "sample" / "remote.git", "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert [branch.split("-")[0] for branch in branches] == ["agent/sample", "main"]


def test_messages_are_taken_in_order_each_when_the_one_before_is_answered(tmp_path: Path) -> None:
    code, done = run(tmp_path / "state", "say one", "sleep 1", "say two", "!queue", options=STANDIN)
    assert code == 0, done.told()
    said = [line for line in done.posts if "stand-in" in line]
    assert [("one" in line, "two" in line) for line in said] == [(True, False), (False, False), (False, True)]
    assert any("sleep" in line or "… " in line for line in done.stderr if line.startswith("[sample]"))  # progress


def test_a_task_that_fails_again_and_again_is_exit_1(tmp_path: Path) -> None:
    code, done = run(tmp_path / "state", "fail", "say after", options=STANDIN)
    assert code == 1, done.told()
    assert any("after" in line for line in done.posts)
    assert "task parked: 1" in done.stderr[-1]


def test_a_refused_push_is_exit_1(tmp_path: Path, remote: Remote, work: Path) -> None:
    remote.refuse("not today")
    code, done = run(tmp_path / "state", "create hello.txt: hi", "+1", options=(*STANDIN, "--project", work))
    assert code == 1, done.told()
    assert any("not today" in line for line in done.posts)


def test_a_message_that_is_no_text_is_taken_as_text(tmp_path: Path) -> None:
    with Try(tmp_path / "state", *STANDIN) as attempt:
        assert attempt.process.stdin is not None
        attempt.process.stdin.buffer.write(b"say a\0b\xff\xfec /cost @/etc/hostname\n")
        attempt.process.stdin.buffer.flush()
        assert attempt.finish() == 0, attempt.told()
        assert any("/cost @/etc/hostname" in line for line in attempt.posts)


def test_the_printed_command_line_speaks_to_this_instance(tmp_path: Path) -> None:
    with Try(tmp_path / "state", *STANDIN) as attempt:
        assert attempt.heraldctl("call", "io.herald.Worker.ListProjects", "{}").count('"sample"')
        bus = Path(attempt.wait_for("bus: ").removeprefix("bus: "))
        assert sorted(path.name for path in bus.iterdir()) == [
            f"io.herald.{each}" for each in ("Agent", "Config", "Deploy", "Gateway", "Git", "Worker")
        ]
        assert bus.stat().st_mode & 0o777 == 0o700
        assert attempt.finish() == 0
        assert not bus.parent.exists()


def test_two_commands_do_not_share_a_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Try(state, *STANDIN) as first:
        first.wait_for("agent: ")
        with Try(state, *STANDIN) as second:
            assert second.process.wait(30) == 3
            second.wait_for(f"is used by another try (process {first.process.pid})")
            assert second.posts == []
        first.say("say still here")
        assert first.finish() == 0, first.told()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    with Try(tmp_path / "state", *STANDIN) as attempt:
        attempt.say("sleep 60")
        attempt.wait_for("… slept")
        attempt.process.send_signal(number)
        assert attempt.ended() == 128 + number, attempt.told()


@pytest.mark.parametrize("killed", ["command", "group", "inetd"])
def test_a_kill_leaves_no_process_and_the_task_is_done_by_the_next_start(tmp_path: Path, killed: str) -> None:
    state = tmp_path / "state"
    with Try(state, *STANDIN) as first:
        first.say("sleep 3")
        first.wait_for("… slept")
        if killed == "command":
            first.process.kill()
        elif killed == "group":
            os.killpg(first.process.pid, signal.SIGKILL)
        else:
            inetd = Path(f"/proc/{first.process.pid}/task/{first.process.pid}/children").read_text().split()[0]
            os.kill(int(inetd), signal.SIGKILL)
        assert first.ended() == (1 if killed == "inetd" else -signal.SIGKILL), first.told()
        shown = [line for line in first.posts if "stand-in" in line]
        assert shown == []
    code, second = run(state, "say next", options=STANDIN)
    assert code == 0, second.told()
    said = [line for line in second.posts if "stand-in" in line]
    assert len(said) == 2, second.told()
    assert "next" in said[1]
    assert "task done: 2" in second.stderr[-1]


def test_no_post_is_printed_twice_by_a_later_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert run(state, "say once", options=STANDIN)[0] == 0
    code, second = run(state, options=STANDIN)
    assert (code, second.posts) == (0, []), second.told()


def test_services_that_are_killed_are_replaced_and_the_message_is_answered_once(tmp_path: Path) -> None:
    with Try(tmp_path / "state", *STANDIN) as attempt:
        attempt.say("sleep 3")
        attempt.wait_for("… slept")
        agent = attempt.process_named("bin/herald-agent")
        for name in ("bin/herald-worker", "bin/herald-gateway"):
            os.kill(attempt.process_named(name), signal.SIGKILL)
        assert attempt.process_named("bin/herald-agent") == agent
        assert attempt.finish() == 0, attempt.told()
        assert len([line for line in attempt.posts if "stand-in" in line]) == 1, attempt.told()
        assert "task done: 1" in attempt.stderr[-1]


def test_nothing_of_the_caller_but_what_is_allowed_reaches_the_services(tmp_path: Path) -> None:
    state = tmp_path / "state"
    given = {"SECRET_OF_THE_CALLER": "1", "ANTHROPIC_MODEL": "m", "CLAUDE_X": "y", "SSH_AUTH_SOCK": "/run/agent"}
    with Try(state, *STANDIN, **given) as attempt:
        attempt.say("sleep 60")
        attempt.wait_for("… slept")
        for name in ("worker", "gateway", "agent"):
            text = Path(f"/proc/{attempt.process_named(f'bin/herald-{name}')}/environ").read_text()
            environment = dict(entry.split("=", 1) for entry in text.split("\0") if entry)
            assert not environment.keys() & {"SECRET_OF_THE_CALLER", "SSH_AUTH_SOCK"}
            assert environment["HOME"] == str(state / name)
            assert ("ANTHROPIC_MODEL" in environment) == ("CLAUDE_X" in environment) == (name == "agent")
        assert len(processes_of(state)) > 5
        attempt.process.send_signal(signal.SIGINT)
        assert attempt.ended() == 130


def test_when_nobody_reads_posts_any_more_everything_ends(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with subprocess.Popen(
        [
            "sh",
            "-c",
            'printf "say one\nsay two\nsay three\n" | "$@" | head -n 1',
            "sh",
            program(),
            "--state",
            state,
            *STANDIN,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        out, _ = process.communicate(timeout=60)
    assert out.startswith("[sample] ")
    wait_for(lambda: not processes_of(state), "everything ends")


def test_a_terminal_is_a_chat_until_ctrl_c(tmp_path: Path) -> None:
    state = tmp_path / "state"
    try:
        terminal, theirs = os.openpty()
    except OSError as error:
        pytest.skip(f"there are no pseudo-terminals here ({error.strerror}): mount devpts on /dev/pts")
    controlled = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", controlled, program(), "--state", state, *STANDIN],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""

    def shows(text: bytes) -> bool:
        nonlocal shown
        shown += os.read(terminal, 4096) if select.select([terminal], [], [], 0.1)[0] else b""
        return text in shown

    wait_for(lambda: shows(b"sample> "), "the prompt")
    os.write(terminal, b"sleep 60\n!status\n")
    wait_for(lambda: shows(b"Worker: "), "the answer to the command, which did not wait for the task")
    os.write(terminal, b"\x03")
    wait_for(lambda: shows(b"^C"), "the end")
    assert process.wait(60) == 0, shown.decode()
    os.close(terminal)
    wait_for(lambda: not processes_of(state), "everything ends")
