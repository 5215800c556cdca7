"""From a push or a command to containers that run, and what people are told of it."""

import shutil
from pathlib import Path

import pytest

from herald.errors import Conflict, Denied, NotFound
from tests.deploy.site import DeploySite
from tests.deploy.standin import TOKEN
from tests.support.processes import wait_for


def test_before_the_first_push_the_remotes_default_branch_is_deployed(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.docker.order(say="building\nstarted\n")
        head = site.publish({"late.txt": "pushed after the clone"})
        herald.say("!deploy")
        posts = herald.finish()

        (call,) = site.docker.calls()
        assert call["environment"]["HERALD_COMMIT"] == head
        assert call["files"]["late.txt"] == "pushed after the clone"
        assert f"Deploying sample at {head[:12]}: `{site.docker.command} up --build -d`\n" in posts
        assert f"[sample] Deployed — sample at {head[:12]}, in " in posts
        assert "building\n[sample]   started\n" in posts
        assert "deployment deployed: 1" in herald.stderr


def test_what_was_pushed_last_is_deployed_and_not_what_lies_in_the_clone(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        herald.say("create hello.txt: voted", "+1")
        site.events.wait("proposal.pushed")
        ((_branch, head),) = site.pushed().items()
        (site.clone / "compose.yaml").write_text("services: {evil: {image: evil}}\n")
        (site.clone / "hello.txt").write_text("not voted\n")
        site.publish({"hello.txt": "on the default branch"})
        asked = site.deploy()
        site.ended()

        assert (asked["head"], asked["state"]) == (head, "waiting")
        (call,) = site.docker.calls()
        assert call["environment"]["HERALD_COMMIT"] == head
        assert call["files"]["hello.txt"].strip() == "voted"
        assert not any(str(site.clone) in word for word in call["argv"])
        herald.finish()


@pytest.mark.parametrize("voted", [True, False])
def test_after_a_push_it_is_deployed_by_itself_if_so_configured(tmp_path: Path, voted: bool) -> None:
    with DeploySite(tmp_path, deploy={"auto_deploy_on_push": True}, git={"push_requires_approval": voted}) as site:
        herald = site.start()
        herald.say("create hello.txt: hi", *(["+1"] if voted else []))
        posts = herald.finish()

        ((_branch, head),) = site.pushed().items()
        assert [call["environment"]["HERALD_COMMIT"] for call in site.docker.calls()] == [head]
        assert site.told() == ["waiting", "deploying", "deployed"]
        assert (
            posts.index("Pushed — agent/sample-") < posts.index("Deploying sample") < posts.index("Deployed — sample")
        )


def test_without_that_a_push_deploys_nothing(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        herald.say("create hello.txt: hi", "+1")
        herald.finish()
        assert len(site.pushed()) == 1
        assert (site.docker.calls(), site.told()) == ([], [])


def test_a_commit_without_a_compose_file_is_nothing_to_deploy(tmp_path: Path) -> None:
    with DeploySite(tmp_path, compose=False) as site:
        herald = site.start()
        site.deploy()
        post = site.ended("nothing")

        assert post["text"] == (
            f"Nothing to deploy — sample at {site.base[:12]}: the commit has none of compose.yaml, compose.yml,"
            " docker-compose.yml, docker-compose.yaml; `deploy.compose_path` of the project names another file."
        )
        assert site.docker.calls() == []
        herald.finish()


def test_a_failure_is_told_with_the_end_of_its_output_and_what_to_do(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.docker.order(say=f"first\n\x1b[31mERROR\x1b[0m: no such image\rlogin with {TOKEN} failed\n", exit=17)
        site.deploy()
        post = site.ended("failed")

        first, *block = post["text"].splitlines()
        assert first.startswith(
            f"Not deployed — sample at {site.base[:12]}: `{site.docker.command} up --build -d` ended"
        )
        assert "exit code 17. There is no container socket" in first
        assert first.endswith("When that is mended, `!deploy` starts it again.")
        assert block == ["```", "first", "login with [secret] failed", "```"]
        assert post["last"]
        assert TOKEN not in herald.finish(1) + herald.stderr


def test_a_long_output_is_a_file_with_its_end_and_no_half_secret(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        lines = "".join(f"step {number} of many, {TOKEN}\n" for number in range(20_000))
        site.docker.order(say=f"{lines}done\n")
        site.deploy()
        post = site.ended()

        text = Path(post["file"]).read_text()
        assert text.endswith("step 19999 of many, [secret]\ndone\n")
        assert text.startswith("…\nstep ")
        assert 15_000 < len(text) < 17_000
        assert "ghp_" not in text
        herald.finish()


def test_deployments_of_one_project_come_one_after_the_other(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.docker.order(wait=True)
        first, second = site.deploy("one"), site.deploy("two")
        site.docker.call()
        assert (site.deploy("one")["id"], site.deploy("two")["id"]) == (first["id"], second["id"])
        assert [site.deploy(key)["state"] for key in ("one", "two")] == ["deploying", "waiting"]
        assert herald.status()["deployments"] == 2
        site.docker.go()
        site.ended(count=2)

        assert site.told() == ["waiting", "waiting", "deploying", "deployed", "deploying", "deployed"]
        assert [post["text"][:8] for post in site.posts()] == ["Deployin", "Deployed"] * 2
        assert len(site.docker.calls()) == 2
        herald.finish()


def test_who_is_no_approver_may_not_deploy(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        for person in ("discord:1", "discord:2"):
            author = {"id": person, "name": "Eve"}
            with pytest.raises(Denied, match="Eve may not deploy in sample"):
                herald.call("worker", "Deploy", key=person, project="sample", author=author)
        with pytest.raises(NotFound):
            herald.call("worker", "Deploy", key="k", project="nobody")
        assert (site.told(), site.docker.calls()) == ([], [])
        herald.finish()


def test_a_disabled_project_is_not_deployed(tmp_path: Path) -> None:
    with DeploySite(tmp_path, enabled=False) as site:
        herald = site.start()
        with pytest.raises(Conflict, match="sample is disabled"):
            site.deploy()
        herald.finish()


def test_a_remote_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.remote.path.rename(tmp_path / "away")
        site.deploy()
        post = site.ended("failed")
        assert post["text"].startswith("Not deployed — sample: ")
        assert "`!deploy` starts it again" in post["text"]
        (tmp_path / "away").rename(site.remote.path)
        herald.finish(1)


def test_what_a_commit_says_about_exports_does_not_count(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        site.publish(
            {".gitattributes": "web/* export-ignore\nv.txt export-subst\n", "web/a": "a", "v.txt": "$Format:%H$"}
        )
        site.deploy()
        site.ended()

        files = site.docker.call()["files"]
        assert (files["web/a"], files["v.txt"]) == ("a", "$Format:%H$")
        herald.finish()


def test_a_commit_with_a_link_out_of_its_tree_is_not_deployed(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        (tmp_path / "seed" / "etc").symlink_to("/etc")
        site.publish({"more.txt": "x"})
        site.deploy()
        assert "the symbolic link 'etc' leads out of the tree" in site.ended("failed")["text"]
        assert site.docker.calls() == []
        herald.finish(1)


def test_a_pushed_commit_that_the_worker_has_lost_is_told(tmp_path: Path) -> None:
    with DeploySite(tmp_path) as site:
        herald = site.start()
        herald.say("create hello.txt: hi", "+1")
        site.events.wait("proposal.pushed")
        ((_branch, head),) = site.pushed().items()
        killed = herald.kill("worker")
        shutil.rmtree(site.state / "worker" / "mirrors")
        wait_for(lambda: herald.pids("worker") not in ([], [killed]), "the next worker")
        site.deploy()
        text = site.ended("failed")["text"]

        assert f"commit {head[:12]} is not in the worker's mirror any more" in text
        assert site.docker.calls() == []
        herald.finish(1)
