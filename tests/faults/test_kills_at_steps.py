"""kill -9 of each long-lived part at each step of enqueue, run and push: nothing lost, nothing done twice."""

from pathlib import Path

import pytest

from tests.faults.victims import check_each_once, strike
from tests.support.herald import Site
from tests.support.repositories import git

_OF_THE_TASK = ("task.queued", "task.starting", "task.running", "task.done")
_OF_THE_PUSH = ("proposal.approved", "proposal.pushing", "proposal.pushed")


@pytest.mark.parametrize("victim", ["worker", "gateway", "command", "inetd"])
def test_killed_at_any_step_every_task_is_done_and_pushed_once(tmp_path: Path, victim: str) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        tasks = []
        for number, step in enumerate([*_OF_THE_TASK, *_OF_THE_PUSH]):
            task = herald.enqueue(f"create {number}.txt: {step}")
            tasks.append(task)
            if step in _OF_THE_TASK:
                site.events.wait(step, task)
                behind = herald.enqueue(f"say behind {number}") if step != "task.done" else ""
                herald = strike(site, victim)
                tasks += [behind or herald.enqueue(f"say behind {number}")]
                assert herald.ended(tasks[-1]) == "done"
            site.events.wait("proposal.open", task)
            herald.vote()
            if step in _OF_THE_PUSH:
                site.events.wait(step, task)
                herald = strike(site, victim)
            site.events.wait("proposal.pushed", task)
        herald.idle()

        check_each_once(site, tasks)
        pushed = site.pushed()
        assert len(pushed) == len(_OF_THE_TASK) + len(_OF_THE_PUSH)
        assert sorted(update[0] for update in site.remote.updates()) == sorted(f"refs/heads/{name}" for name in pushed)
        for head in pushed.values():
            assert git(site.remote.path, "rev-list", f"{site.base}..{head}") == head
        cards = {post["key"]: post["text"] for post in herald.posts() if post["kind"] == "card"}
        assert all(text.startswith("Pushed — ") for text in cards.values()), cards
        assert all(herald.task(task)["attempt"] == 1 for task in tasks)
        herald.finish()
