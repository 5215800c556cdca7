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


MADE = {
    "a linked working tree": "git worktree add -q .worktrees/foo -b foo",
    "a linked working tree deep down": "mkdir -p x/y && git worktree add -q x/y/foo -b foo",
    "a new repository": "git init -q sub && echo s > sub/s",
    "a new repository with a commit": "git init -q a/b && cd a/b && echo s > s && git add s && git commit -qm S",
    "a clone": "git clone -q . x/clone",
    "a repository in a repository": "git clone -q . z && git init -q z/y && echo s > z/y/s",
    "a repository without a head": "git init -q sub && echo s > sub/s && rm sub/.git/HEAD",
}


@pytest.mark.parametrize("workspace", ["own", "path"])
@pytest.mark.parametrize("kind", MADE)
def test_a_repository_that_the_agent_makes_in_its_workspace_is_left_out_and_named(
    place: Place, kind: str, workspace: str
) -> None:
    place.configure(workspace=workspace)
    end = place.run(f"shell ({MADE[kind]}); mkdir -p x; echo t > t; echo u > x/u").end
    assert git(place.tree, "ls-tree", "-r", "--name-only", end["head"]).split() == ["README.md", "t", "x/u"]
    assert "Not taken, because they are repositories of their own: " in end["message"]


def test_a_tracked_folder_is_no_repository_of_its_own_whatever_lies_in_it(place: Place) -> None:
    place.run("shell mkdir d; echo d > d/d")
    command = "git worktree add -q d/w; git init -q d; echo e > d/e; echo d >> d/d"
    end = place.run(f"shell {command}", base=git(place.tree, "rev-parse", "HEAD")).end
    assert "Not taken, because they are repositories of their own: d/w/." in end["message"]
    assert git(place.tree, "show", f"{end['head']}:d/d").split() == ["d", "d"]
    assert git(place.tree, "show", f"{end['head']}:d/e") == "e"


def test_commits_on_no_branch_in_a_linked_working_tree_get_one(place: Place) -> None:
    end = place.run(f"shell git worktree add -q --detach wt; cd wt; {WORK}").end
    assert "is on agent/pounce-1-2 now" in end["message"]
    assert place.show("agent/pounce-1-2", "a.txt") == "a"
