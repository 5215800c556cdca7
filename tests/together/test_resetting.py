"""Clearing a workspace: what goes, what is kept and for how long, and what becomes of the tasks and cards."""

import json
import os
import signal
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest

from herald.bus import blocking
from herald.errors import Busy, Conflict, Denied
from tests.support import processes, repositories
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for
from tests.support.repositories import git


def mirror(site: Site) -> Path:
    return site.state / "worker" / "mirrors" / "sample.git"


def kept(site: Site) -> dict[str, str]:
    """Branches that are kept, and their commits."""
    lines = git(mirror(site), "for-each-ref", "--format=%(refname) %(objectname)", "refs/kept/").splitlines()
    return {ref.split("/", 3)[3]: head for ref, head in (line.split(" ") for line in lines)}


def workspace(site: Site) -> Path:
    return site.state / "agent" / "workspaces" / "sample"


def survey(project: str = "sample") -> dict[str, Any]:
    return blocking.call("worker", "Survey", {"project": project}, deadline=60.0)


def reset(key: str = "") -> dict[str, Any]:
    parameters = {"key": key or uuid.uuid4().hex, "project": "sample"}
    return blocking.call("worker", "Reset", parameters, deadline=60.0)


def stash() -> dict[str, Any]:
    return blocking.call("worker", "Stash", {"project": "sample"}, deadline=60.0)


def unproposed(site: Site, herald: Herald) -> tuple[str, str]:
    """A branch of the agent that nobody proposed, in the workspace alone."""
    assert herald.ended(herald.enqueue("say hello")) == "done"
    base = git(workspace(site), "rev-parse", "HEAD")
    tree = git(workspace(site), "rev-parse", "HEAD^{tree}")
    head = git(workspace(site), "commit-tree", tree, "-p", base, "-m", "Left behind")
    git(workspace(site), "update-ref", "refs/heads/agent/sample-left", head)
    return "agent/sample-left", head


def test_a_survey_tells_size_and_what_is_not_pushed_and_changes_nothing(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        herald.say("create one.txt: 1")
        site.events.wait("proposal.open")
        branch, head = unproposed(site, herald)
        (workspace(site) / "result.bin").write_bytes(b"x" * 100_000)
        found = survey()

        card = herald.proposals()[0]
        assert found["made"]
        assert found["bytes"] > 100_000
        assert found["files"] > 2
        assert found["untracked"] == 1
        assert sorted(found["branches"], key=lambda each: str(each["branch"])) == [
            {"branch": card["branch"], "head": card["head"], "commits": 1, "proposal": card["id"]},
            {"branch": branch, "head": head, "commits": 2, "proposal": ""},
        ]
        assert kept(site) == {}


def test_after_a_reset_ignored_files_are_gone_commits_are_kept_and_the_card_is_still_pushed(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        herald.say("create one.txt: 1")
        site.events.wait("proposal.open")
        branch, head = unproposed(site, herald)
        card = herald.proposals()[0]
        (workspace(site) / "result.bin").write_bytes(b"x")
        before = site.checkout()
        done = reset("k1")

        assert {each["branch"]: each["head"] for each in done["kept"]} == kept(site)
        assert kept(site) == {card["branch"]: card["head"], branch: head}
        wait_for(lambda: (workspace(site) / "README.md").exists(), "the workspace is made anew at once")
        assert not (workspace(site) / "result.bin").exists()
        assert site.checkout() == before
        assert reset("k1") == done, "the same key is one reset"
        assert len(list(site.events.of("workspace.reset"))) == 1
        herald.say("create two.txt: 2", "+1")
        herald.finish()
        ((_, pushed),) = site.pushed().items()
        assert git(site.remote.path, "log", "--format=%s", f"{site.base}..{pushed}") == "Create two.txt\nCreate one.txt"


def test_in_path_mode_the_folder_is_cleaned_and_its_commits_and_branches_stay(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        mine = repositories.commit(site.clone, {"own.txt": "mine\n", ".gitignore": "*.bin\n"}, "Own", branch="topic")
        site.configure(workspace="path")
        herald = site.start()
        (site.clone / "own.txt").write_text("changed\n")
        (site.clone / "new.txt").write_text("untracked\n")
        (site.clone / "result.bin").write_text("ignored\n")
        found = survey()
        assert (found["folder"], found["untracked"], found["uncommitted"]) == (str(site.clone.resolve()), 2, 1)
        reset()

        assert sorted(each.name for each in site.clone.iterdir()) == [".git", ".gitignore", "README.md", "own.txt"]
        assert (site.clone / "own.txt").read_text() == "mine\n"
        assert git(site.clone, "rev-parse", "HEAD", "topic").split() == [mine, mine]
        herald.finish()


def test_while_a_task_runs_nothing_is_cleared_and_the_answer_says_what_ends_it(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        task = herald.enqueue("sleep 60")
        site.events.wait("task.running", task)
        for call in (survey, reset, stash):
            with pytest.raises(Busy, match="!cancel --running"):
                call()
        herald.call("worker", "Cancel", task=task, running=True)
        assert herald.ended(task) == "cancelled"
        herald.idle()
        assert reset()["kept"] == []
        herald.finish()


def test_killed_between_keeping_and_clearing_nothing_is_lost_and_the_reset_is_made_again(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        branch, head = unproposed(site, herald)
        (workspace(site) / "result.bin").write_bytes(b"x")
        herald.idle()
        # The agent's unit is stopped as soon as it is asked to clear: until then the worker has kept everything.
        with UnderWay(herald) as killed:
            killed.wait(lambda: kept(site) == {branch: head})
        assert kept(site) == {branch: head}
        site.events.wait_until(lambda: herald.pids("worker"), "the worker is there again")
        wait_for(lambda: reset("k2"), "it is made again")
        assert kept(site) == {branch: head}
        assert not (workspace(site) / "result.bin").exists()
        assert herald.ended(herald.enqueue("say hello")) == "done"
        herald.finish()


class UnderWay:
    """A reset under way, whose worker is killed when a condition holds."""

    def __init__(self, herald: Herald) -> None:
        self._herald = herald
        self._child = 0

    def __enter__(self) -> "UnderWay":
        self._child = os.fork()
        if self._child == 0:
            try:
                blocking.call("worker", "Reset", {"key": "k2", "project": "sample"}, deadline=30.0)
            finally:
                os._exit(0)
        return self

    def wait(self, condition: Any) -> None:
        wait_for(condition, "the commits are kept")
        self._herald.kill("worker")

    def __exit__(self, *_: object) -> None:
        processes.send(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)


def test_a_workspace_that_cannot_be_read_is_set_aside_and_made_anew(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        branch, _ = unproposed(site, herald)
        git_folder = workspace(site) / ".git"
        (git_folder / "refs" / "heads" / branch).write_text("f" * 40 + "\n")
        found = survey()
        done = reset()

        assert found["problem"]
        assert done["kept"] == []
        assert "its branches could not be read" in done["notes"][0]
        assert done["set_aside"].startswith(f"{workspace(site)}.damaged-")
        assert Path(done["set_aside"], ".git").is_dir()
        wait_for(lambda: (workspace(site) / "README.md").exists(), "the workspace is made anew")
        assert herald.ended(herald.enqueue("say hello")) == "done"
        herald.finish()


def test_stashing_puts_aside_exactly_the_dirty_files_and_the_task_goes_on(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        repositories.commit(site.clone, {"own.txt": "mine\n", ".gitignore": "*.bin\n"}, "Own", branch="topic")
        site.configure(workspace="path")
        herald = site.start()
        (site.clone / "own.txt").write_text("changed\n")
        (site.clone / "new.txt").write_text("untracked\n")
        (site.clone / "result.bin").write_text("ignored\n")
        assert herald.ended(herald.enqueue("create hello.txt: hi")) == "failed"
        assert stash() == {"stashed": True}

        assert git(site.clone, "stash", "show", "--include-untracked", "--name-only").split() == ["new.txt", "own.txt"]
        assert git(site.clone, "status", "--porcelain", "--ignored") == "!! result.bin"
        assert stash() == {"stashed": False}
        assert herald.ended(herald.enqueue("create hello.txt: hi")) == "done"
        herald.finish(None)


def test_after_a_discard_ignored_files_stay_and_the_card_says_what_clears_them(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        herald.say("create .gitignore: *.bin")
        site.events.wait("proposal.open")
        herald.idle()
        (workspace(site) / "result.bin").write_bytes(b"x")
        (workspace(site) / ".git" / "info" / "exclude").write_text("*.bin\n")
        herald.say("-1")
        herald.finish()

        assert "stays in the workspace (1 file or folder); `!reset` clears it." in herald.stdout
        assert (workspace(site) / "result.bin").exists()
        with sqlite3.connect(site.state / "gateway" / "gateway.sqlite") as database:
            rows = database.execute("SELECT actions FROM posts WHERE actions <> ''").fetchall()
        assert rows == [("reset sample",)]


def test_an_own_workspace_has_nothing_to_stash(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.start()
        with pytest.raises(Conflict, match="!reset"):
            stash()


@pytest.mark.parametrize(("role", "may_look"), [("reader", True), ("operator", True), (None, False)])
def test_only_an_approver_clears_and_stashes(tmp_path: Path, role: str | None, may_look: bool) -> None:
    with Site(tmp_path) as site:
        site.start()
        author = {"id": "discord:1", "name": "ada"}
        operators = [{"discord_id": "1", "name": "ada", "role": role}] if role else []
        settings = site.state / "etc" / "herald.yaml"
        settings.write_text(f"operators: {json.dumps(operators)}\n")
        blocking.call("config", "Reload", deadline=60.0)
        for method, parameters in (("Reset", {"key": "k"}), ("Stash", {}), ("Own", {})):
            with pytest.raises(Denied, match="approver"):
                blocking.call("worker", method, {"project": "sample", "author": author, **parameters}, deadline=60.0)
        try:
            seen = bool(blocking.call("worker", "Survey", {"project": "sample", "author": author}, deadline=60.0))
        except Denied:
            seen = False
        assert seen is may_look


def test_after_own_the_folder_stays_as_it_is_and_the_next_task_has_a_clone_of_its_own(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(workspace="path")
        file = site.state / "etc" / "projects" / "sample.yaml"
        file.write_text(f"# ours\n{file.read_text()}# end\n")
        herald = site.start()
        assert herald.ended(herald.enqueue("say hello")) == "done"
        (site.clone / "README.md").write_text("changed\n")
        before, text = tree_of(site.clone), file.read_text()
        herald.say("!own")
        wait_for(lambda: "From now on" in herald.stdout, f"the answer\n{herald.stdout}")
        herald.say("create hello.txt: hi", "+1")
        herald.finish(None)

        assert file.read_text() == text.replace('workspace: "path"', 'workspace: "own"')
        assert tree_of(site.clone) == before
        ((_, head),) = site.pushed().items()
        assert git(site.remote.path, "show", f"{head}:hello.txt") == "hi"
        with sqlite3.connect(site.state / "worker" / "worker.sqlite") as database:
            assert database.execute("SELECT max(crashes) FROM tasks").fetchone() == (0,), "the clone is made in time"


def test_own_waits_for_the_end_of_a_task_that_works_in_the_folder(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(workspace="path")
        file = site.state / "etc" / "projects" / "sample.yaml"
        before = file.read_text()
        herald = site.start()
        task = herald.enqueue("sleep 60")
        site.events.wait("task.running", task)
        with pytest.raises(Busy, match="!cancel --running"):
            blocking.call("worker", "Own", {"project": "sample"}, deadline=60.0)
        assert file.read_text() == before
        herald.call("worker", "Cancel", task=task, running=True)
        assert herald.ended(task) == "cancelled"
        herald.idle()

        assert blocking.call("worker", "Own", {"project": "sample"}, deadline=60.0) == {"changed": True}
        assert blocking.call("worker", "Own", {"project": "sample"}, deadline=60.0) == {"changed": False}
        assert herald.ended(herald.enqueue("create hello.txt: hi")) == "done"
        assert (workspace(site) / "hello.txt").exists()
        herald.finish(None)


def tree_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, git's own too."""
    return {str(each): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
