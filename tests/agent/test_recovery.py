"""What a workspace goes on with, and what it leaves alone: after a change of the folder, a kill, a failure."""

import shutil
from pathlib import Path

import pytest

from tests.agent.place import Instance, Place, git, wait_for
from tests.agent.test_own import kill_orphans
from tests.agent.test_persistence import said, with_base


def killed(place: Place, script: str, made: str, **parameters: str) -> None:
    """A run that was killed with its driver when it had made a file."""
    instance, _ = place.start(f"shell {script}; sleep 60", **parameters)
    instance.receive()
    wait_for((place.tree / made).exists, "work")
    die(instance)


def die(instance: Instance) -> None:
    instance.process.kill()
    instance.wait()
    kill_orphans()


def files_of(folder: Path, branch: str) -> list[str]:
    return git(folder, "ls-tree", "-r", "--name-only", branch).splitlines()


@pytest.mark.parametrize("prepared", [False, True])
def test_changes_that_were_left_in_the_projects_folder_are_not_looked_for_in_an_own_workspace(
    place: Place, prepared: bool
) -> None:
    place.configure(workspace="path", auto_commit=False)
    place.run("shell echo hi > work.txt")
    place.configure()
    if prepared:
        pack = place.history()
        (place.folder / "prepared.pack").write_bytes(pack)
        upstream = {"default_branch": "main", "default_head": place.base}
        assert place.call("Update", base=place.base, have=[], **upstream)["parameters"]["complete"]
    first = place.run("shell ls; echo next > next.txt")
    assert said(first.text) == "README.md\n"
    assert files_of(place.workspace, first.end["branch"]) == ["README.md", "next.txt"]
    assert f"left uncommitted are in {place.clone}, on branch agent/pounce-1" in first.end["message"]
    assert place.run("say hi").end["message"] == ""
    place.configure(workspace="path")
    assert (place.clone / "work.txt").read_text() == "hi\n"
    back = place.run("shell cat work.txt")
    assert (back.end["branch"], back.end["commits"], said(back.text)) == ("agent/pounce-1", 1, "hi\n")
    assert git(place.clone, "branch", "--show-current") == "main"


def test_changes_that_were_left_in_an_own_workspace_wait_there_while_the_folder_is_used(place: Place) -> None:
    place.configure(auto_commit=False)
    place.run("shell echo more >> README.md; git config core.pager evil")
    place.configure(workspace="path")
    other = place.run("create a.txt: a")
    assert f"are in {place.workspace}, on branch agent/pounce-1" in other.end["message"]
    place.configure()
    back = place.run("shell cat README.md")
    assert (said(back.text), back.end["branch"], back.end["commits"]) == ("Pounce\nmore\n", "agent/pounce-1", 1)


def test_a_workspace_that_was_removed_after_a_kill_commits_no_deletions(place: Place) -> None:
    killed(place, "echo 1 > one", "one", branch="agent/pounce-1")
    shutil.rmtree(place.workspace)
    files = place.run("create a.txt: a", branch="agent/pounce-1")
    assert files_of(place.workspace, files.end["branch"]) == ["README.md", "a.txt"]


def test_changes_in_a_workspace_whose_index_is_lost_are_kept_aside_and_named(place: Place) -> None:
    place.configure(auto_commit=False)
    place.run("shell echo more >> README.md")
    (place.state / "agent/checkouts/pounce.index").unlink()
    end = place.run("say hi").end
    (aside,) = (place.state / "agent/workspaces").glob("pounce.damaged-*")
    assert (end["outcome"], f"kept as {aside}" in end["message"]) == ("incomplete", True)
    assert (aside / "README.md").read_text() == "Pounce\nmore\n"
    assert place.run("say hi").end["outcome"] == "ok"
