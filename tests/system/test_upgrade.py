"""Herald is brought up to date while it works, is interrupted in it, removed, and installed again."""

import re
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.system import layers, reach
from tests.system.bus import Bus
from tests.system.conftest import STANDIN
from tests.system.forge import Forge, Remote, set_agent
from tests.system.layers import SOURCES
from tests.system.machine import Command, Machine

_SERVICES = ("herald-worker.service", "herald-gateway.service")
_SOCKETS = tuple(f"herald-{name}.socket" for name in ("gateway", "worker", "agent", "git", "deploy", "config"))
_USERS = tuple(f"herald-{name}" for name in ("gateway", "worker", "agent", "git", "deploy", "config"))
_GROUPS = ("herald", "herald-objects")
_DROP_IN = "/etc/systemd/system/herald-worker.service.d/ours.conf"
_CONFIGURATION = "find /etc/herald /etc/systemd/system/herald* -type f -exec sha256sum {} + | sort -k 2"
_LISTING = (
    "find /etc /opt /srv /usr/local /var/lib /run/systemd/system -xdev ! -path '/var/lib/systemd*'"
    " ! -name '*.sqlite-*' -printf '%p %y %m %u:%g %s %T@ %l\\n' | sort"
)


def _set_version(machine: Machine, version: str) -> None:
    """The clone is of another version now."""
    machine.run("sed", "-i", f's/^__version__ = .*/__version__ = "{version}"/', f"{SOURCES}/shared/herald/__init__.py")


def _installed(machine: Machine) -> str:
    """The folder of the version that is installed."""
    return machine.sh("readlink -f /opt/herald/venv")


def _programs(machine: Machine) -> dict[str, str]:
    """The folder of the version that each long-running service runs."""
    return {unit: "/".join(_words(machine, machine.main_pid(unit))[0].split("/")[:5]) for unit in _SERVICES}


def _words(machine: Machine, pid: int) -> list[str]:
    return machine.read(f"/proc/{pid}/cmdline").split("\0")


def _main_pids(machine: Machine) -> list[int]:
    return [machine.main_pid(unit) for unit in _SERVICES]


def _agents(machine: Machine) -> list[int]:
    listed = machine.run("pgrep", "--uid", "herald-agent", "--full", "standin.py", check=False).stdout
    return [int(line) for line in listed.split()]


def _running(machine: Machine) -> list[str]:
    """The units of runs; one that the worker asks something is none."""
    units = machine.units("herald-agent@*.service")
    return [name for name in units if "run" in machine.show(name).get("StatusText", "")]


def _start_installation(machine: Machine) -> Command:
    return machine.popen(f"{SOURCES}/install.sh", env=reach.variables(), cwd=SOURCES, stdin=-3, stdout=-3, stderr=-3)


class View(NamedTuple):
    """What a machine runs, while a run goes on in it."""

    version: str
    programs: dict[str, str]
    agents: list[int]
    driver: int
    sockets: list[str]
    configuration: str


class Upgraded(NamedTuple):
    """A machine that was brought up to date with a run going, after an attempt that was killed."""

    task: str
    queued: str
    before: View
    pids: list[int]
    attempted: tuple[str, list[int], str]
    said: str
    after: View
    mark: str


@pytest.fixture(scope="module")
def upgraded(machine: Machine, bus: Bus) -> Upgraded:
    bus.idle()
    machine.write(_DROP_IN, "[Service]\nEnvironment=OURS=kept\n")
    machine.sh("echo '# a remark of ours' >>/etc/herald/herald.yaml")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", *_SERVICES)
    bus.idle()
    mark = machine.journal_mark()
    task = bus.enqueue("shell echo once >>.git/count; until [ -e .git/go ]; do sleep 0.1; done; echo finished")
    bus.wait_for_event("task.running", task)
    queued = bus.enqueue("create after.txt: by the new version")
    machine.wait_for(lambda: _agents(machine), "the agent works")
    [unit] = machine.wait_for(lambda: _running(machine), "its unit says so")
    before, pids = _view(machine, unit), _main_pids(machine)

    _set_version(machine, "0.1.1")
    attempted = _attempt(machine)
    said = layers.install(machine).stdout
    after = _view(machine, unit)

    machine.write("/srv/herald/repos/demo/.git/go", "", owner="herald-agent:herald-agent")
    return Upgraded(task, queued, before, pids, attempted, said, after, mark)


def _view(machine: Machine, unit: str) -> View:
    return View(
        version=_installed(machine),
        programs=_programs(machine),
        agents=_agents(machine),
        driver=machine.main_pid(unit),
        sockets=[machine.show(socket)["ActiveEnterTimestampMonotonic"] for socket in _SOCKETS],
        configuration=machine.sh(_CONFIGURATION),
    )


def _attempt(machine: Machine) -> tuple[str, list[int], str]:
    """Kill an installation in the middle of its step `program`; returns what is there then."""
    with _start_installation(machine) as process:
        half_made = 'for each in /opt/herald/versions/*/; do [ -e "$each/.complete" ] || ls "$each/bin/pip"; done'
        machine.wait_for(lambda: "pip" in machine.run("sh", "-c", half_made, check=False).stdout, "pip is at work")
        process.kill()
    assert process.returncode == -signal.SIGKILL or process.returncode == 128 + signal.SIGKILL
    return _installed(machine), _main_pids(machine), machine.run("heraldctl", "--version").stdout.strip()


def test_a_killed_installation_leaves_what_is_there_as_it_was(upgraded: Upgraded) -> None:
    assert upgraded.attempted == (upgraded.before.version, upgraded.pids, "0.1.0")


def test_the_next_installation_completes_what_was_begun(machine: Machine, upgraded: Upgraded) -> None:
    old, new = upgraded.before.version, upgraded.after.version

    assert old != new
    assert machine.run("heraldctl", "--version").stdout.strip() == "0.1.1"
    assert upgraded.before.programs == dict.fromkeys(_SERVICES, old)
    assert upgraded.after.programs == dict.fromkeys(_SERVICES, new)
    stamps = machine.sh("cd /opt/herald/versions; for each in *; do ls $each/.complete; done").splitlines()
    assert sorted(stamps) == sorted(f"{each.rpartition('/')[2]}/.complete" for each in (old, new))


def test_services_are_restarted_one_by_one_and_sockets_not_at_all(machine: Machine, upgraded: Upgraded) -> None:
    restarted = re.findall(r"^ +(herald-\S+) restarted in \d+ ms$", upgraded.said, re.MULTILINE)

    assert sorted(restarted) == sorted(_SERVICES)
    first, second = (machine.show(unit) for unit in restarted)
    assert int(first["ActiveEnterTimestampMonotonic"]) <= int(second["ActiveExitTimestampMonotonic"])
    assert upgraded.before.sockets == upgraded.after.sockets
    assert machine.systemctl("list-units", "--failed", "--no-legend") == ""


def test_the_run_goes_on_in_its_old_version_and_ends_well(machine: Machine, bus: Bus, upgraded: Upgraded) -> None:
    assert upgraded.before.agents == upgraded.after.agents != []
    assert upgraded.before.driver == upgraded.after.driver != 0

    assert bus.ended(upgraded.task) == "done"
    assert bus.ended(upgraded.queued) == "done"
    adopted = machine.messages("herald-worker.service", after=upgraded.mark)
    assert [each for each in adopted if "found a run after a restart: alive" in each]
    for task in (upgraded.task, upgraded.queued):
        kinds = bus.kinds(task)
        assert [kinds.count(kind) for kind in ("task.running", "task.requeued", "task.done")] == [1, 0, 1], kinds
    assert machine.read("/srv/herald/repos/demo/.git/count") == "once\n"
    assert any("finished" in each["text"] for each in bus.posts())


def test_configuration_and_the_operators_drop_ins_are_kept(machine: Machine, upgraded: Upgraded) -> None:
    assert upgraded.before.configuration == upgraded.after.configuration
    assert _DROP_IN in upgraded.after.configuration
    assert "OURS=kept" in machine.show("herald-worker.service")["Environment"]


def test_installing_the_same_again_restarts_nothing_and_changes_nothing(
    machine: Machine, bus: Bus, upgraded: Upgraded
) -> None:
    bus.idle()
    machine.wait_for(lambda: not _agents(machine), "no agent works")
    pids, files = _main_pids(machine), machine.sh(_LISTING)

    said = layers.install(machine).stdout

    assert "nothing had to be restarted" in said
    assert "Nothing had to be changed." in said
    assert _main_pids(machine) == pids
    assert machine.sh(_LISTING) == files


def test_restarting_the_target_again_and_again_ends_no_socket_for_good(fresh: Machine) -> None:
    for _ in range(8):  # systemd's own limit is five starts in ten seconds
        fresh.systemctl("restart", "--no-block", "herald.target")
        fresh.systemctl("restart", *_SOCKETS)

    fresh.systemctl("start", "herald.target")
    fresh.wait_for(
        lambda: {fresh.show(unit)["ActiveState"] for unit in (*_SOCKETS, *_SERVICES)} == {"active"}, "all run"
    )
    assert Bus(fresh).status()["queued"] == 0
    assert fresh.systemctl("list-units", "--failed", "--no-legend") == ""


@pytest.mark.parametrize("options", [(), ("--with-claude",), ("--uninstall",), ("--uninstall", "--purge")], ids=str)
def test_a_dry_run_says_its_commands_and_changes_nothing(
    machine: Machine, bus: Bus, upgraded: Upgraded, options: tuple[str, ...]
) -> None:
    bus.idle()
    _set_version(machine, "0.1.2")
    pids, files = _main_pids(machine), machine.sh(_LISTING)

    said = layers.install(machine, *options, "--dry-run").stdout

    _set_version(machine, "0.1.1")
    assert "Nothing was changed." in said
    assert re.search(r"^ +\+ (rm|/usr/bin/python3)", said, re.MULTILINE), said
    assert _main_pids(machine) == pids
    assert machine.sh(_LISTING) == files


def test_an_installation_killed_after_a_unit_was_written_is_completed_by_the_next(
    machine: Machine, bus: Bus, upgraded: Upgraded
) -> None:
    bus.idle()
    name = "herald-gateway.service"
    place = f"/usr/local/lib/systemd/system/{name}"
    machine.sh(f"sed -i 's/^Description=.*/Description=Another gateway/' {SOURCES}/units/{name}")
    worker, gateway = _main_pids(machine)

    with _start_installation(machine) as process:
        written = Path(f"/proc/{machine.leader}/root{place}")
        machine.wait_for(lambda: "Another gateway" in written.read_text(), "the unit is written")
        process.kill()
    assert _main_pids(machine) == [worker, gateway]
    said = layers.install(machine).stdout

    assert "herald-gateway.service restarted" in said
    assert "herald-worker.service restarted" not in said
    assert machine.show(name)["Description"] == "Another gateway"
    assert machine.show(name)["NeedDaemonReload"] == "no"
    assert machine.main_pid("herald-worker.service") == worker
    assert machine.main_pid(name) not in (0, gateway)
    assert "nothing had to be restarted" in layers.install(machine).stdout


def _push(bus: Bus, remote: Remote, text: str) -> str:
    """A task and its push; returns what the pushed file holds."""
    assert bus.ended(bus.enqueue(text)) == "done"
    [proposal] = bus.proposals(open=True)
    bus.vote()
    assert bus.settled(proposal["id"]) == "pushed", bus.posts()[-3:]
    return remote.sh(f"git show {proposal['head']}:hello.txt")


def _owners(machine: Machine) -> dict[str, str]:
    """Who owns what of all that is kept, by name."""
    script = "find /var/lib/herald /etc/herald /srv/herald ! -name '*.sqlite-*' -printf '%u:%g %p\\n'"
    return {path: who for who, _, path in (line.partition(" ") for line in machine.sh(script).splitlines())}


def _numbers(machine: Machine, file: str, names: tuple[str, ...]) -> dict[str, int]:
    lines = [line.split(":") for line in machine.read(file).splitlines()]
    return {fields[0]: int(fields[2]) for fields in lines if fields[0] in names}


def _take_numbers(machine: Machine, uids: dict[str, int], gids: dict[str, int]) -> None:
    """Give the numbers of removed users to others: agent and git to each other, the rest to strangers."""
    swapped = {"herald-agent": "herald-git", "herald-git": "herald-agent"}
    for name, gid in gids.items():
        machine.run("groupadd", "--gid", str(gid), swapped.get(name, f"stranger-{name}"))
    for name, uid in uids.items():
        taker = swapped.get(name, f"stranger-{name}")
        machine.run("useradd", "--no-create-home", f"--uid={uid}", f"--gid={gids[name]}", taker)


def test_installed_again_with_other_numbers_for_its_users_it_finds_all_and_purging_leaves_only_repositories(
    fresh: Machine,
) -> None:
    set_agent(fresh, **STANDIN)
    remote, bus = Forge(fresh).project("demo"), Bus(fresh)
    assert _push(bus, remote, "create hello.txt: before") == "before"
    task = bus.enqueue("say it once")
    assert bus.ended(task) == "done"
    uids, gids = _numbers(fresh, "/etc/passwd", _USERS), _numbers(fresh, "/etc/group", (*_USERS, *_GROUPS))
    owners = _owners(fresh)

    layers.install(fresh, "--uninstall")
    _take_numbers(fresh, uids, gids)
    said = layers.install(fresh).stdout

    assert "users have other numbers than before" in said
    now = _numbers(fresh, "/etc/passwd", _USERS)
    assert [name for name in _USERS if now[name] == uids[name]] == []
    found = _owners(fresh)
    assert {path: found.get(path) for path in owners} == owners
    assert not [path for path, who in found.items() if "stranger" in who or re.search(r"\b\d+\b", who)]
    fresh.systemctl("enable", "--now", "--quiet", "herald.target")
    assert bus.task(task)["state"] == "done"
    assert _push(bus, remote, "create hello.txt: afterwards") == "afterwards"
    _assert_purged(fresh, layers.install(fresh, "--uninstall", "--purge").stdout)


def _assert_purged(machine: Machine, said: str) -> None:
    assert "kept: /srv/herald/repos" in said
    assert machine.exists("/srv/herald/repos/demo/.git")
    for path in ("/var/lib/herald", "/etc/herald", "/opt/herald", "/run/herald", "/usr/local/bin/heraldctl"):
        assert not machine.exists(path), path
    assert machine.units() == {}
    assert machine.sh("find /etc /usr/local /run -xdev -name 'herald*' ! -path '*/machines/*'") == ""
    assert machine.run("pgrep", "--full", "/opt/herald", check=False).stdout == ""
    assert _numbers(machine, "/etc/passwd", _USERS) == {}
    assert _numbers(machine, "/etc/group", (*_USERS, *_GROUPS)) == {}
