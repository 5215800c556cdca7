"""Who may direct Herald on a server: by group, by the table of services, by the operators of the configuration."""

import json
import uuid
from typing import Any

import pytest

from tests.system.bus import Bus
from tests.system.forge import Forge, Remote
from tests.system.machine import Machine

_SERVICE_USERS = ("herald-worker", "herald-agent", "herald-git", "herald-deploy", "herald-config")
_INTERFACES = ("Gateway", "Worker", "Config", "Agent", "Git", "Deploy")
_OPERATORS = """
operators:
  - {unix_user: rita, name: Rita, role: reader}
  - {unix_user: olaf, name: Olaf, role: operator}
  - {unix_user: paula, name: Paula, role: approver, projects: [other]}
  - {discord_id: "1001", name: Ada, role: approver}
  - {discord_id: "1002", name: Otto, role: operator}
"""
_CONNECT = """
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except PermissionError:
    sys.exit(3)
"""


@pytest.fixture(scope="module", autouse=True)
def people(machine: Machine, bus: Bus, forge: Forge, remote: Remote) -> None:
    """In group herald: ada, rita, olaf, paula; gina has it as her own group; bob is not in it; a second project."""
    machine.sh(
        "for each in ada rita olaf paula; do useradd --create-home --groups herald $each; done;"
        "useradd --create-home --gid herald gina; useradd --create-home bob"
    )
    forge.project("other", workspace="own")
    settings = machine.read("/etc/herald/herald.yaml")
    machine.write("/etc/herald/herald.yaml", settings + _OPERATORS, mode=0o640, owner="root:herald")
    machine.run("heraldctl", "reload")


@pytest.fixture
def card(bus: Bus) -> dict[str, Any]:
    """A proposal of `demo` that waits for votes."""
    bus.idle()
    if not bus.proposals(open=True):
        task = bus.enqueue(f"create hello.txt: {uuid.uuid4()}")
        assert bus.ended(task) == "done"
    [found] = bus.proposals(open=True)
    return found


def _ctl(machine: Machine, user: str, *words: str, stdin: str = "") -> tuple[int, str, str]:
    """Exit code, output and errors of heraldctl."""
    done = machine.run("heraldctl", *words, user=user, stdin=stdin, check=False)
    return done.returncode, done.stdout, done.stderr


def _call(machine: Machine, user: str, method: str, **parameters: object) -> tuple[int, str]:
    """Exit code and errors of a call."""
    code, _, errors = _ctl(machine, user, "call", f"io.herald.{method}", json.dumps(parameters))
    return code, errors


def _connects(machine: Machine, user: str, interface: str) -> bool:
    script = ("python3", "-c", _CONNECT, f"/run/herald/io.herald.{interface}")
    code = machine.run(*script, user=user, check=False).returncode
    assert code in (0, 3), (user, interface, code)
    return code == 0


def _assert_untouched(bus: Bus, remote: Remote, card: dict[str, Any]) -> None:
    assert bus.proposals(open=True) == [card]
    assert remote.heads().get(card["branch"]) != card["head"]


@pytest.mark.parametrize("user", ["ada", "gina", "root"])
def test_a_vote_is_accepted(machine: Machine, bus: Bus, remote: Remote, card: dict[str, Any], user: str) -> None:
    code, said, errors = _ctl(machine, user, "vote", "up", "--project", "demo")

    assert (code, errors) == (0, "")
    assert card["head"][:12] in said
    assert bus.settled(card["id"]) == "pushed"
    assert remote.heads()[card["branch"]] == card["head"]


@pytest.mark.parametrize("user", [*_SERVICE_USERS, "nobody", "bob", "rita", "olaf", "paula"])
def test_a_vote_is_refused(machine: Machine, bus: Bus, remote: Remote, card: dict[str, Any], user: str) -> None:
    code, said, errors = _ctl(machine, user, "vote", "up", "--project", "demo")

    assert (code, said) == (3, ""), errors
    assert errors.startswith("heraldctl: ")
    code, errors = _call(machine, user, "Worker.Vote", key=uuid.uuid4().hex, vote="approve", proposal=card["id"])
    assert code == 3, errors
    _assert_untouched(bus, remote, card)


@pytest.mark.parametrize("user", ["herald-agent", "herald-git", "herald-deploy", "herald-config"])
def test_a_service_user_that_was_put_into_the_group_is_still_nobody(
    machine: Machine, bus: Bus, remote: Remote, card: dict[str, Any], user: str
) -> None:
    machine.run("usermod", "--append", "--groups", "herald", user)
    try:
        assert _connects(machine, user, "Worker")
        for method in ("Worker.Vote", "Worker.GetStatus", "Gateway.GetStatus", "Config.Reload"):
            given = {"key": "k", "vote": "approve", "proposal": card["id"]} if method == "Worker.Vote" else {}
            code, errors = _call(machine, user, method, **given)
            assert code == 3, (method, errors)
    finally:
        machine.run("gpasswd", "--delete", user, "herald")
    _assert_untouched(bus, remote, card)


@pytest.mark.parametrize("author", ["discord:1002", "discord:4711", "unix:rita"])
def test_the_gateway_cannot_vote_for_who_may_not(
    machine: Machine, bus: Bus, remote: Remote, card: dict[str, Any], author: str
) -> None:
    given = {"key": uuid.uuid4().hex, "vote": "approve", "proposal": card["id"]}
    code, errors = _call(machine, "herald-gateway", "Worker.Vote", **given, author={"id": author, "name": "X"})

    assert code == 3
    assert "needs the role approver" in errors
    _assert_untouched(bus, remote, card)


def test_the_gateway_alone_votes_for_others(machine: Machine, bus: Bus, remote: Remote, card: dict[str, Any]) -> None:
    given = {"vote": "approve", "proposal": card["id"], "author": {"id": "discord:1001", "name": "Ada"}}
    for user in ("ada", "root", "herald-worker"):
        code, errors = _call(machine, user, "Worker.Vote", key=uuid.uuid4().hex, **given)
        assert code == 3, (user, errors)
    _assert_untouched(bus, remote, card)

    assert _call(machine, "herald-gateway", "Worker.Vote", key=uuid.uuid4().hex, **given) == (0, "")

    assert bus.settled(card["id"]) == "pushed"


def test_who_is_not_in_the_group_is_told_why_and_what_to_do(machine: Machine) -> None:
    for words in (("status",), ("run", "demo", "say hi"), ("posts",), ("reload",), ("config", "check")):
        code, said, errors = _ctl(machine, "bob", *words)
        assert (code, said) == (3, ""), words
        assert "for members of group herald, and bob is none: `sudo usermod -aG herald bob`" in errors, words
        assert len(errors.splitlines()) == 1


def test_the_line_that_is_told_helps(machine: Machine) -> None:
    machine.run("useradd", "--create-home", "newcomer")
    _, _, errors = _ctl(machine, "newcomer", "status")
    [advice] = [part for part in errors.split("`") if part.startswith("sudo ")]

    machine.sh(advice.removeprefix("sudo "))

    assert _ctl(machine, "newcomer", "status")[0] == 0


def test_who_was_put_into_the_group_after_the_session_began_is_told_to_log_in_again(machine: Machine) -> None:
    before = ("setpriv", "--reuid=ada", "--regid=ada", "--clear-groups", "heraldctl", "status")
    done = machine.run(*before, check=False)

    assert done.returncode == 3
    assert "log in again" in done.stderr


def test_a_service_user_is_told_that_it_calls_nothing_by_hand(machine: Machine) -> None:
    code, _, errors = _ctl(machine, "herald-agent", "status")

    assert code == 3
    assert "/run/herald/io.herald.Worker is not for herald-agent" in errors


def test_sockets_let_in_whom_they_are_for(machine: Machine) -> None:
    everyone = ("nobody", "bob", "ada", "gina", "herald-gateway", *_SERVICE_USERS)
    found = {user: {each for each in _INTERFACES if _connects(machine, user, each)} for user in everyone}

    open_to_the_group = {"Gateway", "Worker", "Config"}
    assert found == {
        **{user: set() for user in everyone},
        **dict.fromkeys(("ada", "gina", "herald-gateway"), open_to_the_group),
        "herald-worker": set(_INTERFACES),
    }


def test_a_reader_reads_and_does_nothing_else(machine: Machine, bus: Bus) -> None:
    before = len(bus.call("worker", "ListTasks")["tasks"])
    for reading in (("status",), ("queue",), ("projects",), ("proposals",), ("posts",)):
        assert _ctl(machine, "rita", *reading)[0] == 0, reading

    for words in (("run", "demo", "say hi"), ("cancel", "--project", "demo"), ("vote", "down", "--project", "demo")):
        code, _, errors = _ctl(machine, "rita", *words)
        assert code == 3, words
        assert "(`operators` in herald.yaml)" in errors
    _, said, _ = _ctl(machine, "rita", "chat", "demo", stdin="do something\n")
    assert "This needs the right operator in demo; you have reader" in said
    bus.idle()
    assert len(bus.call("worker", "ListTasks")["tasks"]) == before


def test_an_operator_hands_in_tasks_and_does_not_vote(machine: Machine, bus: Bus, card: dict[str, Any]) -> None:
    code, said, _ = _ctl(machine, "olaf", "run", "demo", "say hi", "--follow")

    assert (code, said.startswith("done: ")) == (0, True)
    code, _, errors = _ctl(machine, "olaf", "vote", card["id"], "down")
    assert code == 3
    assert "needs the role approver" in errors
    assert [each["id"] for each in bus.proposals(open=True)] == [card["id"]]


def test_rights_in_one_project_are_none_in_another(machine: Machine, bus: Bus) -> None:
    code, _, errors = _ctl(machine, "paula", "run", "demo", "say hi")
    assert (code, "needs the role operator" in errors) == (3, True)

    assert _ctl(machine, "paula", "run", "other", "create a.txt: a", "--follow")[0] == 0
    [proposal] = [each for each in bus.proposals(open=True) if each["project"] == "other"]
    assert _ctl(machine, "paula", "vote", "up", "--project", "other")[0] == 0
    assert bus.settled(proposal["id"]) == "pushed"


def test_rights_change_with_the_configuration(machine: Machine, bus: Bus) -> None:
    settings = machine.read("/etc/herald/herald.yaml")
    changed = settings.replace("{unix_user: rita, name: Rita, role: reader}", "{unix_user: rita, role: operator}")
    machine.write("/etc/herald/herald.yaml", changed, mode=0o640, owner="root:herald")
    machine.run("heraldctl", "reload")

    assert _ctl(machine, "rita", "run", "demo", "say hi", "--follow")[0] == 0

    machine.write("/etc/herald/herald.yaml", settings, mode=0o640, owner="root:herald")
    machine.run("heraldctl", "reload")
    assert _ctl(machine, "rita", "run", "demo", "say hi")[0] == 3
    bus.idle()
