"""One login for all projects: lent to each, taken back when it was refreshed, and nothing else taken with it."""

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.place import Place
from tests.support import anthropic

_NOW = int(time.time() * 1000)
_HOUR = 3_600_000


def login(access: str, expires: int, refresh: str = "refresh", **more: Any) -> dict[str, Any]:
    """A credential file as the CLI writes it."""
    section = {"accessToken": access, "refreshToken": refresh, "expiresAt": expires, "scopes": ["user:inference"]}
    return {"claudeAiOauth": {**section, "subscriptionType": "max", **more}}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """As a unit, with an agent that runs what its prompt says as Python, in the project's home."""
    place = Place(tmp_path)
    program = place.folder / "claude"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys, time\n"
        "words = json.loads(sys.stdin.readline())['message']['content'].removeprefix('Task:\\n')\n"
        "file = pathlib.Path.home() / '.claude/.credentials.json'\n"
        "os.chdir(pathlib.Path.home())\n"
        "exec(words)\n"
        'print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "done"}), flush=True)\n'
    )
    program.chmod(0o755)
    place.environment |= {"HERALD_MODE": "system", "HERALD_AGENT": "claude", "HERALD_CLAUDE": str(program)}
    yield place
    place.close()


def stored(place: Place) -> Path:
    return place.state / "agent/login/.credentials.json"


def lent(place: Place, project: str = "pounce") -> Path:
    return place.state / f"agent/homes/{project}/.claude/.credentials.json"


def log_in(place: Place, body: dict[str, Any]) -> None:
    stored(place).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    stored(place).write_text(json.dumps(body))


def test_the_login_is_lent_to_the_project(place: Place) -> None:
    log_in(place, login("first", _NOW + _HOUR))
    files = place.run("assert json.load(file.open())['claudeAiOauth']['accessToken'] == 'first'")
    assert files.end["outcome"] == "ok", files.end
    assert files.entries("log")[0]["text"].startswith("the login of Claude Code in ")
    assert stat.S_IMODE(lent(place).stat().st_mode) == 0o600
    assert json.loads(lent(place).read_text()) == login("first", _NOW + _HOUR)


def test_what_a_run_refreshed_is_kept_for_the_next(place: Place) -> None:
    log_in(place, login("first", _NOW + _HOUR, refreshTokenExpiresAt=_NOW + 9 * _HOUR))
    new = login("second", _NOW + 8 * _HOUR, "other", refreshTokenExpiresAt=_NOW + 99 * _HOUR)
    new["claudeAiOauth"]["subscriptionType"] = "smuggled"
    new["mcpOAuth"] = {"a": 1}
    place.run(f"file.write_text(json.dumps({new!r}))")
    kept = login("second", _NOW + 8 * _HOUR, "other", refreshTokenExpiresAt=_NOW + 9 * _HOUR)
    assert json.loads(stored(place).read_text()) == kept
    assert stat.S_IMODE(stored(place).stat().st_mode) == 0o600
    assert place.run("assert 'second' in file.read_text()").end["outcome"] == "ok"


def test_what_a_killed_run_refreshed_is_taken_back_at_the_next_act(place: Place) -> None:
    log_in(place, login("first", _NOW + _HOUR))
    home = lent(place, "purr").parent
    home.mkdir(parents=True)
    lent(place, "purr").write_text(json.dumps(login("second", _NOW + 8 * _HOUR)))
    assert place.run("assert 'second' in file.read_text()").end["outcome"] == "ok"
    assert "second" in stored(place).read_text()


def test_a_new_login_reaches_a_project_that_has_an_old_one(place: Place) -> None:
    log_in(place, login("first", _NOW + _HOUR))
    place.run("pass")
    log_in(place, login("second", _NOW + 8 * _HOUR))
    assert place.run("assert 'second' in file.read_text()").end["outcome"] == "ok"


@pytest.mark.parametrize(
    "left",
    [
        "file.write_text('no json')",
        "file.write_text('[]')",
        "file.write_text('{}')",
        "file.write_text('[' * 60000)",
        f"file.write_text(json.dumps({login('', _NOW + 8 * _HOUR)!r}))",
        f"file.write_text(json.dumps({login('a' * 5000, _NOW + 8 * _HOUR)!r}))",
        f"file.write_text(json.dumps({login('two words' + chr(10), _NOW + 8 * _HOUR)!r}))",
        f"file.write_text(json.dumps({login('older', _NOW)!r}))",
        f"file.write_text(json.dumps({login('never ends', _NOW + 999 * 24 * _HOUR)!r}))",
        f"file.write_text(json.dumps({login('true', True)!r}))",
        f"file.write_text(json.dumps({login('no refresh', _NOW + 8 * _HOUR, '')!r}))",
        f"file.write_text(json.dumps({login('large', _NOW + 8 * _HOUR)!r}) + ' ' * 70000)",
        "file.unlink()",
        "file.unlink(); file.mkdir()",
        "file.unlink(); os.mkfifo(file)",
        "file.unlink(); file.symlink_to('/etc/passwd')",
        "import shutil; shutil.rmtree('.claude'); os.symlink('../../login', '.claude')",
        "import shutil; shutil.rmtree('.claude'); os.mkfifo('.claude')",
    ],
)
def test_nothing_else_that_a_project_leaves_changes_the_login(place: Place, left: str) -> None:
    first = login("first", _NOW + _HOUR)
    log_in(place, first)
    place.run(left)
    place.run("pass")
    assert json.loads(stored(place).read_text()) == first
    assert sorted(path.name for path in stored(place).parent.iterdir()) in (
        [".credentials.json"],
        [".credentials.json", ".herald-lock"],
    )


def test_a_link_in_a_home_leads_the_login_nowhere(place: Place, tmp_path: Path) -> None:
    log_in(place, login("first", _NOW + _HOUR))
    target = tmp_path / "target"
    target.write_text("untouched")
    config = lent(place).parent
    config.mkdir(parents=True)
    lent(place).symlink_to(target)
    (config / ".credentials.json.herald").symlink_to(target)
    assert place.run("assert 'first' in file.read_text()").end["outcome"] == "ok"
    assert target.read_text() == "untouched"
    assert not lent(place).is_symlink()


def test_a_credential_goes_before_the_login(place: Place) -> None:
    log_in(place, login("first", _NOW + _HOUR))
    place.environment["ANTHROPIC_API_KEY"] = "own"
    assert place.run("assert not file.exists()").end["outcome"] == "ok"


def test_without_a_login_there_is_none(place: Place) -> None:
    files = place.run("assert not file.exists()")
    assert files.end["outcome"] == "ok"
    assert files.entries("log")[0]["text"].startswith("none was found")


def test_the_real_cli_works_with_a_login_that_was_lent(place: Place, cli: str, api: anthropic.Api) -> None:
    log_in(place, login("sk-ant-oat01-of-a-test", _NOW + _HOUR))
    given = api.environment()
    del given["ANTHROPIC_API_KEY"]
    place.environment |= {**given, "HERALD_CLAUDE": cli}
    files = place.run("[[text hello]]")
    assert files.end["outcome"] == "ok", files.end
    sent = api.requests()[0]["headers"]
    assert {name.lower(): value for name, value in sent.items()}["authorization"] == "Bearer sk-ant-oat01-of-a-test"
    assert os.path.exists(stored(place))
