"""Parts of an installed Herald are killed, frozen, restarted and stopped while tasks run and wait."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGSTOP
from subprocess import PIPE
from typing import Any

import pytest

from tests.support.anthropic import Api
from tests.system.conftest import Site
from tests.system.ledger import Going, Ledger, instances, of_site

_WATCHDOG = 5.0
_RUNAWAYS = ("setsid sleep 4001", "(trap '' TERM HUP INT; sleep 4002)", "(setsid sleep 4003 &)", "nohup sleep 4004")
"""Started in the background, all of these go on when whoever started them has ended."""


@pytest.fixture(scope="module")
def ledger(site: Site) -> Ledger:
    """The tasks of the machine that the tests of this module share."""
    return of_site(site)


@pytest.fixture(autouse=True)
def nothing_held(ledger: Ledger) -> Iterator[None]:
    """A test that fails does not hold up the next one."""
    yield
    ledger.release_all()


def _restart(ledger: Ledger, unit: str) -> None:
    ledger.machine.systemctl("restart", unit)


def _kill(ledger: Ledger, unit: str) -> None:
    ledger.machine.kill(ledger.machine.main_pid(unit))


def _gone(ledger: Ledger, going: Going) -> None:
    """Nothing of a run is left; its unit follows in a moment."""
    assert not ledger.lives(going.driver)
    assert not ledger.lives(going.agent)
    assert ledger.machine.pids(going.unit) == []
    ledger.machine.wait_for(lambda: going.unit not in instances(ledger, going.unit), f"{going.unit} is gone")


@pytest.mark.parametrize("end", [_kill, _restart])
def test_a_run_goes_on_while_the_worker_is_replaced_and_is_adopted(
    ledger: Ledger, end: Callable[[Ledger, str], None]
) -> None:
    name = f"adopted-by{end.__name__}"
    task, behind = ledger.running(name), ledger.hold(f"{name}-behind")
    going, worker = ledger.going(), ledger.machine.main_pid("herald-worker.service")
    mark = ledger.machine.journal_mark()

    end(ledger, "herald-worker.service")

    ledger.machine.wait_for(
        lambda: "found a run after a restart: alive" in ledger.machine.messages(after=mark, HERALD_TASK=task),
        "the new worker has found the run",
    )
    late = ledger.hold(f"{name}-late")
    assert ledger.machine.main_pid("herald-worker.service") not in (0, worker)
    assert ledger.going() == going
    ledger.release(name, f"{name}-behind", f"{name}-late")
    assert [ledger.bus.ended(each) for each in (task, behind, late)] == ["done"] * 3
    assert ledger.steps(task) == ["queued", "starting", "running", "done"]
    assert ledger.begun(name) == 1
    _gone(ledger, going)


def test_the_gateway_killed_while_tasks_run_and_end_tells_all_of_them(ledger: Ledger) -> None:
    task, behind = ledger.running("untold"), ledger.hold("untold-behind")
    going, gateway = ledger.going(), ledger.machine.main_pid("herald-gateway.service")

    _kill(ledger, "herald-gateway.service")
    ledger.release("untold", "untold-behind")

    assert [ledger.bus.ended(each) for each in (task, behind)] == ["done"] * 2
    ledger.bus.idle()
    keys = {ledger.bus.task(each)["key"] for each in (task, behind)}
    assert keys <= {post["answers"] for post in ledger.bus.posts() if post["kind"] == "answer"}
    assert ledger.machine.main_pid("herald-gateway.service") not in (0, gateway)
    assert ledger.begun("untold") == 1
    _gone(ledger, going)


@pytest.mark.parametrize("victim", ["driver", "agent"])
def test_a_run_of_which_a_part_is_killed_ends_whole_and_its_task_is_done_once(ledger: Ledger, victim: str) -> None:
    name = f"killed-{victim}"
    runaways = " ".join(f"{each} >/dev/null 2>&1 &" for each in _RUNAWAYS)
    task = ledger.running(name, first=f"if [ ! -e ~/{name} ]; then {runaways} : >~/{name}; fi")
    ledger.machine.wait_for(lambda: len(_runaways(ledger)) == len(_RUNAWAYS), "the runaways run")
    going = ledger.going()
    assert ledger.machine.show(going.unit)["NFileDescriptorStore"] == "3"  # its locks outlive its driver

    ledger.machine.kill(getattr(going, victim))

    ledger.bus.wait_for_event("task.requeued", task)
    assert _runaways(ledger) == []
    _gone(ledger, going)
    ledger.release(name)
    assert ledger.bus.ended(task) == "done"
    assert ledger.bus.task(task)["attempt"] == ledger.begun(name) == 2


def _runaways(ledger: Ledger) -> list[str]:
    return ledger.machine.run("pgrep", "-f", "^sleep 400[1-4]$", check=False).stdout.split()


def test_the_real_cli_killed_in_a_run_is_started_again(ledger: Ledger, claude_api: Api) -> None:
    task = ledger.running("killed-claude", words="[[bash {}]]")
    going = ledger.going()

    ledger.machine.kill(going.agent)

    ledger.bus.wait_for_event("task.requeued", task)
    _gone(ledger, going)
    ledger.release("killed-claude")
    assert ledger.bus.ended(task) == "done"
    assert ledger.bus.task(task)["attempt"] == ledger.begun("killed-claude") == 2
    assert {each["scenario"] for each in claude_api.requests()} == {"bash"}


def test_what_an_agent_leaves_behind_is_gone_when_its_run_ends(ledger: Ledger) -> None:
    runaways = " ".join(f"{each} >/dev/null 2>&1 &" for each in _RUNAWAYS)
    task = ledger.running("leaving", first=f"{runaways} :")
    ledger.machine.wait_for(lambda: len(_runaways(ledger)) == len(_RUNAWAYS), "the runaways run")
    going = ledger.going()
    assert set(map(int, _runaways(ledger))) < set(ledger.machine.pids(going.unit))

    ledger.release("leaving")

    assert ledger.bus.ended(task) == "done"
    assert _runaways(ledger) == []
    _gone(ledger, going)
    assert ledger.begun("leaving") == 1


@pytest.mark.parametrize("hook", ["pre-receive", "post-receive"])
def test_a_push_whose_unit_is_killed_is_made_once(ledger: Ledger, hook: str) -> None:
    task = ledger.hold(f"pushed-{hook}")
    ledger.release(f"pushed-{hook}")
    assert ledger.bus.ended(task) == "done"
    [proposal] = ledger.bus.proposals(open=True)
    before = ledger.pushes()
    reached, go = ledger.remote.hold(hook)
    ledger.bus.vote()
    ledger.machine.wait_for(lambda: ledger.machine.exists(reached), f"{hook} is reached")
    [unit] = instances(ledger, "herald-git@*")

    _kill(ledger, unit)

    ledger.machine.wait_for(lambda: unit not in instances(ledger, "herald-git@*"), "that unit is gone")
    ledger.remote.sh(f": >{go}")
    assert ledger.bus.settled(proposal["id"]) == "pushed"
    assert len(ledger.pushes()) == len(before) + 1
    ledger.machine.wait_for(lambda: instances(ledger, "herald-git@*") == [], "no git unit is left")
    ledger.remote.accept()


def test_a_compile_that_is_killed_is_made_again(ledger: Ledger) -> None:
    lock = ledger.machine.popen("flock", "--no-fork", "/var/lib/herald/config/lock", "sleep", "60")
    file = "/etc/herald/projects/demo.yaml"
    before = ledger.machine.read(file)
    ledger.machine.write(file, f"{before}display_name: changed\n", mode=0o640, owner="root:herald")
    [unit] = ledger.machine.wait_for(lambda: instances(ledger, "herald-config@*"), "a compile has begun")

    _kill(ledger, unit)
    lock.kill()
    lock.wait()

    ledger.machine.wait_for(
        lambda: '"changed"' in ledger.machine.read("/var/lib/herald/config/snapshot.json"), "the change is in force"
    )
    ledger.machine.write(file, before, mode=0o640, owner="root:herald")


def test_a_frozen_act_with_the_remote_is_ended_and_made_again(ledger: Ledger) -> None:
    task = ledger.hold("pushed-frozen")
    ledger.release("pushed-frozen")
    assert ledger.bus.ended(task) == "done"
    [proposal] = ledger.bus.proposals(open=True)
    before = ledger.pushes()
    reached, go = ledger.remote.hold("pre-receive")
    with _short_watchdog(ledger, "herald-git@.service"):
        ledger.bus.vote()
        ledger.machine.wait_for(lambda: ledger.machine.exists(reached), "the hook is reached")
        [unit] = instances(ledger, "herald-git@*")

        ledger.machine.kill(ledger.machine.main_pid(unit), SIGSTOP)

        ledger.machine.wait_for(lambda: unit not in instances(ledger, "herald-git@*"), "the frozen unit is gone")
    ledger.remote.sh(f": >{go}")
    assert ledger.bus.settled(proposal["id"]) == "pushed"
    assert len(ledger.pushes()) == len(before) + 1
    ledger.remote.accept()


def test_a_frozen_compile_is_ended_and_made_again(ledger: Ledger) -> None:
    lock = ledger.machine.popen("flock", "--no-fork", "/var/lib/herald/config/lock", "sleep", "60")
    file = "/etc/herald/projects/demo.yaml"
    before = ledger.machine.read(file)
    with _short_watchdog(ledger, "herald-config@.service"):
        ledger.machine.write(file, f"{before}display_name: thawed\n", mode=0o640, owner="root:herald")
        [unit] = ledger.machine.wait_for(lambda: instances(ledger, "herald-config@*"), "a compile has begun")
        ledger.machine.wait_for_unit(unit)

        ledger.machine.kill(ledger.machine.main_pid(unit), SIGSTOP)
        lock.kill()
        lock.wait()

        ledger.machine.wait_for(
            lambda: '"thawed"' in ledger.machine.read("/var/lib/herald/config/snapshot.json"), "the change is in force"
        )
    ledger.machine.write(file, before, mode=0o640, owner="root:herald")


@contextmanager
def _short_watchdog(ledger: Ledger, unit: str) -> Iterator[None]:
    folder = f"/etc/systemd/system/{unit}.d"
    ledger.machine.write(f"{folder}/60-watchdog.conf", f"[Service]\nWatchdogSec={_WATCHDOG:g}s\n")
    ledger.machine.systemctl("daemon-reload")
    try:
        yield
    finally:
        ledger.machine.run("rm", f"{folder}/60-watchdog.conf")
        ledger.machine.systemctl("daemon-reload")


@pytest.mark.parametrize("service", ["herald-gateway.service", "herald-worker.service"])
def test_a_frozen_service_is_replaced_within_twice_its_watchdog(ledger: Ledger, service: str) -> None:
    name = f"frozen-{service.split('.')[0]}"
    task = ledger.running(name)
    going = ledger.going()
    with _short_watchdog(ledger, service):
        _restart(ledger, service)
        frozen = ledger.machine.main_pid(service)

        stopped = time.monotonic()
        ledger.machine.kill(frozen, SIGSTOP)

        ledger.machine.wait_for(
            lambda: ledger.machine.main_pid(service) not in (0, frozen), f"{service} is replaced", 20.0
        )
        started = int(ledger.machine.show(service)["ExecMainStartTimestampMonotonic"]) / 1e6
        assert 0.0 < started - stopped < 2 * _WATCHDOG
        ledger.machine.wait_for_unit(service)
        assert not ledger.lives(frozen)
        assert ledger.going() == going
    _restart(ledger, service)
    ledger.release(name)
    assert ledger.bus.ended(task) == "done"
    assert ledger.begun(name) == 1
    _gone(ledger, going)


def test_a_frozen_driver_is_ended_with_its_agent_and_the_task_is_done(ledger: Ledger) -> None:
    with _short_watchdog(ledger, "herald-agent@.service"):
        task = ledger.running("frozen-driver")
        going = ledger.going()

        stopped = time.monotonic()
        ledger.machine.kill(going.driver, SIGSTOP)

        ledger.machine.wait_for(
            lambda: not (ledger.lives(going.driver) or ledger.lives(going.agent)), "both have ended"
        )
        assert time.monotonic() - stopped < 2 * _WATCHDOG
        ledger.bus.wait_for_event("task.requeued", task)
        _gone(ledger, going)
    ledger.release("frozen-driver")
    assert ledger.bus.ended(task) == "done"
    assert ledger.begun("frozen-driver") == ledger.bus.task(task)["attempt"] == 2


_ASK = """
import json, os, sys, tempfile
from herald.bus import blocking
from herald.errors import HeraldError

base, cell = sys.argv[1:]
names = ("prompt", "base_pack", "control", "lock", "result", "log", "pack", "attachments")
files = {**dict.fromkeys(names, ""), "prompt": "say hi", "lock": cell}
given = {
    "run": "own-1", "project": "demo", "workspace": "demo", "branch": "agent/demo-own", "base": base, "session": "",
    "resume": False, "deadline": 30.0, "title": "own", **{name: number for number, name in enumerate(files)},
}
with tempfile.TemporaryDirectory() as folder:
    paths = [os.path.join(folder, name) for name in files]
    for path, text in zip(paths, files.values()):
        with open(path, "w") as file:
            file.write(text)
    try:
        answers = list(blocking.stream("agent", "Run", given, fds=tuple(os.open(path, os.O_RDWR) for path in paths)))
        said = [answer["state"] for answer in answers]
    except HeraldError as error:
        said = f"{type(error).__name__}: {error.message}"
    written = {name: open(path).read() for name, path in zip(files, paths)}
    print(json.dumps({"said": said, "written": {name: text for name, text in written.items() if text != files[name]}}))
"""
"""As the worker's user: Run on the agent's socket itself, with files of its own. Prints what came of it."""

_OCCUPY = """
import socket, sys

taken = []
for _ in range(int(sys.argv[1])):
    taken.append(socket.socket(socket.AF_UNIX))
    taken[-1].connect("/run/herald/io.herald.Agent")
print("taken", flush=True)
sys.stdin.read()
"""
_PYTHON = ("/opt/herald/venv/bin/python", "-c")


def _ask(ledger: Ledger, cell: str = "") -> dict[str, Any]:
    asked = ledger.machine.run(*_PYTHON, _ASK, ledger.remote.base, cell, user="herald-worker", cwd="/")
    found: dict[str, Any] = json.loads(asked.stdout)
    return found


def test_a_second_agent_asked_for_on_the_socket_itself_is_refused_while_one_runs(ledger: Ledger) -> None:
    task = ledger.running("alone")
    going = ledger.going()

    for _ in range(2):
        asked = _ask(ledger)
        assert asked == {"said": "Busy: all places for agents are taken (max_active: 1)", "written": {}}

    assert ledger.going() == going
    ledger.release("alone")
    assert ledger.bus.ended(task) == "done"
    ledger.machine.wait_for(lambda: instances(ledger, "herald-agent@*") == [], "the place is free")
    asked = _ask(ledger)
    assert asked["said"] == ["started", "ended"]
    assert asked["written"]["lock"].startswith("started ")
    assert '"outcome":"ok"' in asked["written"]["result"].replace(" ", "")
    assert _ask(ledger, "void\n") == {"said": "Conflict: this run may not begin, its cell says: void", "written": {}}


def test_a_run_for_which_systemd_has_no_place_waits_and_is_no_attempt(ledger: Ledger) -> None:
    places = ledger.machine.show("herald-agent.socket")["MaxConnections"]
    streams = {"stdin": PIPE, "stdout": PIPE}
    with ledger.machine.popen(*_PYTHON, _OCCUPY, places, user="herald-worker", **streams) as occupant:
        assert occupant.stdout is not None
        assert occupant.stdout.readline() == "taken\n"
        ledger.machine.wait_for(lambda: len(instances(ledger, "herald-agent@*")) == int(places), "all places are taken")
        assert _ask(ledger) == {"said": "Busy: herald-agent has no place for another connection", "written": {}}

        task = ledger.hold("crowded")
        ledger.release("crowded")

        requeued = json.loads(ledger.bus.wait_for_event("task.requeued", task)["data"])
        assert requeued["reason"].startswith("herald-agent"), requeued
        occupant.communicate("")
    assert ledger.bus.ended(task) == "done"
    assert ledger.bus.task(task)["attempt"] == ledger.begun("crowded") == 1


def test_afterwards_every_task_has_ended_once_and_nothing_is_left(ledger: Ledger) -> None:
    ledger.push()

    ledger.check()
