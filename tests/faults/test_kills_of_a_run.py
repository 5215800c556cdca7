"""kill -9 of what works on a task: the crash rule, the same session, and never two at work in one place."""

import signal
from pathlib import Path

import pytest

from tests.faults.victims import check_each_once, strike
from tests.support import processes
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for


def stubborn(folder: Path, times: int) -> str:
    """A task that hangs as often as given, with children that have detached themselves, and then makes a file."""
    hang = "setsid sleep 1000 & exec setsid -w sleep 1001"
    count = f"echo x >> {folder}/tries; test $(wc -l < {folder}/tries) -gt {times}"
    return f"shell {{ {count}; }} || {{ {hang}; }}; echo x > made.txt"


def sleepers(site: Site) -> list[list[str]]:
    """What the hanging task has started."""
    words = [processes.arguments(pid) for pid in processes.marked(site.mark)]
    return [each for each in words if each[:1] == ["sleep"] and each[1:] in (["1000"], ["1001"])]


def session(herald: Herald) -> tuple[str, str]:
    """How the agent's program was told its session: `--session-id` or `--resume`, and the id."""
    words = [word for word in processes.arguments(herald.pid("cli")) if word.startswith(("--session-id=", "--resume="))]
    option, _, name = words[0].partition("=")
    return option, name


@pytest.mark.parametrize("victim", ["cli", "agent"])
def test_a_killed_agent_is_tried_again_in_the_same_session_when_nothing_of_it_is_left(
    tmp_path: Path, victim: str
) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        tasks = [herald.enqueue(stubborn(tmp_path, 2)), herald.enqueue("say later")]
        sessions = []
        for attempt in (1, 2):
            wait_for(lambda: len(sleepers(site)) == 2, "both children of the agent")
            assert herald.task(tasks[0])["attempt"] == attempt
            sessions.append(session(herald))
            herald.kill(victim)
            site.events.wait("task.requeued", tasks[0], count=attempt)
            assert sleepers(site) == []
        assert herald.ended(tasks[1]) == "done"

        assert herald.task(tasks[0])["attempt"] == 3
        assert sessions[0][0] == "--session-id"
        assert sessions[1] == ("--resume", sessions[0][1])
        check_each_once(site, tasks)
        posts = herald.finish()
        assert "Attempt 2 of 3 follows in 1 s, same session." in posts
        assert "Attempt 3 of 3 follows in 2 s, same session." in posts
        assert "Ready to push — 1 commit." in posts


def test_the_locks_of_a_run_are_held_until_its_last_process_is_gone(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        task = herald.enqueue(stubborn(tmp_path, 1))
        wait_for(lambda: len(sleepers(site)) == 2, "both children of the agent")
        (run,) = (site.state / "worker" / "runs").iterdir()
        locks = [run / "lock", site.state / "agent" / "slots" / "slot.0", site.state / "agent" / "locks" / "sample"]
        keeper = processes.parent(herald.pid("agent"))
        processes.send(keeper, signal.SIGSTOP)
        herald.kill("agent")
        assert len(sleepers(site)) >= 1, "what has detached itself lives on"
        assert [processes.is_locked(lock) for lock in locks] == [True, True, True]
        assert herald.status()["running"][0]["id"] == task
        processes.send(keeper, signal.SIGCONT)

        assert herald.ended(task) == "done"
        assert sleepers(site) == []
        check_each_once(site, [task])


def test_a_task_whose_agent_dies_three_times_is_parked_and_blocks_nobody(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        parked, later = herald.enqueue("fail"), herald.enqueue("create later.txt: x")

        assert herald.ended(parked) == "parked"
        assert herald.ended(later) == "done"
        assert site.events.kinds(parked).count("task.starting") == 3
        posts = herald.finish(1)
        assert "is parked: it broke off 3 times" in posts
        assert "Ready to push — 1 commit. Create later.txt" in posts


@pytest.mark.parametrize("victim", ["command", "inetd", "everything"])
def test_a_kill_of_everything_is_no_attempt_and_the_session_goes_on(tmp_path: Path, victim: str) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        tasks = [herald.enqueue(stubborn(tmp_path, 2)), herald.enqueue("say later")]
        sessions = []
        for _ in range(2):
            wait_for(lambda: len(sleepers(site)) == 2, "both children of the agent")
            sessions.append(session(herald))
            herald = strike(site, victim)
        assert herald.ended(tasks[1]) == "done"

        assert herald.task(tasks[0])["attempt"] == 1
        assert sessions == [("--session-id", sessions[0][1]), ("--resume", sessions[0][1])]
        check_each_once(site, tasks)
        assert "broke off" not in "".join(post["text"] for post in herald.posts())
        herald.finish()


def test_a_cancelled_task_ends_with_all_its_processes_and_stays_cancelled_over_a_kill(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        running, queued = herald.enqueue(stubborn(tmp_path, 9)), herald.enqueue("say never")
        wait_for(lambda: len(sleepers(site)) == 2, "both children of the agent")
        herald.call("worker", "Cancel", task=queued)
        herald.call("worker", "Cancel", project="sample", running=True)
        herald.kill("worker")

        assert herald.ended(running) == "cancelled"
        assert herald.ended(queued) == "cancelled"
        assert sleepers(site) == []
        assert f"Task {running} was cancelled by " in herald.finish()
