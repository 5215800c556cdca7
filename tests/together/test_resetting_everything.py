"""A reset loses nothing that nobody else has: branches of any name, commits in submodules, large files."""

import shutil
from pathlib import Path

import pytest

from tests.support import repositories
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for
from tests.support.repositories import git
from tests.together.test_resetting import kept, mirror, reset, survey, workspace
from tests.together.test_submodules import Family

COMMIT = "echo mine > mine.txt && git add mine.txt && git commit -qm Mine"


def shell(herald: Herald, script: str) -> None:
    assert herald.ended(herald.enqueue(f"shell {script}")) == "done"
    herald.idle()


def test_branches_that_are_not_below_the_prefix_are_listed_and_kept(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        shell(herald, f"git switch -qc feature/x && {COMMIT} && git switch -q -")
        head = git(workspace(site), "rev-parse", "feature/x")

        assert [(each["branch"], each["head"]) for each in survey()["branches"]] == [("feature/x", head)]
        done = reset()

        assert kept(site) == {"feature/x": head}
        assert git(mirror(site), "show", f"{head}:mine.txt") == "mine"
        assert done["set_aside"] == ""
        herald.finish()


def test_branches_of_a_prefix_that_was_changed_are_listed_and_kept(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(git={"branch_prefix": "agent/old"})
        herald = site.start()
        shell(herald, "echo mine > mine.txt")
        (card,) = herald.proposals()
        site.configure(git={"branch_prefix": "agent/new"})
        herald.call("config", "Reload")

        assert [each["branch"] for each in survey()["branches"]] == [card["branch"]]
        reset()

        assert kept(site) == {card["branch"]: card["head"]}
        herald.finish()


def test_a_workspace_whose_submodule_has_commits_that_are_nowhere_else_is_renamed(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        Family(site).configure(init="all")
        herald = site.start()
        shell(herald, f"cd lib && git switch -qc side && {COMMIT} && git switch -q --detach -")
        head = git(workspace(site) / "lib", "rev-parse", "side")
        said = f"The submodule lib has commits that are nowhere else: {head[:12]}."

        assert survey()["unkept"] == [said]
        done = reset()

        assert said in done["notes"]
        aside = Path(done["set_aside"])
        assert git(aside / ".git" / "modules" / "lib", "cat-file", "-t", head) == "commit"
        wait_for(lambda: (workspace(site) / "README.md").exists(), "the workspace is made anew")
        assert not (workspace(site) / "lib" / "mine.txt").exists()
        herald.finish()


def test_a_workspace_whose_submodules_have_nothing_of_their_own_is_deleted(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        Family(site).configure(init="all", push=True)
        herald = site.start()
        shell(herald, f"cd lib && {COMMIT}")
        herald.vote()
        herald.idle()

        assert survey()["unkept"] == []
        assert reset()["set_aside"] == ""
        herald.finish()


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
def test_a_workspace_whose_branches_name_large_files_that_are_there_alone_is_renamed(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        repositories.commit(site.clone, {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"}, "Attributes")
        git(site.clone, "push", "--quiet", "origin", "main")
        herald = site.start()
        script = "head -c 5000 /dev/urandom > big.bin && git add big.bin && git commit -qm Big"
        shell(herald, f"git switch -qc feature/x && {script} && git switch -q -")
        assert (workspace(site) / ".git" / "lfs" / "objects").is_dir()

        done = reset()

        assert "feature/x names large files that are in the workspace: big.bin." in done["notes"]
        assert list((Path(done["set_aside"]) / ".git" / "lfs" / "objects").rglob("*"))
        assert list(kept(site)) == ["feature/x"]
        herald.finish()
