"""What lay in a workspace before a run, untracked or ignored: it is nobody's work, and stays."""

import subprocess
from typing import Any

import pytest

from tests.agent.place import Place, git, wait_for
from tests.agent.test_own import kill_orphans

FORGETFUL = "echo node_modules > .gitignore"
"""The agent writes a `.gitignore` of its own."""


def commit(place: Place, **files: str) -> None:
    """Files of the base; a name's `__` stands for a slash, and `gitignore` for the file of that name."""
    for name, text in files.items():
        path = place.clone / (".gitignore" if name == "gitignore" else name.replace("__", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(place.clone, "add", "--all")
    git(place.clone, "commit", "--quiet", "-m", "Files of the base")
    git(place.clone, "push", "--quiet", "origin", "main")
    place.base = git(place.clone, "rev-parse", "HEAD")


def paths(place: Place, end: dict[str, Any]) -> list[str]:
    """What the head of a run has."""
    return git(place.tree, "ls-tree", "-r", "--name-only", "-z", end["head"]).strip("\0").split("\0")


@pytest.fixture
def in_path(place: Place) -> Place:
    """A person's folder with secrets that git ignores."""
    place.configure(workspace="path")
    commit(place, gitignore=".env\nresults\n*.pyc\n")
    (place.clone / ".env").write_text("SECRET=1\n")
    (place.clone / "results").mkdir()
    (place.clone / "results/old").write_text("r\n")
    return place


def test_what_git_ignored_in_a_person_s_folder_is_not_taken_when_the_agent_ignores_it_no_more(in_path: Place) -> None:
    end = in_path.run(f"shell {FORGETFUL}; echo new > new").end
    assert paths(in_path, end) == [".gitignore", "README.md", "new"]
    assert end["message"].startswith("Not taken, because git ignored it before the run: .env, results/old. ")
    assert (in_path.clone / ".env").read_text() == "SECRET=1\n"
    assert (in_path.clone / "results/old").read_text() == "r\n"
    assert in_path.run("create a.txt: a").end["message"] == ""


def test_what_git_ignored_in_an_own_workspace_is_not_taken_when_the_agent_ignores_it_no_more(place: Place) -> None:
    place.configure(workspace_files=(".env",))
    commit(place, gitignore=".env\nresults\n")
    (place.clone / ".env").write_text("SECRET=1\n")
    place.run("shell mkdir results; echo r > results/old")
    end = place.run(f"shell {FORGETFUL}; echo new > new").end
    assert paths(place, end) == [".gitignore", "README.md", "new"]
    assert "Not taken, because git ignored it before the run: .env, results/old." in end["message"]
    assert place.run("shell cat .env results/old").text.endswith("SECRET=1\nr\n")


def test_what_the_agent_only_staged_of_it_is_not_taken_either(in_path: Place) -> None:
    end = in_path.run(f"shell {FORGETFUL}; echo new > new; git add -A").end
    assert paths(in_path, end) == [".gitignore", "README.md", "new"]
    assert (in_path.clone / ".env").read_text() == "SECRET=1\n"
    assert git(in_path.clone, "status", "--porcelain") == ""


def test_new_files_beside_ignored_ones_are_the_agent_s(in_path: Place) -> None:
    (in_path.clone / "package/__pycache__").mkdir(parents=True)
    (in_path.clone / "package/__pycache__/a.pyc").touch()
    end = in_path.run(f"shell {FORGETFUL}; echo new > package/new.py; echo new > package/__pycache__/b").end
    assert paths(in_path, end) == [".gitignore", "README.md", "package/__pycache__/b", "package/new.py"]


@pytest.mark.parametrize("where", ["true", "git checkout -q -b other", "git checkout -q --detach"])
def test_what_the_agent_itself_commits_of_a_person_s_files_still_lies_there_afterwards(
    in_path: Place, where: str
) -> None:
    (in_path.clone / "notes.txt").write_text("mine\n")
    committing = f"{FORGETFUL}; git add -A; git add -f notes.txt; git commit -qm Everything"
    end = in_path.run(f"shell {where}; {committing}; git rev-parse HEAD").end
    assert end["outcome"] == "ok"
    assert git(in_path.clone, "branch", "--show-current") == "main"
    assert (in_path.clone / ".env").read_text() == "SECRET=1\n"
    assert (in_path.clone / "results/old").read_text() == "r\n"
    assert (in_path.clone / "notes.txt").read_text() == "mine\n"
    assert git(in_path.clone, "status", "--porcelain") == "?? notes.txt"
    assert not (in_path.clone / ".git/herald-aside").exists()


def test_a_kill_while_a_person_s_folder_is_put_back_loses_none_of_their_files(in_path: Place) -> None:
    instance, _ = in_path.start(f"shell {FORGETFUL}; git add -A; git commit -qm All; touch done; sleep 60")
    instance.receive()
    wait_for((in_path.clone / "done").exists, "the commit")
    instance.process.kill()
    instance.wait()
    kill_orphans()
    aside = in_path.clone / ".git/herald-aside/results"
    aside.mkdir(parents=True)
    (in_path.clone / "results/old").rename(aside / "old")
    (in_path.state / "agent/checkouts/pounce.ready").unlink()
    assert in_path.run("say hi").end["outcome"] == "ok"
    assert (in_path.clone / ".env").read_text() == "SECRET=1\n"
    assert (in_path.clone / "results/old").read_text() == "r\n"
    assert not aside.parent.exists()


@pytest.mark.parametrize("workspace", ["own", "path"])
def test_untracked_files_from_before_are_never_taken_however_many_and_whatever_their_names(
    place: Place, workspace: str
) -> None:
    place.configure(workspace=workspace)
    commit(place, data__keep="k")
    if place.own:
        place.run("say hi")
        (place.workspace / "data").mkdir(exist_ok=True)
    for number in range(10_050):
        (place.tree / f"data/{number}").touch()
    (place.tree / "two\nlines").touch()
    end = place.run("shell echo new > data/new").end
    assert paths(place, end) == ["README.md", "data/keep", "data/new"]
    assert (place.tree / "two\nlines").exists()


CONFIGURED = {
    "the clone": "git config core.excludesFile .git/mine; printf secret.env > .git/mine",
    "the home": "git config --global core.excludesFile '~/mine'; printf secret.env > ~/mine",
    "the default": "mkdir -p ~/.config/git; printf secret.env > ~/.config/git/ignore",
}


@pytest.mark.parametrize("where", CONFIGURED)
def test_what_a_person_ignores_everywhere_the_agent_s_git_ignores_too(place: Place, where: str) -> None:
    home = place.folder / "home"
    home.mkdir()
    place.environment["HERALD_AGENT_HOME"] = str(home)
    place.configure(workspace="path")
    environment = {"PATH": place.environment["PATH"], "HOME": str(home)}
    subprocess.run(["sh", "-c", CONFIGURED[where]], cwd=place.clone, env=environment, check=True)
    (place.clone / "scratch.txt").write_text("mine\n")
    end = place.run("shell echo S > secret.env; echo w > w.txt; git add -A; git commit -qm Work").end
    work = git(place.clone, "log", "-1", "--format=%H", "--grep=^Work$", end["branch"])
    assert git(place.clone, "ls-tree", "-r", "--name-only", work).split() == ["README.md", "w.txt"]
