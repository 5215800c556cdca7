"""The agent's environment is built from nothing: what it may have, and nothing of the service's or the caller's."""

import sys
from pathlib import Path

import pytest

from tests.agent.place import Place, RunFiles
from tests.support import anthropic

ALLOWED = {
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "CLAUDE_CONFIG_DIR",
    "GIT_TERMINAL_PROMPT",
    "GIT_CEILING_DIRECTORIES",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "CLAUDE_CODE_MAX_RETRIES",
    "API_TIMEOUT_MS",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY",
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "DISABLE_AUTOUPDATER",
}
OF_THE_SHELL = {"PWD", "SHLVL", "_", "OLDPWD"}


def seen(files: RunFiles) -> dict[str, str]:
    """What `env -0` printed, behind the stand-in's introduction."""
    output = files.text.partition("no model. ")[2]
    return dict(each.split("=", 1) for each in output.split("|") if "=" in each)


SHOW = "shell env -0 | tr '\\0' '|'"


def system_mode(place: Place) -> None:
    """As a unit, with an agent that answers its environment: the stand-in's shell needs a variable of try mode."""
    place.environment |= {"HERALD_MODE": "system", "HERALD_AGENT": "claude"}
    program = place.folder / "claude"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\nsys.stdin.readline()\n"
        'pairs = "no model. " + "|".join(f"{k}={v}" for k, v in os.environ.items())\n'
        'print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": pairs}), flush=True)\n'
    )
    program.chmod(0o755)
    place.environment["HERALD_CLAUDE"] = str(program)


def test_in_system_mode_only_what_is_allowed_reaches_the_agent(place: Place) -> None:
    system_mode(place)
    leaks = ("HERALD_SECRET", "LD_LIBRARY_PATH", "GIT_DIR", "DISCORD_TOKEN", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_TMPDIR")
    place.environment |= dict.fromkeys(leaks, "leaked")
    del place.environment["CLAUDE_STANDIN_SHELL"]
    found = seen(place.run("show"))
    assert set(found) - {"LC_CTYPE"} == ALLOWED
    assert "leaked" not in str(found)
    assert found["HOME"] == str(place.state / "agent/homes/pounce")
    assert found["CLAUDE_CONFIG_DIR"] == f"{found['HOME']}/.claude"
    assert found["TMPDIR"] == "/tmp"
    assert found["GIT_AUTHOR_NAME"] == "Pounce"
    assert found["GIT_AUTHOR_EMAIL"] == "pounce@herald.invalid"
    assert found["CLAUDE_CODE_MAX_RETRIES"] == "4"


@pytest.mark.parametrize("mode", ["system", "user", "try"])
def test_what_the_unit_sets_for_claude_and_the_network_is_passed_on(place: Place, mode: str) -> None:
    system_mode(place)
    set_there = {
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
        "CLAUDE_CODE_MAX_RETRIES": "7",
        "API_TIMEOUT_MS": "5",
        "HTTPS_PROXY": "http://proxy.invalid:3128",
        "no_proxy": "localhost",
        "NODE_EXTRA_CA_CERTS": "/etc/ssl/own.pem",
        "SSL_CERT_FILE": "/etc/ssl/all.pem",
    }
    place.environment |= {"HERALD_MODE": mode, **set_there}
    found = seen(place.run("show"))
    assert {name: found.get(name) for name in set_there} == set_there


def test_in_try_mode_the_persons_variables_of_claude_win(place: Place) -> None:
    place.environment |= {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "CLAUDE_CODE_MAX_RETRIES": "7", "OTHER": "leaked"}
    found = seen(place.run(SHOW))
    assert found["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert found["CLAUDE_CODE_MAX_RETRIES"] == "7"
    assert set(found) - OF_THE_SHELL - ALLOWED == {"ANTHROPIC_BASE_URL", "CLAUDE_STANDIN_SHELL"}


def test_in_try_mode_the_persons_own_login_may_be_used(place: Place, tmp_path: Path) -> None:
    place.environment["HERALD_AGENT_HOME"] = str(tmp_path)
    found = seen(place.run(SHOW))
    assert found["HOME"] == str(tmp_path)
    assert "CLAUDE_CONFIG_DIR" not in found


def test_a_project_without_an_agents_name_commits_under_herald(place: Place) -> None:
    place.configure(agent_name="")
    assert seen(place.run(SHOW))["GIT_COMMITTER_NAME"] == "Herald agent for pounce"


@pytest.mark.parametrize(
    ("file", "variable", "words"),
    [
        ("anthropic_api_key", "ANTHROPIC_API_KEY", "an API key (credential anthropic_api_key)"),
        ("claude_oauth_token", "CLAUDE_CODE_OAUTH_TOKEN", "a subscription token (credential claude_oauth_token)"),
    ],
)
def test_a_credential_of_the_service_is_used_named_and_masked(
    place: Place, tmp_path: Path, file: str, variable: str, words: str
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / file).write_text("value-of-the-credential\n")
    system_mode(place)
    place.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    files = place.run("show")
    found = seen(files)
    assert found[variable] == "[secret]"  # it was there, and does not leave through the result
    assert files.entries("log")[0] == {"type": "credential", "text": words}
    everything = "".join(files.read(name) for name in ("log", "result"))
    assert "value-of-the-credential" not in everything


def test_a_blank_credential_is_none(place: Place, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "anthropic_api_key").write_text("\n")
    (credentials / "claude_oauth_token").write_text("\n")
    system_mode(place)
    place.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    files = place.run("show")
    assert {"ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"} & set(seen(files)) == set()
    assert files.entries("log")[0]["text"].startswith("none was found")


def test_the_persons_key_goes_before_the_services(place: Place, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "claude_oauth_token").write_text("value-of-the-credential\n")
    place.environment |= {"CREDENTIALS_DIRECTORY": str(credentials), "ANTHROPIC_API_KEY": "own"}
    found = seen(place.run(SHOW))
    assert found["ANTHROPIC_API_KEY"] == "own"
    assert "CLAUDE_CODE_OAUTH_TOKEN" not in found


def test_temporary_files_end_with_the_run(place: Place) -> None:
    files = place.run("shell touch $TMPDIR/left; mkdir -p $TMPDIR/d/e; ls -ld $TMPDIR")
    assert "drwx------" in files.text
    assert list((place.state / "agent/tmp").iterdir()) == []


def test_sockets_below_tmpdir_fit_although_the_state_folder_has_a_long_name(place: Place, tmp_path: Path) -> None:
    long = tmp_path / ("long" * 20)
    place.state.rename(long)
    place.environment["HERALD_STATE"] = str(long)
    place.state = long
    found = seen(place.run(SHOW))
    assert len(found["TMPDIR"]) < 80
    assert not Path(found["TMPDIR"]).exists()


def test_bash_of_the_real_cli_sees_nothing_of_the_caller(real: Place, api: anthropic.Api) -> None:
    real.environment |= {"HERALD_SECRET": "heliotrope", "AWS_SECRET_ACCESS_KEY": "heliotrope"}
    files = real.run("[[bash env; ls -l /proc/self/fd]]")
    assert "GIT_AUTHOR_NAME" in files.text
    assert "heliotrope" not in files.text
    assert "HERALD" not in files.text
    assert "locks/pounce" not in files.text
    assert "slot.0" not in files.text
