"""An administrator installs Herald, uses it, installs it again and removes it."""

import re

import pytest

from tests.support.anthropic import Api
from tests.system import layers
from tests.system.bus import Bus
from tests.system.conftest import CLAUDE, STANDIN
from tests.system.forge import Forge, Remote, set_agent, set_credential
from tests.system.machine import Machine

_SERVICES = ("herald-gateway.service", "herald-worker.service")
_SOCKETS = tuple(f"herald-{name}.socket" for name in ("gateway", "worker", "agent", "git", "deploy", "config"))
_INSTANCES = tuple(f"herald-{name}@1.service" for name in ("agent", "git", "deploy", "config"))
_HIGHEST_EXPOSURE = 1.5
_PLACES = {
    "/run/herald": "750 root:herald",
    "/run/herald/io.herald.Gateway": "660 root:herald",
    "/run/herald/io.herald.Worker": "660 root:herald",
    "/run/herald/io.herald.Config": "660 root:herald",
    "/run/herald/io.herald.Agent": "600 herald-worker:herald-worker",
    "/run/herald/io.herald.Git": "600 herald-worker:herald-worker",
    "/run/herald/io.herald.Deploy": "600 herald-worker:herald-worker",
    "/etc/herald": "2750 root:herald",
    "/etc/herald/herald.yaml": "640 root:herald",
    "/etc/herald/projects": "2750 herald-config:herald",
    "/etc/herald/credentials": "711 root:root",
    "/srv/herald": "755 root:root",
    "/srv/herald/repos": "2750 herald-agent:herald",
    "/var/lib/herald": "755 root:root",
    "/var/lib/herald/config": "750 herald-config:herald",
    "/var/lib/herald/gateway": "700 herald-gateway:herald-gateway",
    "/var/lib/herald/worker": "710 herald-worker:herald-objects",
    "/var/lib/herald/agent": "700 herald-agent:herald-agent",
    "/var/lib/herald/git": "700 herald-git:herald-git",
    "/var/lib/herald/deploy": "700 herald-deploy:herald-deploy",
    "/var/lib/herald/alert": "2750 root:herald",
}
_LISTING = "find /etc /opt /srv /usr /var/lib/herald/config -xdev -printf '%p %y %m %u:%g %s %T@ %l\\n' | sort"


def _states(machine: Machine) -> dict[str, str]:
    return {unit: machine.show(unit)["ActiveState"] for unit in ("herald.target", *_SERVICES, *_SOCKETS)}


def _all_active() -> dict[str, str]:
    return dict.fromkeys(("herald.target", *_SERVICES, *_SOCKETS), "active")


def test_a_booted_machine_runs_all_of_herald_and_nothing_failed(fresh: Machine) -> None:
    assert _states(fresh) == _all_active()
    assert fresh.systemctl("list-units", "--failed", "--no-legend") == ""
    assert fresh.systemctl("is-system-running") == "running"


def test_without_project_and_agent_the_status_says_what_is_missing(fresh: Machine) -> None:
    _wait_for_status(fresh, "no project is configured yet", "Claude Code is not installed")

    shown = fresh.run("heraldctl", "status").stdout
    assert "no project is configured yet" in shown
    assert "missing: Claude Code is not installed" in shown


def test_without_credential_the_status_says_what_is_missing_and_no_longer_when_it_is_there(fresh: Machine) -> None:
    if not fresh.exists(CLAUDE):
        pytest.skip("the Claude CLI is not here; `./install.sh test` installs it")
    set_agent(fresh, HERALD_CLAUDE=CLAUDE)
    fresh.run("heraldctl", "reload")

    fresh.systemctl("restart", "herald-worker.service")
    _wait_for_status(fresh, "no project is configured yet", "There is no credential for Claude", "agent-login")

    set_credential(fresh, "anthropic_api_key", "a-key-of-a-test")
    fresh.wait_for(lambda: not Bus(fresh).status()["missing"], "the credential is seen")
    fresh.wait_for(lambda: "credential" not in _status(fresh), "the worker's status says nothing of a credential")


def _status(machine: Machine) -> str:
    """The line that `systemctl status` shows of the worker."""
    return machine.show("herald-worker.service").get("StatusText", "")


def _wait_for_status(machine: Machine, *words: str) -> None:
    machine.wait_for(lambda: all(word in _status(machine) for word in words), f"the worker's status says {words}")


def test_disabling_the_target_stops_everything_and_enabling_it_starts_everything(fresh: Machine) -> None:
    inactive = dict.fromkeys(_all_active(), "inactive")

    fresh.systemctl("disable", "--now", "--quiet", "herald.target")

    fresh.wait_for(lambda: _states(fresh) == inactive, "everything has stopped")
    assert fresh.run("pgrep", "-f", "/opt/herald", check=False).stdout == ""
    assert fresh.systemctl("list-units", "--failed", "--no-legend") == ""

    fresh.systemctl("enable", "--now", "--quiet", "herald.target")

    fresh.wait_for(lambda: _states(fresh) == _all_active(), "everything runs")
    assert fresh.systemctl("list-units", "--failed", "--no-legend") == ""


def _follow_a_task_to_its_push(machine: Machine, bus: Bus, remote: Remote, text: str) -> str:
    """Hand in a task and vote as a member of group herald; returns what the pushed file holds."""
    before, updates = remote.heads(), remote.updates()
    machine.run("sh", "-c", "id -u alice >/dev/null 2>&1 || useradd --create-home --groups herald alice")

    followed = machine.run("heraldctl", "run", "demo", text, "--follow", user="alice", check=False, timeout=120)
    assert followed.returncode == 0, followed.stdout + followed.stderr
    [proposal] = bus.proposals(open=True)
    machine.run("heraldctl", "vote", "up", "--project", "demo", user="alice")

    assert bus.settled(proposal["id"]) == "pushed"
    assert remote.heads() == {**before, proposal["branch"]: proposal["head"]}
    assert remote.updates() == [*updates, [f"refs/heads/{proposal['branch']}", "0" * 40, proposal["head"]]]
    return remote.sh(f"git show {proposal['head']}:hello.txt")


def test_a_task_runs_and_its_commit_is_pushed_with_the_key(machine: Machine, bus: Bus, remote: Remote) -> None:
    assert _follow_a_task_to_its_push(machine, bus, remote, "create hello.txt: from the stand-in") == (
        "from the stand-in"
    )
    assert machine.systemctl("list-units", "--failed", "--no-legend") == ""


def test_a_task_runs_with_the_real_cli(machine: Machine, bus: Bus, remote: Remote, claude_api: Api) -> None:
    pushed = _follow_a_task_to_its_push(machine, bus, remote, "[[commit hello.txt from the CLI]]")

    assert pushed == "from the CLI"
    assert {each["headers"]["x-api-key"] for each in claude_api.requests()} == {"key-of-a-test"}
    assert machine.systemctl("list-units", "--failed", "--no-legend") == ""


@pytest.mark.parametrize("unit", [*_SERVICES, *_INSTANCES])
def test_a_service_is_hardened(machine: Machine, unit: str) -> None:
    said = machine.run("systemd-analyze", "security", "--no-pager", unit, env={"SYSTEMD_COLORS": "0"}).stdout

    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said
    # Where there is no Landlock the agent's unit is let into a user namespace of its own, which costs 0.5.
    lent = 0.5 if unit.startswith("herald-agent@") and not machine.system.landlock else 0.0
    assert float(found[1]) < _HIGHEST_EXPOSURE + lent, [
        line for line in said.splitlines() if line.lstrip().startswith("✗")
    ]


def test_systemd_finds_nothing_wrong_with_the_units(machine: Machine) -> None:
    said = machine.sh(
        "cd /usr/local/lib/systemd/system; systemd-analyze verify --man=no $(find herald* -type f -maxdepth 0) 2>&1"
    )

    assert said == ""


def test_files_and_folders_belong_to_whom_they_should(machine: Machine) -> None:
    found = {place: " ".join(machine.stat(place)) for place in _PLACES if machine.exists(place)}

    assert found == _PLACES
    credentials = machine.sh("stat -c '%a %U:%G' /etc/herald/credentials/*").splitlines()
    assert set(credentials) == {"600 root:root"}


def test_a_second_installation_changes_nothing_and_restarts_nothing(machine: Machine, bus: Bus) -> None:
    bus.idle()
    files, processes = machine.sh(_LISTING), [machine.main_pid(unit) for unit in _SERVICES]

    said = layers.install(machine).stdout

    assert "restarted in" not in said
    assert machine.sh(_LISTING) == files
    assert [machine.main_pid(unit) for unit in _SERVICES] == processes
    assert _states(machine) == _all_active()


def test_uninstalling_leaves_the_state_alone_and_a_second_installation_finds_it(fresh: Machine) -> None:
    set_agent(fresh, **STANDIN)
    forge = Forge(fresh)
    remote = forge.project("demo")
    bus = Bus(fresh)
    task = bus.enqueue("say hello")
    assert bus.ended(task) == "done"
    fresh.wait_for(lambda: fresh.sh("ls /var/lib/herald/worker/runs") == "", "the files of the run are gone")
    snapshot = fresh.sh("find /var/lib/herald /etc/herald /srv/herald -printf '%p %y %m\\n' | sort")

    layers.install(fresh, "--uninstall")

    _assert_removed(fresh)
    kept = fresh.sh("find /var/lib/herald /etc/herald /srv/herald -printf '%p %y %m\\n' | sort")
    assert _lasting(kept) == _lasting(snapshot)

    layers.install(fresh)
    fresh.systemctl("enable", "--now", "--quiet", "herald.target")

    assert _states(fresh) == _all_active()
    assert task in [each["id"] for each in bus.call("worker", "ListTasks", ended=True)["tasks"]]
    assert bus.projects() == ["demo"]
    assert _follow_a_task_to_its_push(fresh, bus, remote, "create hello.txt: again") == "again"


def _lasting(listing: str) -> set[str]:
    """Paths without what a running database has beside it."""
    return {line for line in listing.splitlines() if not re.search(r"\.sqlite-(wal|shm) ", line)}


def _assert_removed(machine: Machine) -> None:
    assert machine.units() == {}
    assert machine.systemctl("list-unit-files", "--no-legend", "herald*", check=False) == ""
    assert machine.run("pgrep", "-f", "/opt/herald", check=False).stdout == ""
    assert [line for line in machine.read("/etc/passwd").splitlines() if line.startswith("herald")] == []
    assert [line for line in machine.read("/etc/group").splitlines() if line.startswith("herald")] == []
    for path in ("/opt/herald", "/usr/local/bin/heraldctl", "/run/herald", "/etc/sysusers.d/herald.conf"):
        assert not machine.exists(path), path
