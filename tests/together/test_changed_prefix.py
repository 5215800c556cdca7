"""A prefix that was changed as Herald advised: what was made before is pushed under a name below the new one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.herald import Herald, Site
from tests.support.repositories import git


def change(site: Site, herald: Herald, prefix: str) -> None:
    site.configure(git={"branch_prefix": prefix})
    herald.call("config", "Reload")


def propose(herald: Herald) -> list[str]:
    answer = herald.call("worker", "Propose", key=f"push-{len(herald.proposals())}", project="sample")
    return [str(each["branch"]) for each in answer["proposals"]]


def renamed(branch: str) -> str:
    return branch.replace("agent/old", "bot/new")


@contextlib.contextmanager
def with_a_card(folder: Path) -> Iterator[tuple[Site, Herald]]:
    """An open card whose branch is below `agent/old`."""
    with Site(folder) as site:
        site.configure(git={"branch_prefix": "agent/old"})
        herald = site.start()
        assert herald.ended(herald.enqueue("create one.txt: 1")) == "done"
        yield site, herald


def test_a_protected_prefix_is_changed_as_advised_and_the_work_is_pushed_under_the_new_one(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(git={"branch_prefix": "agent/old"})
        herald = site.start()
        site.remote.hook("update", 'case "$1" in refs/heads/agent/*) echo "GH006: Protected branch" >&2; exit 1;; esac')
        assert herald.ended(herald.enqueue("create one.txt: 1")) == "done"
        (refused,) = herald.proposals()
        herald.vote()
        herald.idle()
        assert "set git.branch_prefix" in herald.proposals()[0]["reason"]

        change(site, herald, "bot/new")
        assert propose(herald) == [renamed(refused["branch"])]
        assert propose(herald) == []
        herald.vote()
        herald.idle()

        assert site.remote.heads()[renamed(refused["branch"])] == refused["head"]
        assert propose(herald) == []
        herald.finish(None)


def test_an_open_card_of_the_old_prefix_is_replaced_and_the_vote_against_it_removes_the_branch(tmp_path: Path) -> None:
    with with_a_card(tmp_path) as (site, herald):
        (card,) = herald.proposals()
        change(site, herald, "bot/new")

        assert propose(herald) == [renamed(card["branch"])]
        assert [each["state"] for each in herald.proposals()] == ["open", "superseded"]
        herald.vote("reject")
        herald.idle()

        assert herald.proposals()[0]["state"] == "discarded"
        assert git(site.tree, "branch", "--list", "agent/*", "bot/*") == ""
        assert propose(herald) == []
        herald.finish(None)


def test_a_vote_on_a_card_of_the_old_prefix_says_what_brings_it_on(tmp_path: Path) -> None:
    with with_a_card(tmp_path) as (site, herald):
        change(site, herald, "bot/new")
        herald.vote()
        herald.idle()

        (card,) = herald.proposals()
        assert (card["state"], card["reason"]) == ("refused", "`git.branch_prefix` is bot/new now")
        assert propose(herald) == [renamed(card["branch"])]
        herald.finish(None)


def test_a_task_that_continues_a_card_of_the_old_prefix_goes_on_below_the_new_one(tmp_path: Path) -> None:
    with with_a_card(tmp_path) as (site, herald):
        (card,) = herald.proposals()
        change(site, herald, "bot/new")
        assert herald.ended(herald.enqueue("create two.txt: 2")) == "done"
        herald.vote()
        herald.idle()

        assert [each["state"] for each in herald.proposals()] == ["pushed", "superseded"]
        assert site.files(renamed(card["branch"])) == ["README.md", "one.txt", "two.txt"]
        assert propose(herald) == []
        herald.finish(None)
