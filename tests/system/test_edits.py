"""Whatever edits the files in /etc/herald, the last state is in force by itself; what is broken is told once."""

import re
from collections.abc import Iterator

import pytest

from tests.system.bus import Bus
from tests.system.crashes import Told
from tests.system.edits import BROKEN, EDITORS, FOLDER, Edit, in_force, many_projects
from tests.system.machine import Machine

_FILE = f"{FOLDER}/demo.yaml"
_WORKER = "herald-worker.service"
_UNITS = ("gateway", "worker", "agent@", "git@", "deploy@", "config@")
_PROBE = """\
#!/bin/sh
for each in projects/by-$1 projects/demo.yaml herald.yaml by-$1; do
  if (: >>/etc/herald/$each) 2>/dev/null; then echo "$1 may write $each"; fi
done
echo "$1 has tried"
"""


@pytest.fixture(scope="module", autouse=True)
def named(machine: Machine, bus: Bus) -> Iterator[None]:
    """The project has a display name, which the tests edit. There is a member of group herald, and a probe."""
    machine.sh("id -u alice >/dev/null 2>&1 || useradd --create-home --groups herald alice")
    machine.write("/etc/a-probe", _PROBE, mode=0o755)
    machine.sh(f"echo 'display_name: The first' >>{_FILE}")
    wait_until_shown(machine, bus, "The first")
    yield
    assert machine.systemctl("list-units", "--failed", "--no-legend") == ""


def shown(bus: Bus) -> str:
    """The display name that is in force."""
    return next((p["display_name"] for p in bus.call("worker", "ListProjects")["projects"] if p["name"] == "demo"), "")


def wait_until_shown(machine: Machine, bus: Bus, name: str) -> None:
    machine.wait_for(lambda: shown(bus) == name, f"{name!r} is in force")


@pytest.mark.parametrize("editor", EDITORS)
def test_an_edit_is_in_force_by_itself(machine: Machine, bus: Bus, editor: str) -> None:
    in_force(machine, "demo", [Edit(editor, f"Once by {editor}")])

    assert shown(bus) == f"Once by {editor}"
    assert bus.status()["config_errors"] == []


@pytest.mark.parametrize("editor", EDITORS)
def test_the_last_of_a_hundred_edits_in_a_burst_is_in_force(machine: Machine, bus: Bus, editor: str) -> None:
    names = [BROKEN if n % 3 == 1 else f"{editor} {n}" for n in range(100)]
    in_force(machine, "demo", [Edit(editor, name) for name in names])

    assert shown(bus) == f"{editor} 99"
    machine.wait_for(lambda: not bus.status()["config_errors"], "what was broken on the way is forgotten")


def test_the_last_of_twenty_edits_within_two_seconds_is_in_force(machine: Machine, bus: Bus) -> None:
    names = [BROKEN if n in (3, 18) else f"Edit {n}" for n in range(20)]
    in_force(machine, "demo", [Edit(EDITORS[n % 4], name, 0.1) for n, name in enumerate(names)])

    assert shown(bus) == "Edit 19"
    machine.wait_for(lambda: not bus.status()["config_errors"], "what was broken on the way is forgotten")


def test_an_edit_that_falls_into_a_compile_is_in_force(machine: Machine, bus: Bus) -> None:
    with many_projects(machine, 150):
        generation = bus.status()["config_generation"]
        for n in range(6):  # one after the other falls into a later moment of the compile
            pause = 0.3 + 0.25 * n
            in_force(machine, "demo", [Edit("rename", f"First {n}", pause), Edit("rename", f"Second {n}")])
        assert bus.status()["config_generation"] >= generation + 6
    assert shown(bus) == "Second 5"


def test_a_compiler_that_is_killed_keeps_no_edit_from_being_in_force(machine: Machine, bus: Bus) -> None:
    with many_projects(machine, 150):
        told = Told(machine)
        machine.sh(
            f"sed -i 's/^display_name: .*/display_name: After a kill/' {_FILE};"
            "until pkill -KILL -x herald-config; do sleep 0.1; done"
        )

        wait_until_shown(machine, bus, "After a kill")
    machine.wait_for(told.in_journal, "the kill is told, which on a busy machine comes after the next compile")
    [entry] = told.in_journal()
    assert entry["HERALD_UNIT"].startswith("herald-config@")
    assert "killed by SIGKILL" in entry["MESSAGE"]


def test_edits_during_a_downtime_are_in_force_after_the_start(machine: Machine, bus: Bus) -> None:
    machine.systemctl("stop", "herald.target")
    for n in range(3):
        machine.sh(f"sed -i 's/^display_name: .*/display_name: Down {n}/' {_FILE}")
    machine.systemctl("start", "herald.target")

    in_force(machine, "demo", [Edit("nobody", "Down 2")])
    assert shown(bus) == "Down 2"


def test_a_broken_file_is_told_once_and_the_last_good_one_holds_over_a_restart(
    machine: Machine, bus: Bus, request: pytest.FixtureRequest
) -> None:
    good, posts, mark = machine.read(_FILE), len(bus.posts()), machine.journal_mark()
    before = bus.status()["config_generation"], shown(bus)
    request.addfinalizer(lambda: machine.write(_FILE, good, mode=0o640, owner="root:herald"))
    machine.write(_FILE, good + "workspce: path\n", mode=0o640, owner="root:herald")
    [error] = machine.wait_for(lambda: bus.status()["config_errors"], "it is noticed")
    place = rf"{_FILE}:{good.count(chr(10)) + 1}: workspce: "
    assert re.match(place, error), error
    machine.wait_for(lambda: "configuration broken" in machine.show(_WORKER)["StatusText"], "STATUS says so")

    reloaded = machine.run("heraldctl", "reload", user="alice", check=False)
    assert reloaded.returncode != 0
    assert error in reloaded.stderr
    assert "the one before stays in force" in reloaded.stderr
    assert f"configuration: {error}" in machine.run("heraldctl", "status", user="alice").stdout
    machine.wait_for(lambda: told(bus, posts), "it is posted")
    machine.run("journalctl", "--sync")
    assert sum(error in text for text in machine.messages(_WORKER, after=mark)) == 1
    machine.systemctl("restart", "herald.target")
    machine.wait_for(lambda: bus.status()["config_errors"] == [error], "it is noticed again")
    assert (bus.status()["config_generation"], shown(bus)) == before
    assert bus.ended(bus.enqueue("say that it still works")) == "done"
    assert len(told(bus, posts)) == 1
    assert error in told(bus, posts)[0]

    machine.write(_FILE, good, mode=0o640, owner="root:herald")
    machine.wait_for(lambda: not bus.status()["config_errors"], "it is mended")
    machine.wait_for(lambda: "configuration broken" not in machine.show(_WORKER)["StatusText"], "STATUS says nothing")
    assert len(told(bus, posts)) == 1


def told(bus: Bus, since: int) -> list[str]:
    """Posts about a broken configuration."""
    return [post["text"] for post in bus.posts()[since:] if "configuration is broken" in post["text"]]


@pytest.mark.parametrize("how", ["umask 077; cat >{}", "cat >/root/x; chmod 600 /root/x; mv /root/x {}"])
def test_a_file_that_herald_cannot_read_is_told_with_what_to_do(
    machine: Machine, bus: Bus, how: str, request: pytest.FixtureRequest
) -> None:
    file = f"{FOLDER}/closed.yaml"
    request.addfinalizer(lambda: machine.run("rm", "-f", file))
    machine.sh(how.format(file), stdin="name: closed\npath: /srv/herald/repos/closed\ngit: {remote: /srv/closed.git}\n")
    [error] = machine.wait_for(lambda: bus.status()["config_errors"], "it is noticed")
    assert error.startswith(f"{file}: ")
    [command] = re.findall(r"`([^`]+)`", error)

    machine.sh(command.replace("sudo ", ""))  # which is not installed, and asks nothing of root

    machine.wait_for(lambda: "closed" in bus.projects(), "it is in force")
    machine.wait_for(lambda: not bus.status()["config_errors"], "it is mended")
    machine.run("rm", file)
    machine.wait_for(lambda: bus.projects() == ["demo"], "it is gone")


def test_members_of_the_group_may_check_the_configuration_and_others_are_told_why_not(machine: Machine) -> None:
    machine.run("heraldctl", "config", "check", user="alice")
    machine.sh(f"echo 'display_name: [' >{FOLDER}/wrong.yaml")
    wrong = machine.run("heraldctl", "config", "check", user="alice", check=False)
    machine.run("rm", f"{FOLDER}/wrong.yaml")
    refused = machine.run("heraldctl", "config", "check", user="nobody", check=False)

    assert wrong.returncode == 1
    assert f"{FOLDER}/wrong.yaml:" in wrong.stdout
    assert refused.returncode != 0
    assert "group herald" in refused.stderr


def test_of_all_units_herald_config_alone_writes_project_files(machine: Machine, bus: Bus) -> None:
    before = machine.sh("cd /etc/herald; find . -type f | sort; cat herald.yaml projects/*")
    mark = machine.journal_mark()
    folders = [f"/etc/systemd/system/herald-{unit}.service.d" for unit in _UNITS]
    for unit, folder in zip(_UNITS, folders, strict=True):
        machine.write(f"{folder}/70-probe.conf", f"[Service]\nExecStartPre=-/etc/a-probe {unit.strip('@')}\n")
    machine.systemctl("daemon-reload")
    try:
        machine.systemctl("restart", "herald-gateway.service", _WORKER)
        for service in ("agent", "git", "deploy", "config"):
            bus.call(service, "org.varlink.service.GetInfo")
    finally:
        machine.sh(" ".join(["rm", *(f"{folder}/70-probe.conf" for folder in folders)]))
        machine.systemctl("daemon-reload")
        machine.systemctl("restart", "herald-gateway.service", _WORKER)
    said = {line for line in machine.messages(after=mark) if " may write " in line or line.endswith(" has tried")}

    assert said == {"config may write projects/by-config", *(f"{unit.strip('@')} has tried" for unit in _UNITS)}
    machine.run("rm", f"{FOLDER}/by-config")
    assert machine.sh("cd /etc/herald; find . -type f | sort; cat herald.yaml projects/*") == before


@pytest.mark.parametrize(
    "user",
    ["herald-gateway", "herald-worker", "herald-agent", "herald-git", "herald-deploy", "nobody", "alice"],
)
def test_the_modes_alone_keep_a_user_from_writing_project_files(machine: Machine, user: str) -> None:
    tried = machine.run("/etc/a-probe", user, user=user)

    assert tried.stdout == f"{user} has tried\n"
