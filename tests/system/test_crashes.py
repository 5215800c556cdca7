"""Crash loops, restarts and bursts of connections end no socket, and each crash is told as it should be."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.system.bus import Bus
from tests.system.crashes import CALLER, FOLDER, Told, cause, crash_prone
from tests.system.forge import Remote, set_credential
from tests.system.machine import Command, Machine

PYTHON = "/opt/herald/venv/bin/python"
_LONG_RUNNING = ("gateway", "worker")
_ON_CONNECT = ("agent", "git", "deploy", "config")
_CRASHES = 11
_LOOKS_EVERY = 10.0
"""Seconds between two looks of the gateway for alerts, as it is installed."""
_SLACK = 3.0
"""Seconds by which a loaded machine may be late with what is due."""
_SECRET = "a-credential-of-no-known-shape"
_SHAPED = "sk-ant-api03-0123456789abcdef"
_WORDS = "".join(f"line {n}\n" for n in range(1, 31)) + f"{_SECRET} and {_SHAPED}\nthe end\n"

BURST = """
import socket, sys

for path in sys.argv[1:]:
    for _ in range(1000):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(path)
"""
"""python: SOCKET...; connects so many times to each, and says nothing."""


@pytest.fixture(scope="module", autouse=True)
def alice(machine: Machine) -> Iterator[str]:
    """A member of group herald. The gateway looks for alerts each 3 s, not each 10 s."""
    machine.sh("id -u alice >/dev/null 2>&1 || useradd --create-home --groups herald alice")
    machine.write("/etc/systemd/system/herald-gateway.service.d/50-tests.conf", "[Service]\nWatchdogSec=9s\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "herald-gateway.service")
    yield "alice"
    assert_all_well(machine)


def assert_all_well(machine: Machine) -> None:
    """Every socket listens, both services run, no unit failed, no instance is left."""
    for name in (*_LONG_RUNNING, *_ON_CONNECT):
        assert machine.show(f"herald-{name}.socket")["ActiveState"] == "active"
    for name in _LONG_RUNNING:
        machine.wait_for_unit(f"herald-{name}.service")
    assert machine.systemctl("list-units", "--failed", "--no-legend") == ""
    for name in _ON_CONNECT:
        machine.wait_for(lambda name=name: not machine.units(f"herald-{name}@*"), f"no instance of {name} is left")


@contextlib.contextmanager
def calling(machine: Machine, service: str, deadline: float) -> Iterator[Command]:
    """Somebody in group herald who calls again and again for the length of the block."""
    pipe = subprocess.PIPE
    words = (PYTHON, "-c", CALLER, service, str(deadline))
    with machine.popen(*words, user="alice", stdin=pipe, stdout=pipe, stderr=pipe) as caller:
        try:
            assert caller.stdout is not None
            assert caller.stdout.readline() == "ready\n"
            yield caller
        finally:
            if caller.poll() is None and caller.stdin is not None and not caller.stdin.closed:
                caller.kill()


def said(caller: Command) -> list[tuple[str, float]]:
    """How its calls ended, and how long each took; it stops."""
    out, error = caller.communicate("stop\n", timeout=90)
    assert error == ""
    return [(each[0], each[1]) for each in map(json.loads, out.splitlines())]


@pytest.mark.parametrize("service", _LONG_RUNNING)
def test_a_crash_loop_keeps_its_callers_waiting_and_is_told_once_and_ends_by_itself(
    machine: Machine, bus: Bus, service: str
) -> None:
    unit = f"herald-{service}.service"
    told = Told(machine)
    set_credential(machine, "anthropic_api_key", _SECRET)
    with crash_prone(machine, service), contextlib.ExitStack() as stack:
        with cause(machine, service, _WORDS):
            machine.wait_for(lambda: restarts(machine, unit) > 2, f"{unit} crashes")
            patient = stack.enter_context(calling(machine, service, 60))
            hurried = stack.enter_context(calling(machine, service, 1))
            machine.wait_for(lambda: restarts(machine, unit) >= _CRASHES, f"{unit} crashes on")
            assert machine.show(f"herald-{service}.socket")["ActiveState"] == "active"
            assert machine.show(unit)["ActiveState"] in ("activating", "deactivating")
            in_time = said(hurried)
            [entry] = told.in_journal()  # also while it is the gateway that crashes
        machine.wait_for_unit(unit)
        assert said(patient)[0][0] == "answered"
        assert told.of_unit(unit) == [entry] == told.in_journal()
        assert told.held_back(unit) == restarts(machine, unit) - 1
        post = assert_posted_once(machine, told, unit)
        if service == "gateway":
            since = machine.show(unit)["ActiveEnterTimestamp"]
            assert_at_once(machine, post, since)
    set_credential(machine, "anthropic_api_key", "")

    assert {each for each, _ in in_time} == {"Unavailable"}
    assert max(took for _, took in in_time) < 1 + _SLACK
    assert_all_well(machine)


def restarts(machine: Machine, unit: str) -> int:
    """How often systemd has started a unit again by itself."""
    return int(machine.show(unit)["NRestarts"])


def assert_posted_once(machine: Machine, told: Told, unit: str) -> dict[str, Any]:
    """As members of the group see it: the unit, the reason, the last lines, and no secret; returns the post."""
    machine.wait_for(told.posts, f"the crash of {unit} is posted")
    shown = machine.run("heraldctl", "posts", user="alice").stdout
    [post] = told.posts()
    [entry] = told.in_journal()
    assert entry["PRIORITY"] == "3"
    for text in (entry["MESSAGE"], post["text"] + post["file"], shown):
        assert f"{unit} crashed at" in text
        assert "exit status 1" in text
        assert f"`journalctl -u {unit}`" in text
        assert "line 30\n[secret] and [secret]\nthe end" in text
        assert _SECRET not in text
        assert _SHAPED not in text
        assert "line 1\n" not in text
    return post


def assert_at_once(machine: Machine, post: dict[str, Any], since: str) -> None:
    """The gateway has posted it as soon as it was back, not when it looked for alerts the next time."""
    back = float(machine.run("date", "--date", since, "+%s").stdout)
    posted = datetime.fromisoformat(post["at"]).timestamp()
    assert posted - back < _LOOKS_EVERY / 2


def test_twenty_restarts_in_a_row_leave_everything_alive_and_are_no_crashes(machine: Machine) -> None:
    told = Told(machine)
    with calling(machine, "gateway", 10) as of_gateway, calling(machine, "worker", 10) as of_worker:
        machine.sh("for each in $(seq 20); do systemctl restart herald-gateway herald-worker; done", timeout=300)
        outcomes = said(of_gateway) + said(of_worker)

    assert {each for each, _ in outcomes} <= {"answered", "Unavailable"}
    assert max(took for _, took in outcomes) < 10 + _SLACK
    assert sum(each == "answered" for each, _ in outcomes) >= 20
    assert_all_well(machine)
    told.assert_nothing()


def test_stopping_everything_in_the_middle_of_a_run_is_no_crash(machine: Machine, bus: Bus) -> None:
    told = Told(machine)
    task = bus.enqueue("sleep 300")
    agent, begun = running_agent(machine, bus, task)

    machine.systemctl("restart", "herald-worker.service")
    assert machine.show(agent)["ActiveState"] == "active"
    machine.systemctl("stop", "herald.target")
    machine.wait_for(lambda: not machine.units("herald-*@*"), "the run has ended")
    machine.systemctl("start", "herald.target")
    bus.wait_for_event("task.running", task, since=begun)
    machine.run("heraldctl", "cancel", task, user="alice")
    assert bus.ended(task) == "cancelled"

    assert_all_well(machine)
    told.assert_nothing()


def running_agent(machine: Machine, bus: Bus, task: str, since: int = 0) -> tuple[str, int]:
    """The unit that works on a task, and the event of its beginning."""
    event = bus.wait_for_event("task.running", task, since=since)
    [unit] = machine.wait_for(lambda: machine.units("herald-agent@*"), "the agent's unit runs")
    return unit, event["id"]


def test_a_thousand_quick_connects_leave_every_socket_alive(machine: Machine, bus: Bus, remote: Remote) -> None:
    told = Told(machine)
    before = {name: connects(machine, name) for name in _ON_CONNECT}
    bursts = [("alice", "Gateway", "Worker", "Config"), ("herald-worker", "Agent", "Git", "Deploy")]
    for user, *interfaces in bursts:
        sockets = [f"/run/herald/io.herald.{each}" for each in interfaces]
        machine.run(PYTHON, "-c", BURST, *sockets, user=user, timeout=300)

    for name in _ON_CONNECT:  # systemd itself takes its time, so many in so many seconds
        machine.wait_for(lambda name=name: connects(machine, name) >= before[name] + 1000, f"all have been at {name}")
    assert_all_well(machine)
    assert bus.call("config", "Check")["problems"] == []
    task = bus.enqueue("create burst.txt: after a burst")
    assert bus.ended(task) == "done"
    [proposal] = bus.proposals(open=True)
    bus.vote()
    assert bus.settled(proposal["id"]) == "pushed"
    assert remote.heads()[proposal["branch"]] == proposal["head"]
    assert_all_well(machine)
    told.assert_nothing()


def connects(machine: Machine, name: str) -> int:
    """How many connections a socket has seen that starts a unit for each, or refuses it."""
    shown = machine.show(f"herald-{name}.socket")
    return int(shown["NAccepted"]) + int(shown["NRefused"])


def test_a_killed_driver_of_an_agent_is_told_once_and_its_task_is_done_all_the_same(machine: Machine, bus: Bus) -> None:
    told = Told(machine)
    task = bus.enqueue("shell until [ -e /etc/go ]; do sleep 0.1; done")
    begun = 0
    for _ in range(2):
        unit, begun = running_agent(machine, bus, task, begun)
        machine.kill(machine.main_pid(unit))
        machine.wait_for(lambda unit=unit: unit not in machine.units(), f"{unit} is gone")
    machine.run("touch", "/etc/go")

    assert bus.ended(task) == "done"
    machine.run("rm", "/etc/go")
    assert_killed_told(machine, told, "agent", 1)


def assert_killed_told(machine: Machine, told: Told, service: str, held_back: int) -> None:
    """One alert for the instances of a unit, and so many that were not told."""
    [post] = machine.wait_for(told.posts, "the kill is posted")
    [entry] = told.in_journal()
    assert entry["HERALD_UNIT"].startswith(f"herald-{service}@")
    assert f"{entry['HERALD_UNIT']} crashed at" in post["text"]
    assert "killed by SIGKILL" in post["text"]
    assert post["text"].partition("\n")[0] in entry["MESSAGE"]
    assert told.held_back(f"herald-{service}@.service") == held_back
    assert_all_well(machine)


def test_a_killed_push_is_told_and_done_all_the_same(machine: Machine, bus: Bus, remote: Remote) -> None:
    told = Told(machine)
    task = bus.enqueue("create killed.txt: a push that was killed")
    assert bus.ended(task) == "done"
    [proposal] = bus.proposals(open=True)
    reached, go = remote.hold()
    bus.vote()
    machine.wait_for(lambda: machine.exists(reached), "the push has reached the remote")
    [unit] = machine.units("herald-git@*")
    machine.kill(machine.main_pid(unit))
    machine.wait_for(lambda: unit not in machine.units(), f"{unit} is gone")
    machine.run("touch", go)

    assert bus.settled(proposal["id"]) == "pushed"
    remote.accept()
    assert remote.heads()[proposal["branch"]] == proposal["head"]
    assert_killed_told(machine, told, "git", 0)


def test_after_ten_minutes_a_crash_is_told_again_with_those_held_back(machine: Machine) -> None:
    told = Told(machine)
    kill_worker(machine)
    kill_worker(machine)
    [first] = told.in_journal()
    ten_minutes_pass(machine)
    kill_worker(machine)

    [_, second] = told.in_journal()
    assert "held back" not in first["MESSAGE"]
    assert "1 crash of herald-worker.service before it, since the last alert, was held back" in second["MESSAGE"]
    machine.wait_for(lambda: len(told.posts()) == 2, "both are posted")
    assert_all_well(machine)


def kill_worker(machine: Machine) -> None:
    pid = machine.main_pid("herald-worker.service")
    machine.kill(pid)
    machine.wait_for(lambda: machine.main_pid("herald-worker.service") not in (0, pid), "it is started again")


def ten_minutes_pass(machine: Machine) -> None:
    """For what throttles the alerts."""
    path = f"{FOLDER}/throttle.json"
    entries = {kind: (last - 601, held) for kind, (last, held) in json.loads(machine.read(path)).items()}
    machine.write(path, json.dumps(entries), mode=0o640, owner="root:herald")


@pytest.mark.parametrize("missing", ["files", "folder"])
def test_without_its_credentials_every_unit_starts(machine: Machine, bus: Bus, missing: str) -> None:
    mark = machine.journal_mark()
    what = "/etc/herald/credentials" if missing == "folder" else "/etc/herald/credentials/git_ssh_key"
    machine.sh(f"mv {what} /etc/away")
    try:
        machine.systemctl("restart", "herald-gateway.service", "herald-worker.service")
        for service in _ON_CONNECT:
            answer = bus.call(service, "org.varlink.service.GetInfo")
            assert answer["product"]
        assert bus.call("agent", "Check")["agent"]
        assert_all_well(machine)
    finally:
        machine.sh(f"mv /etc/away {what}")
    assert [line for line in machine.messages(after=mark) if "status=243" in line] == []
