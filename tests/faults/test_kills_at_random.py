"""kill -9 at random moments under a mixed load. The seed is printed; HERALD_TEST_SEED repeats one."""

import os
import random
import select
from collections import Counter
from pathlib import Path

from herald.errors import HeraldError
from tests.faults.victims import check_each_once, strike
from tests.support.herald import Site
from tests.support.repositories import git

_ROUNDS = 12


def dice() -> random.Random:
    seed = int(os.environ.get("HERALD_TEST_SEED") or random.randrange(1 << 30))
    print(f"HERALD_TEST_SEED={seed}")
    return random.Random(seed)


def let_pass(seconds: float) -> None:
    """Here time itself is what the test is about."""
    select.select([], [], [], seconds)


def test_whoever_is_killed_whenever_every_task_is_done_once_in_order_and_every_vote_carried_out_once(
    tmp_path: Path,
) -> None:
    chance = dice()
    with Site(tmp_path) as site:
        herald = site.start()
        tasks: list[str] = []
        files: list[str] = []
        struck: Counter[str] = Counter()
        for number in range(_ROUNDS):
            files.append(f"{number}.txt")
            tasks.append(herald.enqueue(f"create {number}.txt: {number}"))
            tasks.append(herald.enqueue(chance.choice(["say something", f"sleep {chance.uniform(0.1, 1.5):.1f}"])))
            if chance.random() < 0.4 and herald.call("worker", "ListProposals")["proposals"]:
                try_to_vote(site)
            let_pass(chance.uniform(0.0, 1.5))
            victim = chance.choice(["worker", "gateway", "agent", "cli", "git", "command", "inetd", "everything"])
            if victim in ("agent", "cli"):
                going = [task["id"] for task in herald.status()["running"]]
                if not going or struck[going[0]] == 2 or not herald.pids(victim):
                    victim = "worker"
                else:
                    struck[going[0]] += 1
            if victim == "git" and not herald.pids("git"):
                victim = "gateway"
            if victim != "everything" and not herald.pids(victim):
                continue  # it is being started again at this moment
            print(f"round {number}: {victim} after {site.events.seen[-1]['kind']}")
            herald = strike(site, victim)
        assert herald.ended(tasks[-1], 180) == "done"
        if herald.call("worker", "ListProposals")["proposals"]:
            try_to_vote(site)

        check_each_once(site, tasks)
        pushed = site.pushed()
        updates = [(ref, new) for ref, _old, new in site.remote.updates()]
        assert len(updates) == len(set(updates)) == len(list(site.events.of("proposal.pushed"))), updates
        assert {ref for ref, _new in updates} == {f"refs/heads/{name}" for name in pushed}
        created = [
            subject
            for name in sorted(pushed)
            for subject in git(site.remote.path, "log", "--reverse", "--format=%s", f"main..{name}").splitlines()
        ]
        assert sorted(created) == sorted(f"Create {name}" for name in files), "each commit was pushed on one branch"
        herald.finish()


def try_to_vote(site: Site) -> None:
    """Vote for the newest card; it may be replaced by a newer one at the same moment."""
    try:
        site.herald.vote()
    except HeraldError as error:
        print(f"vote: {error.message}")


def test_while_worker_and_gateway_are_killed_the_agent_does_nothing_twice(tmp_path: Path) -> None:
    chance = dice()
    with Site(tmp_path) as site:
        herald = site.start()
        tasks = []
        for number in range(6):
            tasks += [herald.enqueue(f"note {number}.{part}") for part in range(2)]
            let_pass(chance.uniform(0.0, 1.2))
            victim = chance.choice(["worker", "worker", "gateway"])
            if herald.pids(victim):
                herald = strike(site, victim)
        assert herald.ended(tasks[-1], 120) == "done"
        herald.idle()
        herald.vote()

        check_each_once(site, tasks)
        ((branch, _head),) = site.pushed().items()
        notes = git(site.remote.path, "show", f"{branch}:NOTES.md").splitlines()
        assert notes == [f"note {number}.{part}" for number in range(6) for part in range(2)]
        herald.finish()
