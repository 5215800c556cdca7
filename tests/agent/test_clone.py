"""Clone makes a project's folder from a pack; Run with `bootstrap` commits the templates that the folder lacks."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from herald_agent import landlock
from tests.agent.place import Place, git, is_locked, wait_for


class Source:
    """Packs of the project's remote, as the worker hands them over."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.path = place.folder / "repos" / "pounce"
        self.path.parent.mkdir()
        place.configure(path=str(self.path), remote="git@example.org:cats/pounce.git", workspace="path")

    def pack(self) -> Path:
        """A pack of everything that the remote's branch has."""
        path = self.place.folder / "whole.pack"
        with path.open("wb") as file:
            words = ["git", "-C", str(self.place.remote), "pack-objects", "--revs", "--stdout", "-q"]
            subprocess.run(words, input=f"{self.head()}\n".encode(), stdout=file, check=True)
        return path

    def head(self) -> str:
        return git(self.place.remote, "rev-parse", "main")

    def clone(self, **parameters: Any) -> dict[str, Any]:
        """The whole reply of Clone."""
        instance = self.place.instance()
        descriptor = os.open(self.pack(), os.O_RDONLY)
        call = {"project": "pounce", "branch": "main", "head": self.head(), "pack": 0} | parameters
        instance.send("Clone", call, (descriptor,))
        os.close(descriptor)
        reply = instance.receive()
        assert instance.wait() == 0
        return reply

    def residue(self) -> list[str]:
        return sorted(path.name for path in self.path.parent.iterdir())


@pytest.fixture
def source(place: Place) -> Source:
    return Source(place)


def test_the_clone_is_one_that_a_person_would_have_made(source: Source) -> None:
    assert source.clone() == {"parameters": {"created": True}}

    assert git(source.path, "status", "--porcelain", "--branch") == "## main...origin/main"
    assert git(source.path, "rev-parse", "HEAD", "origin/main", "origin/HEAD").split() == [source.head()] * 3
    assert (source.path / "README.md").read_text() == "Pounce\n"
    assert git(source.path, "remote", "get-url", "origin") == "git@example.org:cats/pounce.git"
    assert git(source.path, "fsck", "--full") == ""
    assert source.residue() == ["pounce"]


def test_a_task_runs_in_the_new_clone(source: Source) -> None:
    source.clone()
    files = source.place.run("create a.txt: a", branch="agent/pounce-1")
    assert files.end["outcome"] == "ok"
    assert git(source.path, "show", "agent/pounce-1:a.txt") == "a"


def test_a_clone_that_is_there_stays_as_it_is(source: Source) -> None:
    source.clone()
    (source.path / "README.md").write_text("somebody's work\n")
    assert source.clone() == {"parameters": {"created": False}}
    assert (source.path / "README.md").read_text() == "somebody's work\n"


def test_a_clone_by_another_address_of_the_same_repository_is_taken(source: Source) -> None:
    git(source.place.folder, "clone", "--quiet", str(source.place.remote), str(source.path))
    assert source.clone() == {"parameters": {"created": False}}


def test_an_empty_folder_is_filled(source: Source) -> None:
    source.path.mkdir()
    assert source.clone() == {"parameters": {"created": True}}


@pytest.mark.parametrize("there", ["file", "folder", "other clone", "link"])
def test_something_else_at_the_path_is_a_conflict_and_is_not_touched(source: Source, there: str) -> None:
    if there == "file":
        source.path.write_text("mine")
    elif there == "link":
        source.path.symlink_to("/nowhere")
    else:
        source.path.mkdir()
        (source.path / "mine").write_text("mine")
        if there == "other clone":
            git(source.path, "init", "--quiet")
            git(source.path, "remote", "add", "origin", "https://somebody:secret@example.org/other.git")
    before = source.residue()

    reply = source.clone()

    assert reply["error"] == "io.herald.Agent.Conflict"
    message = reply["parameters"]["message"]
    assert str(source.path) in message
    assert "secret" not in message
    assert source.residue() == before


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ("https://somebody:secret@example.org/p.git", "https://example.org/p.git"),
        ("https://ghp_0123456789@example.org/p.git", "https://example.org/p.git"),
        ("ssh://git@example.org/p.git", "ssh://git@example.org/p.git"),
    ],
)
def test_the_clone_keeps_no_login_of_its_remote(source: Source, remote: str, kept: str) -> None:
    source.place.configure(path=str(source.path), remote=remote)
    source.clone()
    assert git(source.path, "remote", "get-url", "origin") == kept
    found = subprocess.run(["grep", "-rE", "secret|ghp_", str(source.path)], capture_output=True)
    assert found.stdout == b""


def test_a_kill_in_the_middle_leaves_no_clone_and_the_next_call_makes_one(source: Source, tmp_path: Path) -> None:
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "sync").write_text(f"#!/bin/sh\n: > {tmp_path}/reached\nexec sleep 60\n")
    (slow / "sync").chmod(0o755)
    path = source.place.environment["PATH"]
    source.place.environment["PATH"] = f"{slow}:{path}"
    instance = source.place.instance()
    descriptor = os.open(source.pack(), os.O_RDONLY)
    instance.send("Clone", {"project": "pounce", "branch": "main", "head": source.head(), "pack": 0}, (descriptor,))
    os.close(descriptor)
    wait_for((tmp_path / "reached").exists, "the clone is filled")
    assert source.place.call("Prepare", have=[])["error"] == "io.herald.Agent.Busy"
    os.kill(instance.process.pid, signal.SIGKILL)
    instance.wait()
    assert source.residue() == [".pounce.new"]

    source.place.environment["PATH"] = path
    wait_for(lambda: not is_locked(source.place.state / "agent/locks/pounce"), "the lock is free")
    assert source.clone() == {"parameters": {"created": True}}
    assert source.residue() == ["pounce"]


def test_a_pack_that_lacks_the_commit_or_is_damaged_is_refused(source: Source) -> None:
    other = source.clone(head="1" * 40)
    assert other["error"] == "io.herald.Agent.Failed"
    broken = source.pack().read_bytes()[:-30] + b"x" * 30
    path = source.place.folder / "broken.pack"
    path.write_bytes(broken)
    source.pack = lambda: path  # type: ignore[method-assign]
    assert source.clone()["error"] == "io.herald.Agent.Failed"
    assert source.residue() == []


@pytest.mark.parametrize(("entry", "taken"), [(b"40000 .git", False), (b"040000 sub", True)])
def test_objects_are_checked_but_for_harmless_blemishes_of_old_histories(
    source: Source, entry: bytes, taken: bool
) -> None:
    inner = bytes.fromhex(git(source.place.remote, "rev-parse", "main^{tree}"))
    words = ["git", "-C", str(source.place.remote), "hash-object", "-t", "tree", "-w", "--literally", "--stdin"]
    tree = subprocess.run(words, input=entry + b"\0" + inner, capture_output=True, check=True).stdout.decode().strip()
    git(source.place.remote, "update-ref", "refs/heads/main", git(source.place.remote, "commit-tree", "-m", "x", tree))
    assert ("error" not in source.clone()) == taken
    assert source.residue() == (["pounce"] if taken else [])


def test_a_folder_that_is_missing_is_said(source: Source) -> None:
    source.place.configure(path=str(source.path.parent / "deeper" / "pounce"))
    reply = source.clone()
    assert reply["error"] == "io.herald.Agent.Failed"
    assert "is missing; make it" in reply["parameters"]["message"]


@pytest.mark.parametrize("wrong", [{"branch": "--orphan"}, {"head": "main"}])
def test_a_branch_is_a_name_and_a_head_a_hash(source: Source, wrong: dict[str, str]) -> None:
    assert source.clone(**wrong)["error"] == "io.herald.Agent.Invalid"


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock, or does not give it to this process")
def test_what_an_agent_left_in_its_home_is_not_obeyed_while_a_clone_is_made(source: Source) -> None:
    place, outside = source.place, source.place.folder / "outside"
    (place.clone / ".gitattributes").write_text("* filter=evil\n")
    git(place.clone, "add", ".")
    git(place.clone, "commit", "--quiet", "-m", "Attributes")
    git(place.clone, "push", "--quiet", "origin", "main")
    place.environment["HERALD_MODE"] = "system"
    home = place.state / "agent" / "homes" / "pounce"
    home.mkdir(parents=True)
    (home / ".gitconfig").write_text(f'[filter "evil"]\n smudge = touch {outside} reached; cat\n required = false\n')
    assert source.clone() == {"parameters": {"created": True}}
    assert not (source.path / "reached").exists()
    assert not outside.exists()


TEMPLATES = [".herald/MEMORY.md", ".herald/SOUL.md", ".herald/humans/README.md", "CLAUDE.md"]


@pytest.mark.parametrize("workspace", ["own", "path"])
def test_the_first_run_commits_the_templates_before_the_agent_begins(place: Place, workspace: str) -> None:
    place.configure(workspace=workspace, agent_name="Pounce the Cat", display_name="Chortle")
    files = place.run("create a.txt: a", bootstrap=True)
    assert (files.end["outcome"], files.end["commits"]) == ("ok", 2)
    log = git(place.tree, "log", "--format=%an|%s", "--reverse", f"{place.base}..agent/pounce-1").splitlines()
    assert log[0] == "Pounce the Cat|Add Herald's templates"
    added = git(place.tree, "diff", "--name-only", place.base, "agent/pounce-1~1").splitlines()
    assert added == TEMPLATES
    assert place.show("agent/pounce-1", ".herald/SOUL.md").startswith("# Pounce the Cat\n")
    assert "Chortle" in place.show("agent/pounce-1", "CLAUDE.md")
    assert "@AGENT@" not in "".join(place.show("agent/pounce-1", name) for name in TEMPLATES)
    assert "@PROJECT@" not in "".join(place.show("agent/pounce-1", name) for name in TEMPLATES)
    assert ".herald/SOUL.md" in place.show("agent/pounce-1", "CLAUDE.md")
    assert place.branches() == (["agent/pounce-1"] if workspace == "own" else ["agent/pounce-1", "main"])
    assert place.leftovers() == []


def test_what_the_repository_has_is_left_alone(place: Place) -> None:
    (place.clone / ".gitignore").write_text(".herald/\n")
    (place.clone / "CLAUDE.md").write_text("ours\n")
    (place.clone / ".herald").mkdir()
    (place.clone / ".herald/SOUL.md").write_text("me\n")
    git(place.clone, "add", "--force", ".")
    git(place.clone, "commit", "--quiet", "-m", "Ours")
    base = git(place.clone, "rev-parse", "HEAD")
    place.run("say hello", bootstrap=True, base=base)
    added = git(place.tree, "diff", "--name-only", base, "agent/pounce-1").splitlines()
    assert added == [".herald/MEMORY.md", ".herald/humans/README.md"]
    assert place.show("agent/pounce-1", "CLAUDE.md") == "ours"


def test_no_template_is_written_through_a_link_of_the_repository(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (place.clone / ".herald").symlink_to(outside)
    (place.clone / "CLAUDE.md").symlink_to(outside / "CLAUDE.md")
    git(place.clone, "add", ".")
    git(place.clone, "commit", "--quiet", "-m", "Links")
    base = git(place.clone, "rev-parse", "HEAD")
    files = place.run("say hello", bootstrap=True, base=base)
    assert (files.end["outcome"], files.end["commits"]) == ("ok", 0)
    assert list(outside.iterdir()) == []


def test_a_second_attempt_adds_nothing_again(place: Place) -> None:
    first = place.run("fail", bootstrap=True)
    assert first.end["outcome"] == "crash"
    second = place.run("say hello", bootstrap=True, branch="agent/pounce-1")
    assert (second.end["outcome"], second.end["commits"]) == ("ok", 1)


def test_who_may_not_commit_gets_the_templates_uncommitted(place: Place) -> None:
    place.configure(auto_commit=False, workspace="own")
    files = place.run("say hello", bootstrap=True)
    assert (files.end["commits"], files.end["uncommitted"]) == (0, True)


def test_without_bootstrap_there_are_no_templates(place: Place) -> None:
    assert place.run("say hello").end["commits"] == 0
