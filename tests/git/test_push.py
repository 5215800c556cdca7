"""Push: exactly the voted commit, at most once, and only where Herald may."""

import subprocess
import time
from pathlib import Path

import pytest

from herald.errors import Conflict, Failed, Invalid, Unavailable
from tests.git import unit
from tests.git.conftest import Workbench
from tests.support import repositories
from tests.support.repositories import ABSENT, git

BRANCH = "refs/heads/agent/sample-1"


def until(path: Path, instance: unit.Unit) -> None:
    """Wait for a file that a hook of the remote makes."""
    end = time.monotonic() + 30
    while not path.exists():
        assert instance.process.poll() is None, instance.end()
        assert time.monotonic() < end
        time.sleep(0.01)


def start_push(bench: Workbench, head: str, expected: str = "") -> unit.Unit:
    instance = unit.Unit(bench.state)
    parameters = {"project": "sample", "branch": "agent/sample-1", "head": head, "expected": expected}
    instance.send("Push", parameters)
    return instance


def test_exactly_the_voted_commit_is_pushed(bench: Workbench) -> None:
    bench.fetch()
    head = bench.commit()
    repositories.commit(bench.clone, {"later": "not voted on"}, branch="agent/sample-1")
    assert bench.push(head) == ("pushed", "")
    assert bench.remote.heads() == {"main": bench.base, "agent/sample-1": head}
    assert bench.remote.updates() == [[BRANCH, ABSENT, head]]


def test_a_push_needs_no_fetch_before_it(bench: Workbench) -> None:
    head = bench.commit()
    assert bench.push(head) == ("pushed", "")


def test_a_repeated_push_does_nothing_at_the_remote(bench: Workbench) -> None:
    head = bench.commit()
    bench.push(head)
    assert bench.push(head) == ("pushed", "")
    assert bench.push(head, "1" * 40) == ("pushed", "")
    assert len(bench.remote.updates()) == 1


def test_a_branch_that_herald_pushed_is_continued_and_may_be_replaced(bench: Workbench) -> None:
    first = bench.commit("one")
    bench.push(first)
    second = repositories.commit(bench.clone, {"two": "2"})
    mirror = bench.state / "worker" / "mirrors" / "sample.git"
    git(mirror, "index-pack", "--stdin", "--fix-thin", stdin=repositories.pack(bench.clone, second))
    assert bench.push(second, first) == ("pushed", "")
    third = bench.commit("instead")
    assert bench.push(third, second) == ("pushed", "")
    assert bench.remote.heads()["agent/sample-1"] == third


@pytest.mark.parametrize("known", [True, False])
def test_a_branch_moved_by_somebody_else_is_left_alone(bench: Workbench, known: bool) -> None:
    first = bench.commit("one")
    bench.push(first)
    git(bench.clone, "checkout", "--quiet", "-B", "theirs", first)
    theirs = repositories.commit(bench.clone, {"their": "work"})
    git(bench.clone, "push", "--quiet", "origin", "theirs:agent/sample-1")
    if known:
        bench.fetch()
    outcome, reason = bench.push(bench.commit("two"), first)
    assert outcome == "moved"
    assert theirs[:12] in reason
    assert first[:12] in reason
    assert bench.remote.heads()["agent/sample-1"] == theirs


def test_a_branch_that_somebody_made_is_moved_and_it_is_told_where_it_is(bench: Workbench) -> None:
    head = bench.commit()
    git(bench.remote.path, "branch", "agent/sample-1", "main")
    answer = unit.push(bench.state, "agent/sample-1", head, "")
    assert (answer["outcome"], answer["found"]) == ("moved", bench.base)
    assert bench.remote.heads()["agent/sample-1"] == bench.base


def test_a_branch_that_the_remote_has_no_more_is_made_again(bench: Workbench) -> None:
    first = bench.commit("one")
    bench.push(first)
    git(bench.remote.path, "update-ref", "refs/heads/main", first)
    git(bench.remote.path, "branch", "-D", "agent/sample-1")
    second = bench.commit("two")
    assert bench.push(second, first) == ("pushed", "")
    assert bench.remote.heads()["agent/sample-1"] == second


def test_a_branch_that_goes_while_the_push_is_under_way_is_pushed_at_the_next_try(bench: Workbench) -> None:
    first = bench.commit("one")
    bench.push(first)
    second = bench.commit("two")
    reached, go = bench.remote.hold("pre-receive")
    with start_push(bench, second, first) as instance:
        until(reached, instance)
        git(bench.remote.path, "branch", "-D", "agent/sample-1")
        go.touch()
        with pytest.raises(Unavailable, match="changed at the remote during the push"):
            instance.answer()
    bench.remote.accept()
    assert bench.push(second, first) == ("pushed", "")


def test_a_branch_that_moves_while_the_push_is_under_way_is_moved(bench: Workbench) -> None:
    head = bench.commit()
    reached, go = bench.remote.hold("pre-receive")
    with start_push(bench, head) as instance:
        until(reached, instance)
        git(bench.remote.path, "update-ref", BRANCH, bench.base)
        go.touch()
        assert instance.answer()["outcome"] == "moved"
    assert bench.remote.heads()["agent/sample-1"] == bench.base


def test_a_hook_that_refuses_is_quoted(bench: Workbench) -> None:
    bench.remote.refuse("No pushes on a Friday.")
    assert bench.push(bench.commit()) == ("refused", "No pushes on a Friday.")
    assert "agent/sample-1" not in bench.remote.heads()
    bench.remote.accept()
    assert bench.push(bench.commit())[0] == "pushed"


def test_an_update_hook_that_refuses_without_a_word_has_a_reason(bench: Workbench) -> None:
    bench.remote.hook("update", "exit 1")
    outcome, reason = bench.push(bench.commit())
    assert outcome == "refused"
    assert "hook declined" in reason


@pytest.mark.parametrize(
    "branch",
    [
        *("main", "agent/sample", "agent/samples-1", "agent/other-1", "refs/heads/agent/sample-1", "HEAD", ""),
        *("agent/sample-1/../x", "agent/sample-1 x", "agent/sample-a:main", "agent/sample-1.lock", "-agent/sample-1"),
        *("agent/sample-" + "x" * 300, "agent/sample-*", "agent/sample-@{1}", "agent/sample-\n", "+agent/sample-1"),
    ],
)
def test_other_branches_are_never_pushed(bench: Workbench, branch: str) -> None:
    head = bench.commit()
    with pytest.raises(Invalid):
        bench.push(head, branch=branch)
    assert list(bench.remote.heads()) == ["main"]


def test_the_default_branch_is_never_pushed_even_under_the_prefix(bench: Workbench) -> None:
    git(bench.remote.path, "branch", "agent/sample-1", "main")
    git(bench.remote.path, "symbolic-ref", "HEAD", BRANCH)
    with pytest.raises(Invalid, match="default branch"):
        bench.push(bench.commit(), bench.base)
    assert bench.remote.heads()["agent/sample-1"] == bench.base


@pytest.mark.parametrize("head", ["", "main", "HEAD", "1" * 39, ":", "--all"])
def test_only_a_hash_is_pushed(bench: Workbench, head: str) -> None:
    with pytest.raises(Invalid):
        bench.push(head)


def test_a_commit_that_the_worker_lacks_says_what_to_do(bench: Workbench) -> None:
    with pytest.raises(Failed, match="!push"):
        bench.push("1" * 40)
    bench.commit()
    with pytest.raises(Failed, match="!push"):
        bench.push("1" * 40)


def test_a_remote_that_is_absent_is_told(bench: Workbench) -> None:
    head = bench.commit()
    bench.configure(str(bench.folder / "gone.git"))
    with pytest.raises(Failed, match="not a git repository"):
        bench.push(head)
    bench.configure("")
    with pytest.raises(Conflict):
        bench.push(head)


def test_two_pushes_at_once_reach_the_remote_once(bench: Workbench) -> None:
    head = bench.commit()
    with start_push(bench, head) as one, start_push(bench, head) as two:
        assert one.answer()["outcome"] == two.answer()["outcome"] == "pushed"
    assert bench.remote.updates() == [[BRANCH, ABSENT, head]]


def test_two_pushes_of_two_commits_at_once_push_one(bench: Workbench) -> None:
    heads = [bench.commit("one"), bench.commit("two")]
    with start_push(bench, heads[0]) as one, start_push(bench, heads[1]) as two:
        assert sorted([one.answer()["outcome"], two.answer()["outcome"]]) == ["moved", "pushed"]
    assert len(bench.remote.updates()) == 1


@pytest.mark.parametrize("step", ["pre-receive", "update", "post-receive"])
def test_a_push_killed_at_a_step_of_the_remote_is_pushed_once(bench: Workbench, step: str) -> None:
    head = bench.commit()
    if step == "update":
        count = (bench.remote.path / "hooks" / "update").read_text().splitlines()[1]
        reached, go = bench.remote.hold("update")
        held = (bench.remote.path / "hooks" / "update").read_text()
        bench.remote.hook("update", f"{held}\n{count}")
    else:
        reached, go = bench.remote.hold(step)
    with start_push(bench, head) as instance:
        until(reached, instance)
        instance.kill()
    go.touch()
    accepted = "agent/sample-1" in bench.remote.heads()
    assert accepted == (step == "post-receive")
    assert bench.push(head) == ("pushed", "")
    assert bench.remote.heads()["agent/sample-1"] == head
    assert len([update for update in bench.remote.updates() if update[2] == head]) == 1


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2])
def test_a_push_killed_at_any_moment_is_pushed_once(bench: Workbench, after: float) -> None:
    head = bench.commit()
    with start_push(bench, head) as instance:
        time.sleep(after)
        instance.kill()
    before = bench.remote.heads()
    updates = len(bench.remote.updates())
    assert bench.push(head) == ("pushed", "")
    assert bench.remote.heads() == {"main": bench.base, "agent/sample-1": head}
    if "agent/sample-1" in before:
        assert len(bench.remote.updates()) == updates == 1


def test_a_git_that_outlived_its_instance_still_holds_the_project(bench: Workbench) -> None:
    head = bench.commit()
    reached, go = bench.remote.hold("pre-receive")
    with start_push(bench, head) as instance:
        until(reached, instance)
        instance.process.kill()
    with start_push(bench, head) as second:
        with pytest.raises(subprocess.TimeoutExpired):
            second.process.wait(0.5)
        go.touch()
        assert second.answer()["outcome"] == "pushed"
    assert bench.remote.updates() == [[BRANCH, ABSENT, head]]


def test_a_push_whose_caller_went_away_is_finished(bench: Workbench) -> None:
    head = bench.commit()
    reached, go = bench.remote.hold("pre-receive")
    instance = start_push(bench, head)
    until(reached, instance)
    go.touch()
    instance.end()
    assert bench.remote.heads()["agent/sample-1"] == head


def test_half_a_request_does_nothing(bench: Workbench) -> None:
    with unit.Unit(bench.state) as instance:
        instance.send_raw(b'{"method":"io.herald.Git.Push","parameters":{"project":"sample"')
    assert bench.remote.updates() == []


def test_a_damaged_repository_does_not_stop_a_push(bench: Workbench) -> None:
    bench.fetch()
    (bench.own / "HEAD").unlink()
    head = bench.commit()
    assert bench.push(head) == ("pushed", "")
    assert len(list(bench.own.parent.glob("sample.git.damaged-*"))) == 1


def test_nothing_of_the_worker_s_repository_is_run_or_obeyed(bench: Workbench) -> None:
    head = bench.commit()
    mirror = bench.state / "worker" / "mirrors" / "sample.git"
    witness = bench.folder / "witness"
    repositories.hostile_settings(mirror, witness)
    assert bench.push(head)[0] == "pushed"
    bench.fetch()
    assert not witness.exists()
    git(mirror, "push", "--quiet", str(bench.remote.path), f"{head}:refs/heads/other")
    assert "pre-push" in witness.read_text(), "the trap was not armed"


def test_nothing_of_the_workspace_is_run_or_obeyed(bench: Workbench) -> None:
    witness = bench.folder / "witness"
    head = bench.commit()
    repositories.hostile_settings(bench.clone / ".git", witness)
    assert bench.push(head, HOME=str(bench.clone), PWD=str(bench.clone))[0] == "pushed"
    bench.fetch()
    assert not witness.exists()
    git(bench.clone, "status")
    assert "fsmonitor" in witness.read_text(), "the trap was not armed"


def test_a_state_folder_with_a_colon_and_a_quote_in_its_name_works(tmp_path: Path) -> None:
    bench = Workbench(tmp_path / 'a:b "c"')
    head = bench.commit()
    assert bench.push(head) == ("pushed", "")
