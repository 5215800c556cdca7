"""An ordinary user installs Herald for themselves, uses it and removes it, and needs root for nothing."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import anthropic, claude
from tests.system.conftest import CLAUDE, STANDIN, machine_of
from tests.system.forge import KEY, Forge, Remote
from tests.system.layers import Layer
from tests.system.machine import Machine
from tests.system.person import UNITS, Person

_ALL_ACTIVE = dict.fromkeys(UNITS, "active")
_PROBE = (Path(__file__).parent / "probe.py").read_text(encoding="utf-8")


class Begun(NamedTuple):
    """A person whose Herald was installed and started, and how it was before there was a project."""

    person: Person
    forge: Forge
    said: str
    states: dict[str, str]
    failed: str
    shown: str
    status: str


@pytest.fixture(scope="module")
def begun(layer: Layer) -> Iterator[Begun]:
    # The service manager of a user sees that a cgroup is empty only in cgroup v2, whatever this machine has.
    with machine_of(layer._replace(system=layer.system._replace(unified=True))) as machine:
        machine.boot()
        machine.systemctl("disable", "--now", "--quiet", "herald.target")
        person, forge = Person(machine, "ada"), Forge(machine)
        said = person.install().stdout
        person.systemctl("enable", "--now", "--quiet", "herald.target")
        states, failed = person.states(), person.failed()
        machine.wait_for(lambda: "not installed" in person.status_line(), "the worker knows what is missing")
        yield Begun(person, forge, said, states, failed, person.heraldctl("status").stdout, person.status_line())
        machine.power_off()


@pytest.fixture(scope="module")
def remote(begun: Begun) -> Remote:
    """The remote of the project `demo`, whose agent is the stand-in; `other` is another project."""
    person = begun.person
    person.set_agent(**STANDIN)
    person.set_credential("git_ssh_key", person.machine.read(KEY))
    person.project(begun.forge, "other")
    return person.project(begun.forge, "demo")


@pytest.fixture
def ada(begun: Begun, remote: Remote) -> Person:
    """The person, with a project."""
    return begun.person


def _steps(said: str) -> list[str]:
    return re.findall(r"^\[(\d)/8\] .+ \.\.\. \d+\.\d s$", said, re.MULTILINE)


def _not_held(said: str) -> list[str]:
    return re.findall(r"^ +not held here: (.*)$", said, re.MULTILINE)


def test_after_the_installation_everything_is_active_and_nothing_failed(begun: Begun) -> None:
    assert _steps(begun.said) == list("12345678")
    assert "systemctl --user enable --now herald.target" in begun.said
    assert begun.states == _ALL_ACTIVE
    assert begun.failed == ""


def test_without_project_and_agent_the_status_says_what_is_missing(begun: Begun) -> None:
    for said in (begun.shown, begun.status):
        assert "no project is configured yet" in said
        assert "Claude Code is not installed" in said
    assert "missing: Claude Code is not installed" in begun.said


def test_the_installation_lists_what_is_not_held_and_so_does_each_run(begun: Begun, ada: Person) -> None:
    listed = ada.call("io.herald.Agent.Check")["not_held"]

    assert _not_held(begun.said) == listed == []
    _run(ada, "say hello")
    assert _reported(ada) == set()


def _reported(person: Person) -> set[str]:
    """What runs of `demo` have told the journal that is not held."""
    return {each for each in person.messages(HERALD_PROJECT="demo") if each.startswith("not held: ")}


def _run(person: Person, text: str, *, project: str = "demo") -> str:
    """Hand in a task and wait for its good end; returns its id."""
    done = person.heraldctl("run", project, text, "--follow", "--json", check=False, timeout=120)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{person.messages()[-30:]}"
    return str(json.loads(done.stdout.splitlines()[-1])["id"])


def _follow_to_push(person: Person, remote: Remote, text: str) -> str:
    """Hand in a task and vote for it; returns what the pushed file holds."""
    before, updates = remote.heads(), remote.updates()
    _run(person, text)
    [proposal] = person.call("io.herald.Worker.ListProposals", open=True)["proposals"]

    person.heraldctl("vote", "up")

    def states() -> list[str]:
        found = person.call("io.herald.Worker.ListProposals", open=False)["proposals"]
        return [each["state"] for each in found if each["id"] == proposal["id"]]

    person.machine.wait_for(lambda: states() not in (["open"], ["approved"], ["pushing"]), "the push has ended")
    assert states() == ["pushed"], person.heraldctl("posts").stdout[-2000:]
    assert remote.heads() == {**before, proposal["branch"]: proposal["head"]}
    assert len(remote.updates()) == len(updates) + 1
    return remote.sh(f"git show {proposal['head']}:hello.txt")


def test_a_task_is_done_and_pushed_with_the_key_among_the_credentials(ada: Person, remote: Remote) -> None:
    assert _follow_to_push(ada, remote, "create hello.txt: with the credential") == "with the credential"
    assert ada.failed() == ""


def test_a_task_is_done_and_pushed_with_the_key_that_the_user_has_anyway(ada: Person, remote: Remote) -> None:
    key = ada.machine.read(KEY)
    ada.set_credential("git_ssh_key", "")
    ada.write(f"{ada.home}/.ssh/id_ed25519", key)

    assert _follow_to_push(ada, remote, "create hello.txt: with my own key") == "with my own key"

    ada.run("rm", f"{ada.home}/.ssh/id_ed25519")
    ada.set_credential("git_ssh_key", key)


@contextmanager
def _real_cli(person: Person, folder: Path) -> Iterator[anthropic.Api]:
    claude.installed()
    if not person.machine.exists(CLAUDE):
        pytest.skip("the Claude CLI that is named is no program of its own; unset HERALD_TEST_CLAUDE")
    with anthropic.serve(folder) as api:
        given = api.environment(HERALD_CLAUDE=CLAUDE)
        person.set_credential("anthropic_api_key", given.pop("ANTHROPIC_API_KEY"))
        person.set_agent(**given)
        try:
            yield api
        finally:
            person.set_agent(**STANDIN)
            person.set_credential("anthropic_api_key", "")


def test_the_real_cli_does_a_task_with_the_key_among_the_credentials(
    ada: Person, remote: Remote, tmp_path: Path
) -> None:
    with _real_cli(ada, tmp_path) as api:
        pushed = _follow_to_push(ada, remote, "[[commit hello.txt from the CLI]]")

    assert pushed == "from the CLI"
    assert {each["headers"]["x-api-key"] for each in api.requests()} == {"key-of-a-test"}
    assert ada.failed() == ""


def _alone(ada: Person) -> list[str]:
    """The unit of the agent, when there is exactly one."""
    units = [name for name in ada.units() if name.startswith("herald-agent@")]
    return units if len(units) == 1 else []


def test_a_run_keeps_its_locks_with_the_service_manager_and_leaves_nothing(ada: Person) -> None:
    go = f"{ada.repos}/demo/.git/go"
    ada.heraldctl("run", "demo", f"shell (setsid sleep 600 >/dev/null &); until [ -e {go} ]; do sleep 0.1; done")
    ada.machine.wait_for(lambda: ada.processes(of="sleep 600"), "the agent works")
    units = ada.machine.wait_for(lambda: _alone(ada), "only the run's unit is left, not that of a look at the agent")
    [unit] = units

    assert ada.show(unit)["NFileDescriptorStore"] == "3"
    ada.write(go, "")

    ada.machine.wait_for(lambda: unit not in ada.units(), "the run has ended")
    assert ada.processes(of="sleep 600") == []
    ada.run("rm", go)


def _probe(person: Person, project: str = "demo") -> dict[str, str]:
    """What an agent of the project succeeds in: `done`, or why not."""
    worker = person.show("herald-worker.service")["MainPID"]
    order = {
        "home": person.home, "state": person.state, "config": person.config, "runtime": person.runtime,
        "own": f"{person.repos}/demo", "other": f"{person.repos}/other", "worker": worker,
    }  # fmt: skip
    person.write(f"{person.repos}/{project}/.git/probe.py", _PROBE)
    _run(person, f"shell python3 .git/probe.py {shlex.quote(json.dumps(order))} >.git/probe.json", project=project)
    found: dict[str, str] = json.loads(person.run("cat", f"{person.repos}/{project}/.git/probe.json").stdout)
    return found


def test_an_agent_reaches_its_project_and_nothing_else_of_its_user(ada: Person) -> None:
    ada.write(f"{ada.home}/.ssh/id_secret", "secret")

    found = _probe(ada)

    possible = {name for name in found if name.startswith("may ")}
    assert {name: found[name] for name in possible} == dict.fromkeys(possible, "done")
    assert len(possible) >= 4
    assert {name: said for name, said in found.items() if name not in possible and said == "done"} == {}
    assert len(found) - len(possible) >= 25
    for path in (".evil", ".config/systemd/user/evil.service", "herald/other/evil"):
        assert not ada.machine.exists(f"{ada.home}/{path}")
    assert ada.states() == _ALL_ACTIVE


def _going(person: Person) -> list[str]:
    """Units that are not at rest; a slice is no process."""
    return [unit for unit, state in person.units().items() if state != "inactive" and not unit.endswith(".slice")]


def test_stopping_the_target_ends_a_run_and_starting_it_does_the_task(ada: Person) -> None:
    go = f"{ada.repos}/demo/.git/go"
    queued = ada.heraldctl("run", "demo", f"shell until [ -e {go} ]; do sleep 0.1; done; echo over", "--json").stdout
    task = str(json.loads(queued)["task"])
    ada.machine.wait_for(lambda: any(unit.startswith("herald-agent@") for unit in ada.units()), "the run goes")

    ada.systemctl("stop", "herald.target")

    ada.machine.wait_for(lambda: _going(ada) == [], "everything has stopped")
    assert ada.processes() == []
    ada.write(go, "")
    ada.systemctl("start", "herald.target")
    state = "io.herald.Worker.GetTask"
    ada.machine.wait_for(lambda: ada.call(state, task=task)["state"] == "done", "the task is done after all")
    ada.run("rm", go)


def test_folders_that_cannot_be_part_of_a_unit_are_refused_before_anything_is_done(ada: Person) -> None:
    place = f"{ada.home}/a place"

    done = ada.install(env={"XDG_STATE_HOME": place, "XDG_DATA_HOME": place}, check=False)

    assert done.returncode == 3, done.stdout + done.stderr
    assert f"{place}/herald" in done.stderr
    assert "XDG_STATE_HOME" in done.stderr
    assert not ada.machine.exists(place)
    assert ada.states() == _ALL_ACTIVE


@contextmanager
def _without_namespaces(person: Person) -> Iterator[None]:
    """The person's service manager and all that it starts can make no user namespace, as on some machines nobody can.

    The switch of the kernel would hold for everything on the machine below.
    """
    unit = f"user@{person.uid}.service"
    folder = f"/run/systemd/system/{unit}.d"
    person.machine.write(f"{folder}/restrict.conf", "[Service]\nRestrictNamespaces=~user\n")
    _start_manager_again(person.machine, unit)
    try:
        yield
    finally:
        person.machine.run("rm", "-r", folder)
        _start_manager_again(person.machine, unit)


def _start_manager_again(machine: Machine, unit: str) -> None:
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", unit)


def test_where_users_have_no_namespaces_it_is_said_and_everything_else_works(ada: Person, remote: Remote) -> None:
    unit = f"{ada.home}/.local/share/systemd/user/herald-agent@.service"
    with _without_namespaces(ada):
        said = ada.install().stdout
        ada.machine.wait_for(lambda: ada.states() == _ALL_ACTIVE, "everything runs")

        assert "this machine gives users no namespaces" in said
        assert "PrivateUsers=" not in ada.machine.read(unit)
        assert _not_held(said) != []
        assert _not_held(said) == ada.call("io.herald.Agent.Check")["not_held"]
        _run(ada, "say hello")
        assert _reported(ada) == {f"not held: {each}" for each in _not_held(said)}
        assert _follow_to_push(ada, remote, "create hello.txt: without namespaces") == "without namespaces"
        assert "not held" in ada.heraldctl("status").stdout

    assert "gives users no namespaces" not in ada.install().stdout
    ada.machine.wait_for(lambda: ada.states() == _ALL_ACTIVE, "everything runs")
    assert "PrivateUsers=yes" in ada.machine.read(unit)


def test_a_removal_keeps_the_state_and_a_second_installation_finds_it(ada: Person, remote: Remote) -> None:
    task = _run(ada, "say something to remember")
    kept = f"cd {ada.home}; find .config/herald .local/state/herald herald -type f ! -name '*.sqlite-*' | sort"
    before = ada.sh(kept)

    ada.install("--uninstall")

    assert ada.units() == {}
    assert ada.systemctl("list-unit-files", "--no-legend", "herald*", check=False) == ""
    assert ada.processes() == []
    for path in (ada.programs, f"{ada.home}/.local/bin/heraldctl", f"{ada.runtime}/herald"):
        assert not ada.machine.exists(path), path
    assert ada.sh(kept) == before

    ada.install()
    ada.systemctl("enable", "--now", "--quiet", "herald.target")

    assert ada.states() == _ALL_ACTIVE
    assert ada.call("io.herald.Worker.GetTask", task=task)["state"] == "done"
    assert _follow_to_push(ada, remote, "create hello.txt: once more") == "once more"
