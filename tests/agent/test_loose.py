"""What the agent commits on no branch, or in a working tree of its own making."""

import pytest

from tests.agent.place import Place, git

WORK = "echo a > a.txt; git add a.txt; git commit -qm 'Detached work'"


@pytest.mark.parametrize("workspace", ["own", "path"])
def test_commits_on_no_branch_get_one_and_are_named(place: Place, workspace: str) -> None:
    place.configure(workspace=workspace)
    end = place.run(f"shell git checkout -q --detach; {WORK}").end
    assert "What the agent committed on no branch is on agent/pounce-1-2 now; `!push` proposes it." in end["message"]
    assert end["commits"] == 0
    assert place.show("agent/pounce-1-2", "a.txt") == "a"
    again = place.run(f"shell git checkout -q --detach; {WORK}; git branch -D -q agent/pounce-2").end
    assert "is on agent/pounce-2-2 now" in again["message"]
    assert place.branches().count("agent/pounce-2-2") == 1
    assert git(place.tree, "fsck", "--no-dangling") == ""


@pytest.mark.parametrize("state", ["HEAD", "origin/main", "agent/pounce-1"])
def test_a_commit_that_is_kept_anyway_gets_no_branch(place: Place, state: str) -> None:
    place.run(f"shell {WORK}")
    end = place.run(f"shell git checkout -q --detach {state}", default_branch="main", default_head=place.base).end
    assert end["message"] == "The agent left branch agent/pounce-2; only what is on that branch was taken."
    assert place.branches() == ["agent/pounce-1"]


def test_commits_on_no_branch_in_a_linked_working_tree_get_one(place: Place) -> None:
    end = place.run(f"shell git worktree add -q --detach wt; cd wt; {WORK}").end
    assert "is on agent/pounce-1-2 now" in end["message"]
    assert place.show("agent/pounce-1-2", "a.txt") == "a"
