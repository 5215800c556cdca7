"""Deadline, cancel, SIGTERM and kills: the run ends soon, says how, keeps what was done, and leaves no process."""

import shutil
import signal
import time
from typing import Any

import psutil
import pytest

from tests.agent.place import Instance, Place, RunFiles, wait_for

STUBBORN = "shell trap '' TERM INT; (setsid sh -c 'trap \"\" TERM; sleep 611' &) ; echo begun > begun; sleep 612"
"""Hears no interrupt and no SIGTERM, and has left a child in a session of its own."""


def begin(place: Place, prompt: str, **parameters: Any) -> tuple[Instance, RunFiles]:
    instance, files = place.start(prompt, **parameters)
    assert instance.receive()["continues"] is True
    return instance, files


def end(instance: Instance) -> None:
    assert instance.receive() == {"parameters": {"state": "ended"}}
    assert instance.wait() == 0


def child_of(instance: Instance) -> psutil.Process:
    """The agent itself, not what it has started."""
    (child,) = psutil.Process(instance.process.pid).children()
    return child


def sleeping(number: int) -> list[psutil.Process]:
    """The `sleep NUMBER` that runs below this test, also when its parents are gone."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline() == ["sleep", str(number)]:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_the_deadline_ends_a_run_and_keeps_what_it_said(place: Place) -> None:
    files = place.run("sleep 60", deadline=5.0)
    assert files.end["outcome"] == "timeout"
    assert "time limit of 5 s" in files.end["message"]
    assert "slept 1 of 60 s" in files.text
    assert files.end["duration"] < 30


def test_commits_made_before_the_deadline_are_kept(place: Place) -> None:
    files = place.run("shell echo 1 > one; git add one; git commit -qm One; echo 2 > two; sleep 60", deadline=5.0)
    assert files.end["outcome"] == "timeout"
    assert files.end["commits"] == 2
    assert place.leftovers() == ["checkouts/pounce.json"]  # a further attempt would continue the branch


def test_sigterm_ends_a_run_as_stopped_within_seconds(place: Place) -> None:
    instance, files = begin(place, "sleep 60")
    wait_for(lambda: files.progress, "progress")
    asked = time.monotonic()
    instance.process.send_signal(signal.SIGTERM)
    instance.process.send_signal(signal.SIGTERM)  # a second one changes nothing
    end(instance)
    assert time.monotonic() - asked < 20
    assert files.end["outcome"] == "stopped"


def test_sigterm_to_a_stubborn_agent_still_ends_within_seconds(place: Place) -> None:
    instance, files = begin(place, STUBBORN)
    worktree = place.state / "agent/workspaces/pounce"
    wait_for((worktree / "begun").exists, "work")
    asked = time.monotonic()
    instance.process.send_signal(signal.SIGTERM)
    end(instance)
    assert time.monotonic() - asked < 20
    assert files.end["outcome"] == "stopped"
    assert files.end["commits"] == 1
    assert sleeping(611) == sleeping(612) == []


def test_sigterm_before_the_agent_has_begun_is_stopped_too(place: Place) -> None:
    programs = place.folder / "bin"
    programs.mkdir()
    slow = programs / "git"
    slow.write_text(f'#!/bin/sh\ncase "$*" in *" reset "*) sleep 613;; esac\nexec {shutil.which("git")} "$@"\n')
    slow.chmod(0o755)
    place.environment["PATH"] = f"{programs}:{place.environment['PATH']}"
    instance, files = begin(place, "create a.txt: a")
    wait_for(lambda: sleeping(613), "the checkout")
    instance.process.send_signal(signal.SIGTERM)
    end(instance)
    assert files.end["outcome"] == "stopped"
    assert files.end["commits"] == 0
    assert sleeping(613) == []
    assert place.branches() == []


def test_an_idle_instance_ends_at_once_on_sigterm(place: Place) -> None:
    instance = place.instance()
    instance.process.send_signal(signal.SIGTERM)
    assert instance.process.wait(60) in (0, -signal.SIGTERM)
    instance.hang_up()


def test_children_that_the_agent_left_are_killed_before_the_end_is_written(place: Place) -> None:
    files = place.run("shell (setsid sh -c 'trap \"\" TERM HUP; sleep 614' >/dev/null 2>&1 &) ; echo left")
    assert files.end["outcome"] == "ok"
    assert sleeping(614) == []


def test_a_child_that_holds_the_output_open_does_not_delay_the_end(place: Place) -> None:
    files = place.run("shell setsid sleep 615 >&2 & echo on")
    assert files.end["outcome"] == "ok"
    assert sleeping(615) == []


def test_kill_9_of_the_agent_is_a_crash(place: Place) -> None:
    instance, files = begin(place, "sleep 60")
    wait_for(lambda: files.progress, "progress")
    child_of(instance).kill()
    end(instance)
    assert files.end["outcome"] == "crash"
    assert "signal 9" in files.end["message"]


def test_cancel_while_a_tool_is_running(real: Place) -> None:
    instance, files = begin(real, "[[bash echo a > a; touch begun; sleep 616; echo b]]")
    worktree = real.state / "agent/workspaces/pounce"
    wait_for((worktree / "begun").exists, "the tool")
    files.cancel()
    end(instance)
    assert files.end["outcome"] == "cancelled"
    assert files.end["duration"] < 20
    assert sleeping(616) == []


def test_cancel_while_the_api_is_silent(real: Place, api: Any) -> None:
    instance, files = begin(real, "[[hang]]")
    api.wait_for_request("hang")
    files.cancel()
    end(instance)
    assert files.end["outcome"] == "cancelled"


def test_the_deadline_of_a_real_run(real: Place) -> None:
    files = real.run("[[loop echo again]]", deadline=8.0)
    assert files.end["outcome"] == "timeout"
    assert files.end["cost_usd"] > 0


def test_sigterm_to_a_real_run(real: Place, api: Any) -> None:
    instance, files = begin(real, "[[hang]]")
    api.wait_for_request("hang")
    instance.process.send_signal(signal.SIGTERM)
    end(instance)
    assert files.end["outcome"] == "stopped"
    assert real.leftovers() == ["checkouts/pounce.json"]


def test_kill_9_of_claude_while_a_tool_is_running(real: Place) -> None:
    instance, files = begin(real, "[[bash touch begun; sleep 617; echo b]]")
    worktree = real.state / "agent/workspaces/pounce"
    wait_for((worktree / "begun").exists, "the tool")
    child_of(instance).kill()
    end(instance)
    assert files.end["outcome"] == "crash"
    assert sleeping(617) == []  # Bash runs in a session of its own, and is found all the same


def test_kill_9_of_the_driver_takes_claude_along(real: Place, api: Any) -> None:
    instance, files = begin(real, "[[hang]]")
    api.wait_for_request("hang")
    claude = child_of(instance)
    instance.process.kill()
    instance.wait()
    claude.wait(60)
    assert files.read("result") == ""
    assert not files.is_locked()


@pytest.mark.parametrize("resume", [False, True])
def test_a_session_is_resumed_and_one_that_is_gone_is_begun_anew(real: Place, api: Any, resume: bool) -> None:
    session = "0f7a3c5e-7f1d-4f5e-8f3a-0123456789ab"
    first = real.run("[[text first]]", session=session, resume=resume, branch="agent/pounce-1")
    assert first.end["outcome"] == "ok"
    second = real.run("[[text second]]", session=session, resume=not resume, branch="agent/pounce-1")
    assert second.end["outcome"] == "ok"
    assert second.end["session"] == session
    assert "[[text first]]" in str(api.requests()[-1]["body"]["messages"])
    assert second.end["cost_usd"] == pytest.approx(first.end["cost_usd"])
