"""What a run may reach: its own project, and nothing else of the machine.

One run tries all of `probes`, while another project's run goes on beside it and instances of the other units wait.
"""

import contextlib
import functools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.system import probes
from tests.system.bus import Bus
from tests.system.forge import Forge, Remote, set_credential
from tests.system.machine import Machine
from tests.system.probes.places import OF_OTHER, REPOSITORIES, SECRET, STATE
from tests.system.systems import System

_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = "/opt/probes"
_KEY = "an-api-key-of-a-test"
_MARK = "left-by-a-run"
_PYTHON = ("env", "PYTHONSAFEPATH=1", f"PYTHONPATH={_FOLDER}", "/usr/bin/python3", "-B", "-m", "tests.system.probes")
_LEFT = (
    rf"find / -xdev \( -name {_MARK} -o -name 'probe-[0-9]*' -o -name 'linked-[0-9]*' -o -name '*.moved' \);"
    f"find /tmp /var/tmp /dev/shm -name {_MARK}"
)
_LISTEN = """
import signal, socket, sys
kept = []
for path in sys.argv[1:]:
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].bind(path.replace("@", "\\0", 1))
    kept[-1].listen()
print("listening", flush=True)
sys.stdin.read()
"""
_HOLD = """
import socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[1])
    print("connected", flush=True)
    sys.stdin.read()
"""


_UNHELD_BY_LANDLOCK = {f"set the {what} of {place}" for what in ("time", "mode") for place in OF_OTHER}
_UNHELD_BY_A_NAMESPACE = {
    "unshare user",
    "unshare mount",
    "reach an abstract socket",
    *(f"{act} {who}" for act in ("signal", "signal by handle") for who in ("driver", "other-driver", "other-agent")),
}


class Tried(NamedTuple):
    """Why each probe failed, empty where it succeeded: of a run, and of root."""

    run: dict[str, str]
    root: dict[str, str]
    left: list[str]
    """Files that are there although the run has ended."""


@pytest.fixture(scope="module")
def tried(machine: Machine, bus: Bus, forge: Forge, remote: Remote) -> Iterator[Tried]:
    """What came of all probes."""
    _prepare(machine, forge)
    answers = {"run": f"{STATE}/agent/homes/demo/answers.json", "root": f"{_FOLDER}/answers.json"}
    with contextlib.ExitStack() as stack:
        facts = _surroundings(machine, bus, stack) | {"remote": remote.url}
        for who, path in answers.items():
            machine.write(f"{_FOLDER}/{who}.json", json.dumps(facts | {"answers": path}))
        task = bus.enqueue(f"shell {' '.join(_PYTHON)} {_FOLDER}/run.json 2>&1")
        assert bus.ended(task) == "done", bus.task(task)
        assert machine.exists(answers["run"]), bus.task(task)
        left = machine.sh(_LEFT).splitlines()
        machine.run(*_PYTHON, f"{_FOLDER}/root.json", cwd=f"{REPOSITORIES}/demo")
        found = {who: json.loads(machine.read(path)) for who, path in answers.items()}
        machine.write(f"{STATE}/agent/homes/other/go", "")
        yield Tried(found["run"], found["root"], left)
    bus.idle()


def _prepare(machine: Machine, forge: Forge) -> None:
    """A second project, everybody's secrets, and the probes."""
    settings = machine.read("/etc/herald/herald.yaml")
    machine.write("/etc/herald/herald.yaml", f"{settings}\nmax_active: 2\n", mode=0o640, owner="root:herald")
    forge.project("other", workspace="own")
    for name in ("discord_token", "claude_oauth_token"):
        set_credential(machine, name, SECRET)
    set_credential(machine, "anthropic_api_key", _KEY)
    machine.run("useradd", "--create-home", "alice")
    machine.sh(
        f"chmod 755 /home/alice; echo {SECRET} | tee /home/alice/notes /root/notes >/dev/null;"
        f"cd {STATE}; for each in gateway worker git deploy alert; do echo {SECRET} >$each/{SECRET};"
        f"chown --reference=$each $each/{SECRET}; done;"
        f"mkdir -p agent/login; echo {SECRET} >agent/login/.credentials.json; chown -R herald-agent: agent/login;"
        f"mkdir -p {_FOLDER}; install -m 4755 /usr/bin/id {_FOLDER}/id-of-root"
    )
    files = ["tests/__init__.py", "tests/system/__init__.py"]
    files += [str(each.relative_to(_ROOT)) for each in sorted(Path(probes.__file__).parent.glob("*.py"))]
    for name in files:
        machine.write(f"{_FOLDER}/{name}", (_ROOT / name).read_text())


def _surroundings(machine: Machine, bus: Bus, stack: contextlib.ExitStack) -> dict[str, Any]:
    """What goes on in the machine meanwhile, and whose processes that are."""
    abstract = f"herald-test-{machine.name}"
    _stay(machine, stack, "root", _LISTEN, "/run/docker.sock", f"@{abstract}")
    for interface in ("Git", "Deploy"):
        _stay(machine, stack, "herald-worker", _HOLD, f"/run/herald/io.herald.{interface}")
    _stay(machine, stack, "root", _HOLD, "/run/herald/io.herald.Config")
    waits = bus.enqueue("shell while [ ! -e ~/go ]; do sleep 0.1; done", project="other")
    bus.wait_for_event("task.running", waits)
    agent = machine.wait_for(lambda: _instance(machine, "agent"), "the other run's unit is alone")
    machine.wait_for(lambda: len(machine.pids(agent)) > 2, "the other project's agent")
    machine.sh(
        f"cd {STATE}/agent; for each in homes workspaces; do echo {SECRET} >$each/other/{SECRET};"
        f"chown herald-agent: $each/other/{SECRET}; done"
    )
    pids = {name: machine.main_pid(f"herald-{name}.service") for name in ("gateway", "worker")}
    for name in ("git", "deploy", "config"):
        unit = machine.wait_for(functools.partial(_instance, machine, name), f"the instance of {name} is alone")
        pids[name] = machine.main_pid(unit)
    pids["other-driver"] = machine.main_pid(agent)
    pids["other-agent"] = sorted(machine.pids(agent))[1]
    sockets = machine.sh("find /run -type s ! -path '/run/systemd/journal/*' ! -path /run/systemd/notify").splitlines()
    facts = {"sockets": sockets, "pids": pids, "abstract": abstract, "key": _KEY, "mark": _MARK}
    return facts | {"workspace": f"{REPOSITORIES}/demo"}


def _instance(machine: Machine, name: str) -> str:
    """The only instance of a unit; empty while there are others, such as those that the worker asks something."""
    found = [unit for unit in machine.units(f"herald-{name}@*") if unit.endswith(".service")]
    return found[0] if len(found) == 1 else ""


def _stay(machine: Machine, stack: contextlib.ExitStack, user: str, script: str, *words: str) -> None:
    """Something that goes on until the probes are done."""
    pipe = subprocess.PIPE
    command = stack.enter_context(machine.popen("python3", "-c", script, *words, user=user, stdin=pipe, stdout=pipe))
    assert command.stdout is not None
    assert command.stdout.readline(), f"{words} as {user}"


@pytest.mark.parametrize("name", probes.FORBIDDEN)
def test_a_run_may_not(tried: Tried, system: System, name: str) -> None:
    unheld = _UNHELD_BY_LANDLOCK if system.landlock else _UNHELD_BY_A_NAMESPACE
    if name in unheld:
        assert tried.run[name] == "", "is held meanwhile: take it off the list here and in SECURITY.md"
        pytest.xfail("not held by what keeps runs apart on this machine, see SECURITY.md")

    assert tried.run[name] != ""


def test_each_of_these_acts_can_be_done_by_root(tried: Tried) -> None:
    assert {name: why for name, why in tried.root.items() if why} == {}


@pytest.mark.parametrize("name", probes.NEEDED)
def test_a_run_can(tried: Tried, name: str) -> None:
    assert tried.run[f"needed: {name}"] == ""


def test_nothing_of_a_run_stays_outside_its_workspace_and_home(tried: Tried) -> None:
    assert tried.left == []


def test_no_run_reached_the_remote(tried: Tried, remote: Remote) -> None:
    assert remote.heads() == {"main": remote.base}
    assert remote.updates() == []
