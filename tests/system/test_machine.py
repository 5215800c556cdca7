"""What the other tests take for granted of a machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support import processes
from tests.system import machine as machines
from tests.system.conftest import machine_of
from tests.system.layers import ROOT, Layer
from tests.system.machine import Machine

_BOOTS_ONE = """
import sys
from pathlib import Path
from tests.system.machine import Machine
from tests.system.systems import SYSTEMS

system = next(each for each in SYSTEMS if each.name == sys.argv[1])
with Machine(system, [Path(each) for each in sys.argv[2:]]) as machine:
    machine.boot()
    print(machine.name, machine.leader, flush=True)
    sys.stdin.read()
"""


def test_a_power_cut_ends_everything_and_keeps_what_was_written(fresh: Machine) -> None:
    fresh.write("/var/lib/kept", "kept")
    fresh.run("systemd-run", "--quiet", "--unit=sleeper", "sleep", "1000")
    boot = fresh.read("/proc/sys/kernel/random/boot_id")
    leader = fresh.leader

    fresh.cut_power()

    assert not processes.lives(leader)
    fresh.boot()
    assert fresh.read("/var/lib/kept") == "kept"
    assert fresh.units("sleeper*") == {}
    assert fresh.read("/proc/sys/kernel/random/boot_id") != boot


def test_the_journal_outlives_a_power_off(fresh: Machine) -> None:
    fresh.run("logger", "--tag=before", "written before")

    fresh.power_off()
    fresh.boot()

    assert fresh.messages(SYSLOG_IDENTIFIER="before") == ["written before"]


def test_a_machine_does_not_touch_the_units_of_another(fresh: Machine, layer: Layer) -> None:
    words = ("systemd-run", "--quiet", "--unit=sleeper", "sleep", "1000")
    fresh.run(*words)
    pids = fresh.pids("sleeper.service")
    with machine_of(layer) as other:
        other.boot()
        other.run(*words)
        other.systemctl("kill", "--signal=KILL", "--kill-whom=all", "sleeper.service")
        other.wait_for(lambda: not other.pids("sleeper.service"), "the other one's sleeper is gone")
        other.power_off()

    assert fresh.pids("sleeper.service") == pids
    assert len(pids) == 1
    assert fresh.show("sleeper.service")["ActiveState"] == "active"


def test_a_test_run_that_is_killed_takes_its_machines_along(layer: Layer) -> None:
    words = [layer.system.name, *map(str, layer.folders)]
    path = os.pathsep.join(str(ROOT / each) for each in (".", "shared", "services"))
    with subprocess.Popen(
        [sys.executable, "-c", _BOOTS_ONE, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    ) as run:  # fmt: skip
        assert run.stdout is not None
        name, leader = run.stdout.readline().split()
        assert processes.lives(int(leader))
        run.send_signal(signal.SIGKILL)

    processes.wait_for(lambda: not processes.lives(int(leader)), "the machine is gone")
    machines.sweep()
    assert not list(Path(machines.__file__).parents[2].glob(f".tools/machines/{name}*"))
