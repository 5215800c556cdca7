"""Herald is stopped, started and restarted as a whole, and its machine loses its power, while it runs and pushes."""

from collections.abc import Callable, Iterator

import pytest

from tests.system.conftest import Site
from tests.system.ledger import USERS, Ledger, of_site
from tests.system.machine import Machine

_SERVICES = ("herald-gateway.service", "herald-worker.service")
_EVERYONE = f"herald-gateway,herald-worker,{USERS}"


@pytest.fixture(scope="module")
def ledger(site: Site) -> Ledger:
    """The tasks of the machine that the tests of this module share."""
    return of_site(site)


@pytest.fixture(autouse=True)
def nothing_held(ledger: Ledger) -> Iterator[None]:
    """A test that fails does not hold up the next one."""
    yield
    ledger.release_all()


def _push_until(ledger: Ledger, hook: str) -> tuple[str, str]:
    """A push that waits in a hook of the remote; returns its proposal and the file that lets the hook go on."""
    [proposal] = ledger.bus.proposals(open=True)
    reached, go = ledger.remote.hold(hook)
    ledger.bus.vote()
    ledger.machine.wait_for(lambda: ledger.machine.exists(reached), f"{hook} is reached")
    return proposal["id"], go


def _cut(machine: Machine) -> None:
    machine.cut_power()
    machine.boot()


def _power_off(machine: Machine) -> None:
    machine.power_off()
    machine.boot()


def _stop(machine: Machine) -> None:
    machine.systemctl("stop", "herald.target")
    machine.wait_for(lambda: not _running(machine), "everything has stopped")
    assert machine.run("pgrep", "-a", "-u", _EVERYONE, check=False).stdout == ""
    assert machine.pids("herald.slice") + machine.pids("herald-agent.slice") == []
    machine.systemctl("start", "herald.target")


def _running(machine: Machine) -> list[str]:
    """What of Herald is not inactive, but for the slices in which it runs."""
    units = machine.units("herald*").items()
    return [f"{unit} {state}" for unit, state in units if state != "inactive" and not unit.endswith(".slice")]


def _stop_for_a_moment(machine: Machine) -> None:
    machine.systemctl("stop", "herald.target")
    machine.systemctl("start", "herald.target")


def _restart(machine: Machine) -> None:
    machine.systemctl("restart", "herald.target")


@pytest.mark.parametrize(
    "end", [_cut, _power_off, _stop, _stop_for_a_moment], ids=["cut", "power-off", "stop", "stop-for-a-moment"]
)
def test_a_run_that_ended_with_everything_goes_on_afterwards_and_is_no_attempt(
    ledger: Ledger, end: Callable[[Machine], None]
) -> None:
    name = f"through-{end.__name__}"
    first, behind = ledger.running(name, first="setsid sleep 4005 >/dev/null 2>&1 & :"), ledger.hold(f"{name}-behind")

    end(ledger.machine)

    ledger.machine.wait_for(lambda: ledger.begun(name) == 2, f"{name} has begun again")
    assert ledger.bus.task(first)["attempt"] == 1
    ledger.release(name, f"{name}-behind")
    assert [ledger.bus.ended(task) for task in (first, behind)] == ["done", "done"]
    assert ledger.steps(first) == ["queued", "starting", "running", "requeued", "starting", "running", "done"]
    assert ledger.begun(name) == 2
    assert ledger.begun(f"{name}-behind") == 1


@pytest.mark.parametrize("hook", ["pre-receive", "post-receive"])
@pytest.mark.parametrize("end", [_cut, _restart], ids=["cut", "restart"])
def test_a_push_that_was_interrupted_is_made_once(ledger: Ledger, end: Callable[[Machine], None], hook: str) -> None:
    name, before = f"{hook}-and{end.__name__}", ledger.pushes()
    proposed = ledger.hold(name)
    ledger.release(name)
    assert ledger.bus.ended(proposed) == "done"
    task = ledger.running(f"{name}-behind")
    proposal, go = _push_until(ledger, hook)
    assert len(ledger.pushes()) == len(before) + (hook == "post-receive")

    end(ledger.machine)

    ledger.remote.sh(f": >{go}")
    assert ledger.bus.settled(proposal) == "pushed"
    ledger.release(f"{name}-behind")
    assert ledger.bus.ended(task) == "done"
    assert ledger.bus.task(task)["attempt"] == 1
    assert len(ledger.pushes()) == len(before) + 1
    ledger.remote.accept()


def test_a_restart_of_everything_in_a_run_has_it_done_once(ledger: Ledger) -> None:
    first, behind = ledger.running("restarted"), ledger.hold("restarted-behind")
    services = [ledger.machine.main_pid(unit) for unit in _SERVICES]

    for _ in range(3):
        _restart(ledger.machine)

    assert not {ledger.machine.main_pid(unit) for unit in _SERVICES} & {0, *services}
    ledger.release("restarted", "restarted-behind")
    assert [ledger.bus.ended(task) for task in (first, behind)] == ["done", "done"]
    assert [ledger.bus.task(task)["attempt"] for task in (first, behind)] == [1, 1]
    assert ledger.begun("restarted-behind") == 1


def test_afterwards_every_task_has_ended_once_and_nothing_is_left(ledger: Ledger) -> None:
    ledger.push()

    ledger.check()
