"""kill -9 between the remote's acceptance and Herald's record, and just before: one push, and the card says so."""

from pathlib import Path

import pytest

from tests.faults.victims import WITH_EVERYTHING, revive
from tests.support.herald import Site
from tests.support.processes import wait_for


@pytest.mark.parametrize("victim", ["worker", "git", "gateway", "command", "inetd"])
def test_killed_while_the_remote_decides_the_push_is_made_once_and_told(tmp_path: Path, victim: str) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        for number, hook in enumerate(["pre-receive", "post-receive"], 1):
            task = herald.enqueue(f"create {hook}.txt: x")
            assert herald.ended(task) == "done"
            reached, go = site.remote.hold(hook)
            herald.vote()
            wait_for(reached.exists, f"{hook} is reached")
            accepted = len(site.pushed())
            herald.kill(victim)
            if victim in WITH_EVERYTHING:
                herald.wait_until_gone()
            go.touch()
            herald = revive(site, victim)
            site.events.wait("proposal.pushed", task)
            herald.idle()

            assert accepted == (number if hook == "post-receive" else number - 1), "the kill came where it was meant"
            assert len(site.pushed()) == len(site.remote.updates()) == number
            card = [post for post in herald.posts() if post["kind"] == "card"][-1]
            assert card["text"].startswith("Pushed — agent/sample-")
            site.remote.accept()
        assert len(list(site.events.of("proposal.pushed"))) == 2
        herald.finish()
