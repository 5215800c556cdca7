"""heraldctl agent-login: the CLI's own login, as the agent's user, kept in the agent's state."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from herald import names
from tests.cli.test_heraldctl import heraldctl
from tests.gateway.running import ROOT, Bus, wait_for
from tests.support import claude
from tests.support.users import ADA, AGENT, ROOT_USER, Machine, machine

__all__ = ["machine"]

# Says what it was given, and does what the CLI's login does: a file in its configuration folder.
_CLI = """#!/bin/sh
cd "$CLAUDE_CONFIG_DIR" || exit 9
echo "$* as $(id -un) groups $(id -G) umask $(umask) session $(ps -o sid= -p $$ | tr -d ' ')-$$" >>seen
env >environment
case "$2" in
login) echo '{"token":"x"}' >.credentials.json ;;
logout) rm -f .credentials.json ;;
status) [ -e .credentials.json ] && echo "Login method: somebody" || { echo "Not logged in"; exit 1; } ;;
esac
"""


@pytest.fixture
def server(machine: Machine) -> Machine:
    """A state folder as the installation makes it, and a CLI."""
    agent = machine.srv / "state" / "agent"
    agent.mkdir(parents=True)
    os.chown(agent, AGENT.uid, AGENT.uid)
    agent.chmod(0o700)
    machine.environment |= {"HERALD_STATE": "/srv/state", "HERALD_BUS": "/srv/run", "HERALD_CONFIG": "/srv/etc"}
    machine.environment |= {"HERALD_CLAUDE": "/srv/claude", "ANTHROPIC_API_KEY": "the caller's", "SECRET": "x"}
    program(machine.srv / "claude", _CLI)
    return machine


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def login_folder(machine: Machine) -> Path:
    return machine.srv / "state" / "agent" / "login"


def test_the_login_is_made_by_the_agents_user_for_itself_alone(server: Machine) -> None:
    done = server.python(ROOT_USER, "herald_cli", "agent-login")

    assert done.returncode == 0, done.stderr
    assert "Login method: somebody" in done.stdout
    first, second = (login_folder(server) / "seen").read_text().splitlines()
    assert first.startswith("auth login as herald-agent groups 9003 umask 0077 session ")
    assert second.startswith("auth status --text as herald-agent ")
    session, _, process = first.rpartition(" ")[2].partition("-")
    assert session == process, "it must not be able to type into the caller's terminal"
    for path, mode in ((login_folder(server), 0o700), (login_folder(server) / ".credentials.json", 0o600)):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (AGENT.uid, mode)


def test_nothing_of_the_callers_environment_reaches_the_login(server: Machine) -> None:
    server.python(ROOT_USER, "herald_cli", "agent-login", TERM="xterm")

    seen = dict(line.partition("=")[::2] for line in (login_folder(server) / "environment").read_text().splitlines())
    assert seen["HOME"] == seen["CLAUDE_CONFIG_DIR"] == "/srv/state/agent/login"
    assert (seen["USER"], seen["TERM"]) == ("herald-agent", "xterm")
    assert {"SECRET", "ANTHROPIC_API_KEY"} & set(seen) == set()


def test_status_and_logout(server: Machine) -> None:
    before = server.python(ROOT_USER, "herald_cli", "agent-login", "--status")
    server.python(ROOT_USER, "herald_cli", "agent-login", "--console")
    between = server.python(ROOT_USER, "herald_cli", "agent-login", "--status")
    after = server.python(ROOT_USER, "herald_cli", "agent-login", "--logout")

    assert (before.returncode, before.stdout) == (1, "Not logged in\n")
    assert (between.returncode, between.stdout) == (0, "Login method: somebody\n")
    assert (after.returncode, after.stdout) == (0, "Not logged in\n")
    assert "auth login --console as" in (login_folder(server) / "seen").read_text()


def test_a_key_that_is_used_before_the_login_is_named(server: Machine) -> None:
    credentials = server.srv / "etc" / "credentials"
    credentials.mkdir(parents=True)
    (credentials / "anthropic_api_key").write_text("\n")
    assert "work with" not in server.python(ROOT_USER, "herald_cli", "agent-login").stderr
    (credentials / "anthropic_api_key").write_text("sk-ant-x\n")

    done = server.python(ROOT_USER, "herald_cli", "agent-login")

    assert "/srv/etc/credentials/anthropic_api_key is there: agents work with an API key" in done.stderr


def test_who_is_not_root_is_given_the_command(server: Machine) -> None:
    done = server.python(ADA, "herald_cli", "agent-login", "--status")

    assert done.returncode == 3
    assert "`sudo heraldctl agent-login --status`" in done.stderr


def test_a_missing_user_or_cli_is_told_with_what_installs_it(server: Machine) -> None:
    no_cli = server.python(ROOT_USER, "herald_cli", "agent-login", HERALD_CLAUDE="/srv/nowhere")
    group = (server.folder / "passwd").read_text()
    (server.folder / "passwd").write_text(group.replace("herald-agent", "somebody"))
    no_user = server.python(ROOT_USER, "herald_cli", "agent-login")

    assert no_cli.returncode == no_user.returncode == 2
    assert "looked for it in /srv/nowhere): `./install.sh --with-claude` installs it" in no_cli.stderr
    assert "there is no user herald-agent; install Herald first" in no_user.stderr


def test_a_link_in_the_agents_folder_leads_root_nowhere(server: Machine) -> None:
    target = server.srv / "of-root"
    target.mkdir(mode=0o700)
    login_folder(server).symlink_to("/srv/of-root")

    done = server.python(ROOT_USER, "herald_cli", "agent-login")

    assert done.returncode != 0
    assert list(target.iterdir()) == []


def test_a_login_that_fails_is_a_failure(server: Machine) -> None:
    program(server.srv / "claude", "#!/bin/sh\nexit 7\n")
    done = server.python(ROOT_USER, "herald_cli", "agent-login")

    assert done.returncode == 1
    assert "`claude auth login` ended with 7" in done.stderr


def test_the_real_cli_is_asked_in_the_folder_of_the_login(bus: Bus) -> None:
    bus.environment |= {"HERALD_MODE": "user", "HERALD_CLAUDE": claude.installed()}
    done = heraldctl(bus, "agent-login", "--status")

    assert done.returncode == 1
    assert "Not logged in" in done.stdout
    assert (bus.root / "state" / "agent" / "login").is_dir()


def test_afterwards_the_worker_is_asked_to_look_again(bus: Bus) -> None:
    ready = {
        "agent": "/opt/claude",
        "credential": "the login of Claude Code",
        "missing": ["no project"],
        "not_held": [],
    }
    bus.peer(names.WORKER, {"CheckAgent": {"reply": ready}})
    program(bus.root / "claude", _CLI)
    bus.environment |= {"HERALD_MODE": "user", "HERALD_CLAUDE": str(bus.root / "claude")}
    done = heraldctl(bus, "agent-login")

    assert done.returncode == 0, done.stderr
    assert "agents work with the login of Claude Code" in done.stdout
    assert done.stderr == "missing: no project\n"
    assert len(bus.calls(names.WORKER, "CheckAgent")) == 1


def test_an_interrupted_login_leaves_nothing_running(bus: Bus) -> None:
    program(bus.root / "claude", '#!/bin/sh\n[ "$2" = login ] && touch "$CLAUDE_CONFIG_DIR/begun" && exec sleep 60\n')
    environment = bus.environment | {"HERALD_MODE": "user", "HERALD_CLAUDE": str(bus.root / "claude")}
    command = [sys.executable, "-m", "herald_cli", "agent-login"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
        wait_for((bus.root / "state" / "agent" / "login" / "begun").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
