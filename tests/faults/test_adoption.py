"""A run outlives the worker: the next worker goes on with it, and nothing of it is done twice."""

from contextlib import ExitStack
from pathlib import Path

from tests.faults.victims import check_each_once
from tests.support import anthropic, claude, processes
from tests.support.herald import Site
from tests.support.processes import wait_for


def test_a_run_of_the_stand_in_is_adopted_by_the_next_worker(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        tasks = [herald.enqueue("sleep 5"), herald.enqueue("create after.txt: x")]
        site.events.wait("task.running", tasks[0])
        before = herald.pid("cli"), herald.pid("agent")
        first = herald.kill("worker")
        wait_for(lambda: herald.pids("worker") not in ([], [first]), "the next worker")
        assert herald.status()["running"][0]["id"] == tasks[0]
        assert (herald.pid("cli"), herald.pid("agent")) == before

        assert herald.ended(tasks[1]) == "done"
        assert list(site.events.of("task.starting", tasks[0])) == list(site.events.of("task.starting"))[:1]
        assert "found a run after a restart: alive" in herald.stderr
        check_each_once(site, tasks)


def test_a_run_of_the_real_agent_is_adopted_by_one_worker_after_the_other(tmp_path: Path) -> None:
    cli = claude.installed()
    with ExitStack() as stack:
        api = stack.enter_context(anthropic.serve(tmp_path))
        environment = {**api.environment(), "HERALD_CLAUDE": cli}
        site = stack.enter_context(Site(tmp_path, agent="claude", environment=environment))
        herald = site.start()
        task = herald.enqueue("[[bash python3 -c 'import time; time.sleep(6)'; date > slept.txt]]")
        api.wait_for_request("bash")
        before = herald.pid("cli")
        for _ in range(2):
            killed = herald.kill("worker")
            wait_for(lambda killed=killed: herald.pids("worker") not in ([], [killed]), "the next worker")  # type: ignore[misc]
            assert herald.status()["running"][0]["id"] == task
            assert herald.pid("cli") == before
        assert herald.ended(task) == "done"

        requests = api.requests()
        assert [request["step"] for request in requests] == [0, 1]
        assert len({request["session"] for request in requests}) == 1
        assert not processes.lives(before)
        check_each_once(site, [task])
        assert "Ready to push — 1 commit." in herald.finish()


def test_a_run_that_ends_while_no_worker_is_there_is_settled_by_the_next(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        flag = tmp_path / "flag"
        task = herald.enqueue(f"shell until [ -e {flag} ]; do sleep 0.05; done; echo done > made.txt")
        site.events.wait("task.running", task)
        frozen = herald.freeze("worker")
        cli, agent = herald.pid("cli"), herald.pid("agent")
        flag.touch()
        wait_for(lambda: not (processes.lives(cli) or processes.lives(agent)), "the run ends")
        herald.kill("worker")

        assert herald.ended(task) == "done"
        assert not processes.lives(frozen)
        assert "found a run after a restart: finished" in herald.stderr
        check_each_once(site, [task])
        assert "Ready to push — 1 commit." in herald.finish()
