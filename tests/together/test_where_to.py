"""Where work is pushed to: what the clone says, what the card shows, and what is said before a run."""

from pathlib import Path

from tests.support import repositories
from tests.support.herald import Site
from tests.support.repositories import Remote, git

_SSH = """#!/bin/sh
for last in "$@"; do :; done
case "$last" in
git-receive-pack*) echo "ERROR: The key you are authenticating with has been marked as read only." >&2; exit 1;;
esac
eval "exec $last"
"""


def fork(site: Site) -> Remote:
    return Remote(site.folder / "fork.git")


def of_agent(remote: Remote) -> list[str]:
    return [name for name in remote.heads() if name.startswith("agent/")]


def test_work_goes_to_the_push_url_and_the_card_names_both(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        place = fork(site)
        git(site.clone, "remote", "set-url", "--push", "origin", "../fork.git")
        herald = site.start()
        herald.say("create hello.txt: hi", "+1")
        posts = herald.finish()

        assert f"To `{place.path}`, from `{site.remote.path}`" in posts
        (branch,) = of_agent(place)
        assert git(place.path, "rev-parse", f"{branch}~1") == site.base
        assert site.pushed() == {}


def test_a_card_shows_the_remote_also_when_it_is_the_only_one(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        herald.say("create hello.txt: hi", "-1")

        assert f"  To `{site.remote.path}`\n" in herald.finish()


def test_addresses_are_rewritten_as_git_does_by_the_clone_s_and_the_person_s_configuration(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        place = fork(site)
        git(site.clone, "remote", "set-url", "origin", "mine:remote.git")
        git(site.clone, "config", f"url.{tmp_path}/.insteadOf", "mine:")
        (tmp_path / ".gitconfig").write_text(f'[url "{place.path}"]\n\tpushInsteadOf = mine:remote.git\n')
        herald = site.start()
        herald.say("create hello.txt: hi", "+1")
        posts = herald.finish()

        assert f"To `{place.path}`, from `{site.remote.path}`" in posts
        assert len(of_agent(place)) == 1
        assert site.pushed() == {}


def test_a_project_that_cannot_be_pushed_says_so_and_keeps_the_card_until_it_can(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        git(site.clone, "remote", "set-url", "--push", "origin", "DISABLED")
        herald = site.start()
        herald.say("create hello.txt: hi", "create two.txt: 2", "+1", "!push")
        site.events.wait("proposal.open", count=2)
        problem = f"the clone {site.clone} has the push URL DISABLED; set git.push_url in "
        posts = herald.finish(1)

        assert posts.index(f"sample cannot be pushed: {problem}") < posts.index("Ready to push")
        assert posts.count("Tasks run, and their commits wait as cards.") == 1
        assert posts.count(f"Cannot be pushed: {problem}") == 2
        assert posts.count("Ready to push — 1 commit. Create hello.txt") == 1
        assert "The card stays open" in posts
        assert f"git.push_url: nothing can be pushed: {problem}" in herald.stderr
        assert site.remote.updates() == []

        file = site.state / "etc" / "projects" / "sample.yaml"
        file.write_text(f"{file.read_text()}git: {{push_url: '{site.remote.path}'}}\n")
        again = site.start()
        again.say("+1")
        posts = again.finish()

        assert "Pushed — agent/sample-" in posts
        assert "annot be pushed" not in posts
        assert len(site.pushed()) == 1


def test_a_problem_that_was_mended_is_told_again_when_it_comes_back(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        counts = []
        for url in ("none", "none", str(site.remote.path), "none"):
            site.configure(git={"push_url": url})
            herald.call("config", "Reload")
            assert herald.ended(herald.enqueue("say hello")) == "done"
            herald.idle()
            counts.append(sum("Tasks run, and their commits wait" in post["text"] for post in herald.posts()))
        herald.finish(None)

        assert counts == [1, 1, 1, 2]


def test_a_card_that_cannot_be_pushed_is_discarded_as_any_other(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(git={"push_url": "none", "push_requires_approval": False})
        herald = site.start()
        herald.say("create hello.txt: hi", "-1")
        posts = herald.finish()

        assert "Cannot be pushed: git.push_url in " in posts
        assert "Discarded — agent/sample-" in posts
        assert site.pushed() == {}


def test_a_branch_in_the_way_fails_a_task_before_its_run(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        git(site.remote.path, "branch", "agent", "main")
        herald = site.start()
        herald.say("create hello.txt: hi")
        posts = herald.finish(1)

        assert "the remote has a branch agent, so that no branch agent/sample-... can be made there" in posts
        assert "set git.branch_prefix to a name that does not begin with agent/" in posts
        assert [each for each in site.events.seen if each["kind"] == "task.running"] == []


def test_a_key_that_may_only_read_is_told_once_before_the_work(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "ssh").write_text(_SSH)
    (programs / "ssh").chmod(0o755)
    with Site(tmp_path / "site") as site:
        git(site.clone, "remote", "set-url", "origin", f"git@h:{site.remote.path}")
        site.environment["PATH"] = f"{programs}:{_path_of(site)}"
        herald = site.start()
        herald.say("create hello.txt: hi", "create two.txt: 2", "+1")
        posts = herald.finish(1)

        assert posts.count("What is made now cannot be pushed as things are: git@h:") == 1
        assert posts.index("What is made now cannot be pushed") < posts.index("Ready to push")
        assert "marked as read only" in posts
        assert "Not pushed — agent/sample-" in posts


def _path_of(site: Site) -> str:
    return f"{repositories.environment()['PATH']}:/nonexistent/{site.mark}"
