"""Broken configuration and unusable workspaces in a whole Herald: told with the next step, the service alive."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import repositories
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for
from tests.support.repositories import git

_FAULTS = {
    "broken YAML": ("name: sample\npath: [\n", "sample.yaml:"),
    "unknown key": ("name: sample\npath: {path}\nworkspce: worktree\n", "workspace"),
    "bad cron": ('name: sample\npath: {path}\nschedule:\n  - cron: "61 * * * *"\n', "cron"),
    "never due": ('name: sample\npath: {path}\nschedule:\n  - cron: "0 8 31 2 *"\n', "cron"),
    "relative path": ("name: sample\npath: here\n", "path"),
}


def project_file(site: Site) -> Path:
    return site.state / "etc" / "projects" / "sample.yaml"


def check_alive(site: Site, herald: Herald, name: str) -> None:
    task = herald.enqueue(f"create {name}.txt: x")
    assert herald.ended(task) == "done"


def break_and_mend(site: Site, name: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Break the project's file, see that it is told, and put it right again."""
    good = project_file(site).read_text()
    before = len(told(site.herald))
    text, words = _FAULTS[name]
    project_file(site).write_text(text.replace("{path}", str(site.clone)))
    errors: list[str] = wait_for(lambda: site.herald.status()["config_errors"], f"{name} is noticed")
    assert any("sample.yaml" in each and words in each for each in errors), (name, errors)
    assert "configuration broken, last good one in force" in site.herald.status()["duty"]
    assert words in wait_for(lambda: told(site.herald)[before:], f"{name} is posted")[0]
    assert not site.herald.call("config", "Reload")["applied"]
    meanwhile()
    project_file(site).write_text(good)
    wait_for(lambda: not site.herald.status()["config_errors"], f"{name} is mended")


def told(herald: Herald) -> list[str]:
    return [post["text"] for post in herald.posts() if "is broken" in post["text"]]


def test_a_broken_file_is_told_where_the_operator_looks_and_the_last_good_one_stays_over_a_restart(
    tmp_path: Path,
) -> None:
    with Site(tmp_path) as site:
        generation = site.start().status()["config_generation"]

        def restart() -> None:
            check_alive(site, site.herald, "alive")
            site.herald.finish()
            herald = site.start()
            assert "the one before stays in force" in herald.stderr
            check_alive(site, herald, "restarted")

        for name in (*_FAULTS, "bad cron", "bad cron"):
            break_and_mend(site, name, restart if name == "unknown key" else lambda: None)
        assert site.herald.status()["config_generation"] >= generation
        site.herald.say("!reload", "!nonsense")
        assert "in force" in site.herald.finish()


def test_what_somebody_else_had_compiled_counts_as_mended(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        good = project_file(site).read_text()
        project_file(site).write_text("name: [\n")
        wait_for(lambda: herald.status()["config_errors"], "it is noticed")
        project_file(site).write_text(good)
        assert herald.call("config", "Reload")["applied"]
        wait_for(lambda: not herald.status()["config_errors"], "it is forgotten", 20)


def test_a_snapshot_damaged_under_way_is_compiled_anew_by_the_next_worker(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        snapshot = site.state / "config" / "snapshot.json"
        herald.idle()
        herald.freeze("worker")
        wait_for(lambda: not herald.pids("config"), "nobody is compiling")
        snapshot.write_bytes(snapshot.read_bytes()[:-20])
        herald.kill("worker")
        check_alive(site, herald, "after")
        assert "snapshot.json is damaged" in herald.stderr
        assert list(snapshot.parent.glob("snapshot.json.damaged-*"))
        herald.finish()


def test_a_snapshot_damaged_under_way_costs_a_task_no_attempt(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        snapshot = site.state / "config" / "snapshot.json"
        herald.idle()
        wait_for(lambda: not herald.pids("config"), "nobody is compiling")
        snapshot.write_bytes(snapshot.read_bytes()[:-20])
        check_alive(site, herald, "after")
        assert not any("broke off" in post["text"] for post in herald.posts())
        assert wait_for(lambda: list(snapshot.parent.glob("snapshot.json.damaged-*")), "it is compiled anew")
        herald.finish()


def rebase(site: Site) -> Callable[[], object]:
    marker = site.clone / ".git" / "rebase-merge"
    marker.mkdir()
    return marker.rmdir


def no_repository(site: Site) -> Callable[[], object]:
    hidden = site.clone / ".git.away"
    (site.clone / ".git").rename(hidden)
    return lambda: hidden.rename(site.clone / ".git")


def missing(site: Site) -> Callable[[], object]:
    away = site.folder / "away"
    site.clone.rename(away)
    return lambda: away.rename(site.clone)


def no_remote(site: Site) -> Callable[[], object]:
    away = site.folder / "away.git"
    site.remote.path.rename(away)
    return lambda: away.rename(site.remote.path)


def empty(site: Site) -> Callable[[], object]:
    hidden = site.folder / "hidden"
    shutil.copytree(site.clone, hidden)
    shutil.rmtree(site.clone / ".git")
    git(site.clone, "init", "--quiet", ".")

    def back() -> None:
        shutil.rmtree(site.clone)
        hidden.rename(site.clone)

    return back


@pytest.mark.parametrize("workspace", ["own", "path"])
def test_an_unusable_folder_fails_the_task_of_path_mode_with_what_to_do_and_is_used_again_when_mended(
    tmp_path: Path, workspace: str
) -> None:
    faults = {
        rebase: "--continue` or `--abort",
        no_repository: "is no git repository",
        missing: "is missing; clone the project there",
        no_remote: "",
        empty: "",
    }
    with Site(tmp_path) as site:
        site.configure(workspace=workspace)
        herald = site.start()
        check_alive(site, herald, "first")
        failed = []
        for fault, words in faults.items():
            mend = fault(site)
            task = herald.enqueue(f"create {fault.__name__}.txt: x")
            bears_it = workspace == "own" and fault is not no_remote
            assert herald.ended(task) == ("done" if bears_it else "failed"), fault
            shown = herald.task(task)
            assert bears_it or words in shown["summary"], (fault, shown)
            if shown["state"] == "failed":
                failed.append(task)
                herald.idle()
                said = [post["text"] for post in herald.posts() if post["text"].startswith(f"Task {task} failed")]
                assert len(said) == 1
                assert len(said[0]) < 600, said
                print(f"{workspace}, {fault.__name__}: {said[0]}")
            mend()
            check_alive(site, herald, fault.__name__)
        assert len(failed) == (1 if workspace == "own" else 5)
        herald.finish(1)


def test_a_clone_that_was_emptied_gets_all_it_lacks_and_the_message_is_not_lost(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(workspace="path")
        herald = site.start()
        check_alive(site, herald, "first")
        empty(site)
        repositories.commit(site.clone, {"a": "a"}, "Another beginning")
        task = herald.enqueue("create second.txt: x")
        assert herald.ended(task) == "done"
        assert any("lacks" in post["text"] for post in herald.posts())
        herald.finish()


def test_a_project_that_is_taken_out_of_the_configuration_fails_its_tasks_with_a_reason(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        running = herald.enqueue("sleep 2")
        queued = herald.enqueue("say never")
        site.events.wait("task.running", running)
        text = project_file(site).read_text()
        project_file(site).write_text(f"{text}enabled: false\n")
        wait_for(lambda: not herald.call("worker", "ListProjects")["projects"][0]["enabled"], "it is disabled")

        assert herald.ended(running) == "done"
        assert herald.ended(queued) == "failed"
        assert "is disabled; bring it back and send the message again" in herald.task(queued)["summary"]
        herald.say("say refused")
        assert "sample is disabled" in herald.finish(1)


def test_a_rebase_in_the_clone_is_no_concern_of_an_own_workspace(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        base = git(site.clone, "rev-parse", "HEAD")
        repositories.commit(site.clone, {"README.md": "one\n"}, "One", branch="one")
        git(site.clone, "checkout", "--quiet", "-b", "two", base)
        repositories.commit(site.clone, {"README.md": "two\n"}, "Two")
        subprocess.run(["git", "rebase", "one"], cwd=site.clone, env=repositories.environment(), capture_output=True)
        assert (site.clone / ".git/rebase-merge").is_dir()
        before = site.checkout()
        herald = site.start()
        herald.say("create x.txt: x")
        assert "Ready to push" in herald.finish(0)
        assert site.checkout() == before
