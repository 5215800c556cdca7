"""Check: what is missing for a run, before there is one."""

import shutil
from pathlib import Path

import pytest

from tests.agent.place import Place
from tests.agent.test_login import log_in, login


def check(place: Place) -> dict[str, object]:
    return place.call("Check")["parameters"]


@pytest.fixture
def bare(place: Place) -> Place:
    """On a server, with nothing set up for Claude."""
    del place.environment["HERALD_AGENT"]
    programs = place.folder / "bin"
    programs.mkdir()
    git = shutil.which("git")
    assert git is not None
    (programs / "git").symlink_to(git)
    place.environment |= {"HERALD_MODE": "system", "PATH": str(programs)}
    return place


def test_the_stand_in_needs_nothing(place: Place) -> None:
    found = check(place)
    assert found == {"agent": "stand-in", "credential": "none, the stand-in needs none", "missing": [], "not_held": []}


def test_without_claude_it_says_how_to_get_it(bare: Place) -> None:
    found = check(bare)
    assert found["agent"] == ""
    assert found["credential"] == ""
    assert "npm install" in str(found["missing"])


def test_without_a_credential_it_says_both_ways(bare: Place) -> None:
    program = bare.folder / "bin/claude"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    found = check(bare)
    assert found["agent"] == str(program)
    ways = "Run `heraldctl agent-login`, or put a credential into /etc/herald/credentials/anthropic_api_key or"
    assert found["missing"] == [f"There is no credential for Claude. {ways} claude_oauth_token."]


def test_each_kind_of_credential_is_named(bare: Place, tmp_path: Path) -> None:
    log_in(bare, login("first", 1))
    assert check(bare)["credential"] == "the login of `heraldctl agent-login`"
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/claude_oauth_token").write_text("token\n")
    bare.environment["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
    assert check(bare)["credential"] == "a subscription token (credential claude_oauth_token)"
    bare.environment["ANTHROPIC_AUTH_TOKEN"] = "token"
    assert check(bare)["credential"] == "ANTHROPIC_AUTH_TOKEN of the environment"


def test_a_login_that_has_ended_is_none(bare: Place) -> None:
    log_in(bare, login("", 0, ""))
    assert check(bare)["credential"] == ""


def test_a_project_whose_folder_is_missing_is_named(place: Place) -> None:
    shutil.rmtree(place.clone)
    assert check(place)["missing"] == []  # nobody works there
    place.configure(workspace="path")
    assert str(check(place)["missing"]).count(f"The folder {place.clone} of pounce is missing") == 1


def test_it_needs_no_project_no_lock_and_no_place(place: Place) -> None:
    place.environment["HERALD_MODE"] = "system"
    instance, _ = place.start("sleep 2")
    instance.receive()
    assert check(place)["agent"] == "stand-in"
    (place.state / "config/snapshot.json").unlink()
    assert check(place)["missing"] == []
    assert instance.receive() == {"parameters": {"state": "ended"}}
    instance.wait()


def test_claude_is_found_beside_the_versions_of_an_installation(bare: Place, tmp_path: Path) -> None:
    prefix = tmp_path / "opt/versions/1"
    program = tmp_path / "opt/claude/bin/claude"
    for folder in (prefix, program.parent):
        folder.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    bare.environment["PYTHONPATH"] += f":{tmp_path}"
    (tmp_path / "moved.py").write_text(
        f"import sys\nsys.prefix = {str(prefix)!r}\nfrom herald_agent.__main__ import main\nmain()\n"
    )
    bare.module = "moved"
    assert check(bare)["agent"] == str(program)
