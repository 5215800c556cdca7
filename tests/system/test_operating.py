"""What an operator sees and does: status lines, the journal by project, heraldctl as a member of group herald."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.bus import Bus
from tests.system.forge import Forge, Remote
from tests.system.machine import Machine

_HELD = "shell while [ ! -e ~/{0} ]; do sleep 0.1; done; rm ~/{0}"
_SERVICES = ("herald-gateway.service", "herald-worker.service")


@pytest.fixture(scope="module", autouse=True)
def surroundings(machine: Machine, forge: Forge, remote: Remote) -> None:
    """A member of the group, a second project, and services that tell their status every two seconds."""
    machine.run("useradd", "--create-home", "--groups", "herald", "ada")
    forge.project("other", workspace="own")
    for unit in _SERVICES:
        machine.write(f"/etc/systemd/system/{unit}.d/50-tests.conf", "[Service]\nWatchdogSec=6s\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", *_SERVICES)


@pytest.fixture
def held(machine: Machine, bus: Bus) -> Iterator[str]:
    """A task of `demo` that runs until the end of the test."""
    task = bus.enqueue(_HELD.format("go"))
    bus.wait_for_event("task.running", task)
    yield task
    machine.write("/var/lib/herald/agent/homes/demo/go", "")
    bus.ended(task)
    bus.idle()


def _ctl(machine: Machine, *words: str, stdin: str = "") -> str:
    """What heraldctl prints to a member of the group."""
    done = machine.run("heraldctl", *words, user="ada", stdin=stdin, check=False, timeout=120)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def _json(machine: Machine, *words: str) -> Any:
    return json.loads(_ctl(machine, *words, "--json"))


def _wait_for_line(machine: Machine, unit: str, pattern: str) -> None:
    """Until the line `Status:` of `systemctl status` is that."""

    def shown() -> bool:
        said = machine.run("systemctl", "status", "--no-pager", unit, check=False).stdout
        return re.search(rf'^ *Status: "{pattern}"$', said, re.MULTILINE) is not None

    machine.wait_for(shown, f"{unit} says {pattern}; it says {machine.show(unit).get('StatusText')}", 120)


def test_the_status_lines_say_what_the_services_are_doing(machine: Machine, bus: Bus, remote: Remote) -> None:
    _wait_for_line(machine, "herald-worker.service", "idle")
    _wait_for_line(machine, "herald-gateway.service", r"terminal chat, \d+ posts?")

    task, queued = bus.enqueue(_HELD.format("go")), bus.enqueue("create hello.txt: hi")
    bus.wait_for_event("task.running", task)
    _wait_for_line(machine, "herald-worker.service", rf"running demo \(task {task}\), 1 queued")

    machine.write("/var/lib/herald/agent/homes/demo/go", "")
    assert bus.ended(queued) == "done"
    _wait_for_line(machine, "herald-worker.service", "idle, 1 waiting for a vote")

    bus.vote("reject")
    _wait_for_line(machine, "herald-worker.service", "idle")


def test_a_broken_configuration_is_in_the_status_line(machine: Machine) -> None:
    machine.write("/etc/herald/projects/broken.yaml", "name: [\n", mode=0o640, owner="root:herald")

    _wait_for_line(machine, "herald-worker.service", "configuration broken, last good one in force: .*broken.yaml.*")

    machine.run("rm", "/etc/herald/projects/broken.yaml")
    _wait_for_line(machine, "herald-worker.service", "idle")


def test_the_journal_is_filtered_by_project_and_has_each_run_from_begin_to_end(machine: Machine, bus: Bus) -> None:
    mark = machine.journal_mark()
    tasks = {name: bus.enqueue("create a.txt: a", project=name) for name in ("demo", "other")}
    assert {name: bus.ended(task) for name, task in tasks.items()} == dict.fromkeys(tasks, "done")
    for name in tasks:
        assert bus.settled(bus.vote(project=name)["id"]) == "pushed"
    bus.idle()

    machine.run("journalctl", "--sync")
    for name, task in tasks.items():
        entries = machine.journal(after=mark, HERALD_PROJECT=name)
        assert {each["HERALD_PROJECT"] for each in entries} == {name}
        agent = [each for each in entries if each["SYSLOG_IDENTIFIER"] == "herald-agent"]
        assert [each["MESSAGE"].strip() for each in agent] == ["run begins", "run ended: ok"]
        assert len({each["HERALD_RUN"] for each in agent}) == 1
        said = [(each["SYSLOG_IDENTIFIER"], each["MESSAGE"], each.get("HERALD_TASK")) for each in entries]
        assert ("herald-worker", "run ended: ok", task) in said
        assert [who for who, message, _ in said if message.startswith("push of ")] == ["herald-git"]
        assert {each["HERALD_PROJECT"] for each in machine.journal(after=mark, HERALD_TASK=task)} == {name}


def test_the_journal_of_a_unit_has_its_lines_with_their_priority(machine: Machine) -> None:
    entries = machine.journal("herald-worker.service")
    own = [each for each in entries if each["SYSLOG_IDENTIFIER"] == "herald-worker"]
    assert own
    assert {each["_UID"] for each in own} == {str(machine.user("herald-worker").uid)}
    assert {each["PRIORITY"] for each in own if each["MESSAGE"].startswith("run ended")} == {"5"}


def test_a_task_is_followed_voted_on_and_pushed(machine: Machine, bus: Bus, remote: Remote) -> None:
    said = _ctl(machine, "run", "demo", "create hello.txt: from Ada", "--follow")
    assert said.splitlines()[-1].startswith("done: ")
    [proposal] = _json(machine, "proposals")
    assert proposal["id"] in _ctl(machine, "proposals")

    said = _ctl(machine, "vote", proposal["id"], "up")

    assert said.startswith(f"proposal {proposal['id']} of demo, {proposal['head'][:12]}: ")
    assert bus.settled(proposal["id"]) == "pushed"
    assert remote.sh(f"git show {proposal['branch']}:hello.txt") == "from Ada"
    assert _ctl(machine, "proposals") == "no proposal is open\n"
    assert re.search(rf"^{proposal['id']} .*pushed", _ctl(machine, "proposals", "--all"), re.MULTILINE)
    bus.idle()


def test_queue_and_cancel(machine: Machine, bus: Bus, held: str) -> None:
    later = _json(machine, "run", "demo", "say later")["task"]
    last = _json(machine, "run", "demo", "say last")["task"]
    assert [line.split()[:3] for line in _ctl(machine, "queue").splitlines()] == [
        [held, "demo", "running"],
        [later, "demo", "queued"],
        [last, "demo", "queued"],
    ]
    assert f"running {held} of demo since " in _ctl(machine, "status")

    assert _ctl(machine, "cancel", "--project", "demo") == f"task {later} of demo: cancelled\n"
    assert _ctl(machine, "cancel", last) == f"task {last} of demo: cancelled\n"
    assert _ctl(machine, "cancel", "--project", "demo", "--running").startswith(f"task {held} of demo: ")

    assert bus.ended(held) == "cancelled"
    assert _ctl(machine, "queue") == "nothing is queued or running\n"
    assert re.search(rf"^{held} .*cancelled", _ctl(machine, "queue", "--ended"), re.MULTILINE)
    machine.wait_for(
        lambda: [name for name in machine.units("herald-agent@*") if name.endswith(".service")] == [],
        "the cancelled run's unit is gone",
    )


def test_projects_and_status(machine: Machine) -> None:
    rows = [line.split() for line in _ctl(machine, "projects").splitlines()]
    assert [(row[0], row[-3:]) for row in rows] == [
        ("demo", ["enabled", "0", "queued"]),
        ("other", ["enabled", "0", "queued"]),
    ]
    lines = _ctl(machine, "status").splitlines()
    assert lines[0].split() == ["worker", "idle"]
    assert re.fullmatch(r"gateway +terminal chat, \d+ posts?", lines[1])
    assert [line for line in lines[2:] if not line.startswith("not held: ")] == []


def test_reload_and_config_check(machine: Machine, bus: Bus) -> None:
    assert "has not changed" in _ctl(machine, "reload")
    text = machine.read("/etc/herald/projects/other.yaml")
    machine.write("/etc/herald/projects/other.yaml", f"{text}enabled: false\n", mode=0o640, owner="root:herald")
    assert machine.run("heraldctl", "config", "check", user="ada").returncode == 0

    machine.run("heraldctl", "reload", user="ada")

    assert {each["name"]: each["enabled"] for each in _json(machine, "projects")} == {"demo": True, "other": False}
    machine.write("/etc/herald/projects/other.yaml", f"{text}nonsense: 1\n", mode=0o640, owner="root:herald")
    for code, words in ((1, ("config", "check")), (2, ("reload",))):
        done = machine.run("heraldctl", *words, user="ada", check=False)
        assert done.returncode == code, done.stderr
        assert "other.yaml" in done.stdout + done.stderr
        assert "nonsense" in done.stdout + done.stderr
    machine.write("/etc/herald/projects/other.yaml", text, mode=0o640, owner="root:herald")
    assert re.search(r"^configuration \d+ (is in force|has not changed)$", _ctl(machine, "reload"), re.MULTILINE)


def test_any_method_of_the_bus_is_called(machine: Machine) -> None:
    status = json.loads(_ctl(machine, "call", "io.herald.Worker.GetStatus"))
    assert status["missing"] == []
    assert "GetStatus" in _ctl(machine, "introspect", "io.herald.Gateway")


def test_chat_and_posts(machine: Machine, bus: Bus) -> None:
    said = _ctl(machine, "chat", "demo", stdin="!queue\nsay good morning\n")

    assert "good morning" in said
    assert [post for post in bus.posts() if "good morning" in post["text"]] != []
    assert "good morning" in _ctl(machine, "posts", "--project", "demo")
    assert "good morning" not in _ctl(machine, "posts", "--project", "other")
    bus.idle()
