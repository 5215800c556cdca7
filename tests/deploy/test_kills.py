"""kill -9 of whatever takes part: a deployment is started at most once, and what became of it is told once."""

import signal
from pathlib import Path

import pytest

from tests.deploy.site import DeploySite
from tests.faults.victims import WITH_EVERYTHING, revive
from tests.support import processes
from tests.support.processes import wait_for


def next_worker(site: DeploySite) -> None:
    """kill -9 of the worker; returns when there is another one."""
    killed = site.herald.kill("worker")
    wait_for(lambda: site.herald.pids("worker") not in ([], [killed]), "the next worker")


def check_once(site: DeploySite, *endings: str) -> None:
    """Each deployment was told to begin and to end once."""
    posts = [post["key"].rpartition("-")[2] for post in site.posts()]
    assert posts == ["begun", "ended"] * len(endings)
    assert site.told("deployed", "failed", "nothing", "unknown") == list(endings)
    assert site.docker.is_gone()


def test_one_that_goes_on_is_adopted_by_one_worker_after_the_other(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.docker.order(wait=True, say="building\n")
        site.deploy("key")
        site.docker.call()
        unit = herald.pid("deploy")
        for _ in range(2):
            next_worker(site)
            assert site.deploy("key")["state"] == "deploying"
        assert herald.pid("deploy") == unit
        site.docker.go()
        post = site.ended()

        assert "```\nbuilding\n```" in post["text"]
        assert "found a deployment after a restart: alive" in herald.stderr
        check_once(site, "deployed")
        assert len(site.docker.calls()) == 1
        herald.finish()


def test_one_that_ends_while_no_worker_is_there_is_told_by_the_next(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.docker.order(wait=True)
        site.deploy()
        site.docker.call()
        herald.freeze("worker")
        unit = herald.pid("deploy")
        site.docker.go()
        wait_for(lambda: not processes.lives(unit), "the deployment ends")
        herald.kill("worker")
        site.ended()

        check_once(site, "deployed")
        assert len(site.docker.calls()) == 1
        herald.finish()


def test_the_unit_killed_it_is_not_known_how_it_ended_and_nothing_is_repeated(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.docker.order(wait=True, say="half\n")
        site.deploy()
        site.docker.call()
        wait_for(
            lambda: any(log.read_text() for log in site.state.glob("worker/deployments/*/log")), "the output is there"
        )
        herald.kill("deploy")
        post = site.ended("unknown")

        assert post["text"].startswith(
            f"It is not known how the deployment of sample at {site.base[:12]} ended: the deploy unit ended without a"
            " result. `docker compose -p sample ps` shows what runs; `!deploy` starts it again."
        )
        assert "```\nhalf\n```" in post["text"]
        check_once(site, "unknown")
        assert len(site.docker.calls()) == 1
        site.docker.go()
        site.deploy()
        site.ended()
        check_once(site, "unknown", "deployed")
        herald.finish(1)


@pytest.mark.parametrize("victim", WITH_EVERYTHING)
def test_killed_with_everything_else_it_is_told_at_the_next_start(tmp_path: Path, victim: str) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.docker.order(wait=True)
        site.deploy()
        site.docker.call()
        herald.kill(victim)
        herald = revive(site, victim)
        post = site.ended("unknown")

        words = (
            "Herald was stopped in the middle of it. " if victim == "command" else "Herald or the machine was stopped. "
        )
        assert words in post["text"]
        check_once(site, "unknown")
        assert len(site.docker.calls()) == 1
        herald.finish(1)


def test_stopped_with_herald_it_is_ended_and_told_at_the_next_start(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.docker.order(wait=True)
        site.deploy()
        site.docker.call()
        herald.process.send_signal(signal.SIGTERM)
        herald.wait_until_gone()
        assert site.docker.is_gone()
        herald = site.start()
        post = site.ended("unknown")

        assert "Herald was stopped in the middle of it. " in post["text"]
        check_once(site, "unknown")
        herald.finish(1)


def test_the_worker_killed_before_the_unit_hears_of_it_it_is_started_once(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        herald.say("create hello.txt: hi", "+1")
        site.events.wait("proposal.pushed")
        herald.idle()
        inetd = herald.freeze("inetd")  # who accepts the connection comes too late
        site.deploy("key")
        site.events.wait("deployment.deploying")
        processes.send(herald.pid("worker"), signal.SIGKILL)
        herald.thaw(inetd)
        site.ended()

        assert len(site.docker.calls()) == 1
        assert site.told()[-1] == "deployed"
        check_once(site, "deployed")
        herald.finish()


def test_pushed_and_killed_before_anything_else_it_is_deployed_once(tmp_path: Path) -> None:
    with DeploySite(tmp_path, deploy={"auto_deploy_on_push": True}) as site:
        herald = site.start()
        task = herald.enqueue("create hello.txt: hi")
        assert herald.ended(task) == "done"
        reached, go = site.remote.hold("post-receive")
        herald.vote()
        wait_for(reached.exists, "the remote has taken it")
        next_worker(site)
        go.touch()
        site.ended()

        ((_branch, head),) = site.pushed().items()
        assert [call["environment"]["HERALD_COMMIT"] for call in site.docker.calls()] == [head]
        check_once(site, "deployed")
        herald.finish()


def test_what_the_command_left_running_goes_with_the_unit(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.docker.order(leave=True)
        site.deploy()
        site.ended()

        check_once(site, "deployed")
        herald.finish()


def test_a_unit_that_does_not_come_up_is_told_in_the_end(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        (site.state / "deploy").write_text("in the way")
        site.deploy()
        post = site.ended("failed")

        assert "`journalctl -u 'herald-deploy@*'` says more" in post["text"]
        assert site.docker.calls() == []
        herald.finish(1)
