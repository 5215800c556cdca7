"""What becomes of commits and votes, beyond the plain thread: continued cards, modes of work, moved branches."""

import fcntl
import sqlite3
from pathlib import Path

from tests.support import repositories
from tests.support.herald import Site
from tests.support.processes import wait_for
from tests.support.repositories import git


def dirty(site: Site) -> None:
    """Somebody is at work in the clone: another branch, something staged, something not, something untracked."""
    repositories.commit(site.clone, {"own.txt": "mine\n"}, "Own work", branch="topic")
    (site.clone / "own.txt").write_text("mine, changed\n")
    (site.clone / "staged.txt").write_text("staged\n")
    git(site.clone, "add", "staged.txt")
    (site.clone / "untracked.txt").write_text("untracked\n")


def agent_branches(site: Site) -> list[str]:
    return [name for name in git(site.tree, "branch", "--format=%(refname:short)").split() if name.startswith("agent")]


def test_a_new_task_continues_the_open_card_and_replaces_it(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        herald.say("create one.txt: 1", "create two.txt: 2", "+1", "+1")
        posts = herald.finish(0)

        ((branch, head),) = site.pushed().items()
        assert site.subjects(head) == ["Create one.txt", "Create two.txt"]
        assert "Ready to push — 2 commits. " in posts
        assert len(site.remote.updates()) == 1, "the second vote found nothing to vote on"
        assert "nothing of sample waits for a vote" in posts
        assert agent_branches(site) == [branch]
        assert [each["kind"] for each in site.events.seen if each["kind"].startswith("proposal")] == [
            "proposal.open", "proposal.superseded", "proposal.open", "proposal.approved", "proposal.pushing",
            "proposal.pushed",
        ]  # fmt: skip


def test_in_path_mode_the_checkout_is_put_back(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        repositories.commit(site.clone, {"own.txt": "mine\n"}, "Own work", branch="topic")
        (site.clone / ".git/info/exclude").write_text("ignored.txt\n")
        (site.clone / "ignored.txt").write_text("ignored\n")
        site.configure(workspace="path")
        before = site.checkout()
        herald = site.start()
        herald.say("create hello.txt: hi", "+1", "create other.txt: ho", "-1")
        herald.finish()

        ((_branch, head),) = site.pushed().items()
        assert git(site.remote.path, "show", f"{head}:hello.txt") == "hi"
        after = site.checkout()
        assert {**after, "index": b""} == {**before, "index": b""}  # the index also holds times of files


def test_in_path_mode_a_dirty_tree_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        dirty(site)
        site.configure(workspace="path")
        before = site.checkout()
        herald = site.start()
        herald.say("create hello.txt: hi")
        posts = herald.finish(1)

        assert "has uncommitted changes; commit or stash them there, or say `!stash`" in posts
        assert agent_branches(site) == []
        assert site.checkout() == before
        assert "task failed: 1" in herald.stderr


def test_a_project_that_needs_no_vote_is_pushed_at_once_and_says_so(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(git={"push_requires_approval": False})
        herald = site.start()
        herald.say("create hello.txt: hi")
        posts = herald.finish()

        assert len(site.pushed()) == len(site.remote.updates()) == 1
        assert "This project is open" in posts
        assert "Pushed — agent/sample-" in posts


def test_without_auto_commit_changes_stay_in_the_workspace_and_there_is_no_card(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(git={"auto_commit": False})
        before = site.checkout()
        herald = site.start()
        herald.say("shell echo hi > hello.txt; pwd")
        posts = herald.finish()

        assert (site.tree / "hello.txt").read_text() == "hi\n"
        assert str(site.tree) in posts
        assert "Uncommitted changes stay in the workspace" in posts
        assert "Ready to push" not in posts
        assert site.checkout() == before


def test_with_auto_commit_what_the_agent_left_is_committed_with_the_message(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        herald.say("shell echo hi > hello.txt", "👍🏿")
        herald.finish()

        ((_branch, head),) = site.pushed().items()
        assert site.subjects(head) == ["shell echo hi > hello.txt"]
        assert git(site.remote.path, "show", f"{head}:hello.txt") == "hi"


def test_a_branch_moved_at_the_remote_after_its_card_voids_the_vote(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        herald.say("create hello.txt: hi")
        site.events.wait("proposal.open")
        (branch,) = agent_branches(site)
        foreign = git(site.remote.path, "commit-tree", "-m", "Foreign", "-p", site.base, f"{site.base}^{{tree}}")
        git(site.remote.path, "update-ref", f"refs/heads/{branch}", foreign)
        herald.say("+1")
        posts = herald.finish(1)

        assert site.pushed() == {branch: foreign}
        assert site.remote.updates() == []
        assert f"Not pushed — the vote on {branch} is void: {branch} is at {foreign[:12]}, not at nothing" in posts
        assert "proposal void: 1" in herald.stderr


def test_after_a_void_vote_the_card_says_what_it_takes_the_place_of_and_a_vote_on_that_counts(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        assert herald.ended(herald.enqueue("create hello.txt: hi")) == "done"
        (branch,) = agent_branches(site)
        foreign = git(site.remote.path, "commit-tree", "-m", "Foreign", "-p", site.base, f"{site.base}^{{tree}}")
        git(site.remote.path, "update-ref", f"refs/heads/{branch}", foreign)
        herald.vote()
        herald.idle()

        herald.say("!push")
        site.events.wait("proposal.open", count=2)
        herald.vote()
        posts = herald.finish(1)

        line = f"⚠️ At the remote {branch} is at {foreign[:12]}, which is not Herald's; this takes its place"
        assert line in posts
        assert site.pushed() == {branch: git(site.tree, "rev-parse", branch)}


def test_a_card_is_pushed_though_the_forge_merged_and_deleted_what_was_pushed_of_its_branch_before(
    tmp_path: Path,
) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        assert herald.ended(herald.enqueue("create hello.txt: hi")) == "done"
        (first,) = herald.proposals()
        going, go = tmp_path / "going", tmp_path / "go"
        second = f"touch {going}; while [ ! -e {go} ]; do sleep 0.02; done; echo more > more.txt"
        task = herald.enqueue(f"shell {second}")
        wait_for(going.exists, "the second task runs")
        herald.vote()
        site.events.wait("proposal.pushed")
        git(site.remote.path, "update-ref", "refs/heads/main", first["head"])
        git(site.remote.path, "update-ref", "-d", f"refs/heads/{first['branch']}")
        go.touch()
        assert herald.ended(task) == "done"
        assert herald.proposals()[0]["branch"] == first["branch"]

        herald.vote()
        herald.idle()

        assert site.pushed() == {first["branch"]: herald.proposals()[0]["head"]}
        herald.finish()


def test_a_branch_moved_in_the_workspace_changes_nothing_about_what_is_pushed(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        herald.say("create hello.txt: hi")
        site.events.wait("proposal.open")
        (proposal,) = herald.proposals()
        branch, head = proposal["branch"], proposal["head"]
        moved = git(site.tree, "commit-tree", "-m", "Moved", "-p", head, f"{site.base}^{{tree}}")
        git(site.tree, "update-ref", f"refs/heads/{branch}", moved)
        herald.say("+1")
        herald.finish()

        assert site.pushed() == {branch: head}
        assert git(site.tree, "rev-parse", branch) == moved


def test_a_refused_push_is_told_and_can_be_proposed_again(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        site.remote.refuse("not on a Friday")
        herald.say("create hello.txt: hi", "+1")
        site.events.wait("proposal.refused")
        site.remote.accept()
        herald.say("!push", "+1")
        posts = herald.finish(1)

        assert "not on a Friday" in posts
        assert "Proposed: agent/sample-" in posts
        assert len(site.pushed()) == len(site.remote.updates()) == 1
        assert "proposal pushed: 1, proposal refused: 1" in herald.stderr


def test_a_project_that_herald_git_is_busy_with_does_not_wear_out_the_tries_of_a_push(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        assert herald.ended(herald.enqueue("create one.txt: 1")) == "done"
        with sqlite3.connect(f"file:{site.state}/worker/worker.sqlite?mode=ro", uri=True) as database:
            asked = "SELECT tries FROM proposals WHERE state = 'pushing' AND not_before IS NOT NULL"
            with (site.state / "git/sample.lock").open("rb+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                herald.vote()
                (tries,) = wait_for(lambda: database.execute(asked).fetchone(), "the push is put off")
            assert tries == 0
        database.close()
        herald.idle()
        assert len(site.pushed()) == 1
        herald.finish()


def test_a_remote_that_was_rewritten_as_a_whole_is_told_before_a_run_and_a_vote_against_the_card_mends_it(
    tmp_path: Path,
) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        assert herald.ended(herald.enqueue("create hello.txt: hi")) == "done"
        (proposal,) = herald.proposals()
        other = git(site.remote.path, "commit-tree", "-m", "Anew", f"{site.base}^{{tree}}")
        git(site.remote.path, "update-ref", "refs/heads/main", other)

        assert herald.ended(herald.enqueue("create more.txt: more")) == "failed"
        herald.idle()
        assert (
            "the remote's branch main was rewritten since and has no commit in common with"
            in herald.posts()[-1]["text"]
        )
        assert [each["state"] for each in herald.proposals()] == ["open"]

        herald.vote("reject")
        assert herald.ended(herald.enqueue("create more.txt: more")) == "done"
        herald.vote()
        herald.idle()
        ((branch, head),) = site.pushed().items()
        assert branch != proposal["branch"]
        assert git(site.remote.path, "rev-parse", f"{head}^") == other
        herald.finish(None)
