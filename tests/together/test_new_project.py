"""A project that was not there is added: file, clone, first words of its agent. All services, by the try command."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.repositories import Remote, git, remote_with_commit
from tests.together.trying import Try


class Adding:
    """A running try without any project of this name."""

    def __init__(self, attempt: Try, folder: Path) -> None:
        self.attempt = attempt
        self.path = folder / "repos" / "chortle"

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            self.attempt.heraldctl("call", f"io.herald.{method}", json.dumps(parameters))
        )
        return answer

    def refusal(self, method: str, **parameters: Any) -> str:
        """What a call that fails says."""
        with pytest.raises(subprocess.CalledProcessError) as refused:
            self.call(method, **parameters)
        return str(refused.value.stderr)

    def set(self, method: str, **keys: Any) -> dict[str, Any]:
        settings = [{"key": key.replace("__", "."), "value": json.dumps(value)} for key, value in keys.items()]
        return self.call(f"Config.{method}", name="chortle", settings=settings)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return remote_with_commit(tmp_path)


@pytest.fixture
def adding(tmp_path: Path) -> Iterator[Adding]:
    state = tmp_path / "state"
    (state / "etc" / "projects").mkdir(parents=True)
    (state / "etc" / "herald.yaml").write_text(f"projects_root: {tmp_path}/repos\n")
    with Try(state, "--agent", "standin") as attempt:
        attempt.wait_for("agent: ")
        yield Adding(attempt, tmp_path)


def test_a_new_project_is_cloned_and_its_agent_introduces_itself(adding: Adding, remote: Remote) -> None:
    keys = {"path": str(adding.path), "enabled": False, "agent_name": "Pounce", "git__remote": str(remote.path)}
    assert adding.set("AddProject", **keys)["applied"]
    assert "enabled: true" in adding.refusal("Worker.Bootstrap", project="chortle", key="first")

    cloned = adding.call("Worker.Clone", project="chortle")
    assert cloned == {"path": str(adding.path), "branch": "main", "head": remote.heads()["main"], "created": True}
    assert adding.call("Worker.Clone", project="chortle") == {**cloned, "created": False}
    assert git(adding.path, "status", "--porcelain", "--branch") == "## main...origin/main"

    assert adding.set("SetProject", enabled=True)["applied"]
    first = adding.call("Worker.Bootstrap", project="chortle", key="first")
    again = adding.call("Worker.Bootstrap", project="chortle", key="first")
    assert (first["created"], again["created"], first["task"]) == (True, False, again["task"])
    adding.attempt.wait_for("Ready to push — 2 commits.")
    assert [line for line in adding.attempt.posts if "I am the stand-in" in line]

    adding.call("Worker.Vote", project="chortle", key="yes", vote="approve")
    adding.attempt.wait_for("Pushed — ")
    (branch,) = [each for each in remote.heads() if each.startswith("agent/chortle-")]
    assert git(remote.path, "show", f"{branch}:.herald/SOUL.md").startswith("# Pounce\n")
    subjects = git(remote.path, "log", "--format=%an|%s", "--reverse", f"main..{branch}").splitlines()
    assert subjects[0] == "Pounce|Add Herald's templates"
    assert git(adding.path, "status", "--porcelain", "--branch") == "## main...origin/main"
    assert list((adding.attempt.state / "worker" / "cloning").iterdir()) == []


def test_a_wrong_address_is_said_and_another_one_goes_on_from_there(adding: Adding, remote: Remote) -> None:
    wrong = adding.path.parent.parent / "not-there.git"
    assert adding.set("AddProject", path=str(adding.path), enabled=False, git__remote=str(wrong))["applied"]
    assert "not-there.git" in adding.refusal("Worker.Clone", project="chortle")
    assert not adding.path.exists()
    assert adding.set("SetProject", git__remote=str(remote.path))["applied"]
    assert adding.call("Worker.Clone", project="chortle")["created"]


def test_what_is_at_the_path_already_is_not_touched(adding: Adding, remote: Remote) -> None:
    assert adding.set("AddProject", path=str(adding.path), enabled=False, git__remote=str(remote.path))["applied"]
    adding.path.mkdir(parents=True)
    (adding.path / "mine").write_text("mine")
    assert f"{adding.path} is there already" in adding.refusal("Worker.Clone", project="chortle")
    assert [path.name for path in adding.path.parent.rglob("*")] == ["chortle", "mine"]
