"""Where the parts of a person's clone are that a run in an own workspace may not change."""

from pathlib import Path

from herald_agent.reach import of_clone
from tests.agent.place import git


def test_a_clone_is_its_folder(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "one")
    assert of_clone(str(tmp_path / "one")) == (str(tmp_path / "one"),)
    assert of_clone(str(tmp_path / "none")) == (str(tmp_path / "none"),)


def test_a_linked_work_tree_has_its_git_folder_in_the_clone_that_it_came_from(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "one")
    git(tmp_path / "one", "commit", "--quiet", "--allow-empty", "-m", "Begin")
    git(tmp_path / "one", "worktree", "add", "--quiet", "../two")
    found = of_clone(str(tmp_path / "two"))
    assert found == (str(tmp_path / "two"), str(tmp_path / "one/.git/worktrees/two"), str(tmp_path / "one/.git"))


def test_who_lends_objects_and_who_lends_to_those_belong_to_it(tmp_path: Path) -> None:
    for name, lender in (("one", ""), ("two", "one"), ("three", "two")):
        git(tmp_path, "init", "--quiet", name)
        if lender:
            alternates = tmp_path / name / ".git/objects/info/alternates"
            alternates.write_text(f"# lent\n{tmp_path / lender}/.git/objects\n../../../{name}/.git/objects\n")
    found = of_clone(str(tmp_path / "three"))
    assert found == (str(tmp_path / "three"), f"{tmp_path}/two/.git/objects", f"{tmp_path}/one/.git/objects")


def test_a_git_folder_beside_it_belongs_to_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--separate-git-dir=beside", "one")
    assert of_clone(str(tmp_path / "one")) == (str(tmp_path / "one"), str(tmp_path / "beside"))
