"""Whoever may not use Herald is told why and what to do, by every command; so is whoever uses it while it is away."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from herald import names
from tests.support.users import ADA, ADA_BEFORE, AGENT, EVE, ROOT_USER, Machine, User, machine

__all__ = ["machine"]

_COMMANDS = (
    ("status",),
    ("run", "demo", "go"),
    ("vote", "up"),
    ("queue",),
    ("projects",),
    ("reload",),
    ("posts",),
    ("chat", "demo"),
    ("call", "io.herald.Worker.GetStatus"),
    ("introspect", "io.herald.Worker"),
    ("config", "check"),
)


@pytest.fixture
def server(machine: Machine) -> Iterator[Machine]:
    """The folders and sockets of an installation with the modes that they have, and nobody who serves."""
    bus, etc = machine.srv / "run", machine.srv / "etc"
    machine.environment |= {"HERALD_BUS": "/srv/run", "HERALD_CONFIG": "/srv/etc"}
    sockets = []
    for folder in (bus, etc):
        folder.mkdir()
        chown(folder, 0, 9100, 0o750)
    for service in (*names.LONG_RUNNING, *names.ON_CONNECT):
        listening = socket.socket(socket.AF_UNIX)
        path = bus / names.interface_of(service)
        listening.bind(str(path))
        chown(path, *((9002, 0, 0o600) if service in (names.AGENT, names.GIT, names.DEPLOY) else (0, 9100, 0o660)))
        sockets.append((listening, path))
    yield machine
    for listening, path in sockets:
        listening.close()
        path.unlink(missing_ok=True)


def chown(path: Path, uid: int, gid: int, mode: int) -> None:
    os.chown(path, uid, gid)
    path.chmod(mode)


def heraldctl(machine: Machine, user: User, *arguments: str, **environment: str) -> tuple[int, str]:
    done = machine.python(user, "herald_cli", *arguments, **environment)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_user_outside_the_group_is_told_how_to_get_in(server: Machine, command: tuple[str, ...]) -> None:
    code, words = heraldctl(server, EVE, *command)

    assert code == 3
    assert "is for members of group herald, and eve is none: `sudo usermod -aG herald eve`, then log in again" in words
    assert len(words.splitlines()) == 1


def test_a_session_that_is_older_than_the_membership_is_told_to_log_in_again(server: Machine) -> None:
    code, words = heraldctl(server, ADA_BEFORE, "status")

    assert code == 3
    assert "ada has become one after this session began: log in again" in words


@pytest.mark.parametrize("interface", ["io.herald.Agent", "io.herald.Git", "io.herald.Deploy"])
def test_members_are_refused_at_the_sockets_of_the_worker(server: Machine, interface: str) -> None:
    code, words = heraldctl(server, ADA, "call", f"{interface}.Run")

    assert code == 3
    assert "not open to people, members of group herald included" in words


def test_the_agents_user_is_not_advised_to_join_the_group(server: Machine) -> None:
    code, words = heraldctl(server, AGENT, "status")

    assert code == 3
    assert "usermod" not in words
    assert "not for herald-agent" in words


@pytest.mark.parametrize(
    ("mode", "start"),
    [("system", "`systemctl start herald.target`"), ("user", "`systemctl --user start herald.target`")],
)
def test_a_herald_that_does_not_run_is_told_with_what_starts_it(server: Machine, mode: str, start: str) -> None:
    for path in (server.srv / "run").iterdir():
        path.unlink()
    code, words = heraldctl(server, ADA if mode == "system" else ROOT_USER, "status", HERALD_MODE=mode)

    assert code == 6
    assert "Herald is not running" in words
    assert start in words


def test_in_user_mode_another_user_is_not_sent_into_a_group(server: Machine) -> None:
    code, words = heraldctl(server, EVE, "status", HERALD_MODE="user")

    assert code == 3
    assert "belongs to another user" in words
