"""Inside booted machines, as installed: memory of the idle services, and the time from `systemctl start` to serving.

Beside them, in the same virtual environment and the same run: a bare process with asyncio, sqlite3 and asyncvarlink,
and a bare notify service, once as it is and once in the sandbox of the worker.
"""

import json
from contextlib import ExitStack
from pathlib import Path

from herald import names
from tests.bench.figures import Aim, Figure
from tests.bench.stage import Stage, Unfit
from tests.system import layers
from tests.system.machine import Machine
from tests.system.systems import SYSTEMS, System, obstacle

_PYTHON = "/opt/herald/venv/bin/python"
_FOLDER = "/opt/bench"
_HERE = Path(__file__).parent
_READY = """\
import os, signal, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", chr(0)))
signal.pause()
"""
_UNIT = "[Unit]\nDescription=A bare service\n[Service]\nType=notify\n{keys}ExecStart={python} {folder}/ready.py\n"
_OF_THE_SANDBOX = ("ProtectSystem", "Private", "Protect", "Restrict", "SystemCall", "NoNew", "Capab", "Memory", "User=")
_BARE = "bare service, start to READY"


def measure(_stage: Stage, rounds: int) -> list[Figure]:
    """Figures of every system that this machine can boot. Raises Unfit."""
    if reason := obstacle():
        raise Unfit(reason)
    with ExitStack() as stack:
        return [figure for system in SYSTEMS for figure in _measure(system, stack, max(2, rounds // 2))]


def _measure(system: System, stack: ExitStack, rounds: int) -> list[Figure]:
    layer = layers.installed(system, stack)
    with Machine(system, layer.folders) as machine:
        machine.boot()
        _prepare(machine)
        figures = [*_memory(machine, system.name, rounds), *_starts(machine, system.name, rounds)]
        machine.power_off()
    return figures


def _prepare(machine: Machine) -> None:
    """Bring the peers in."""
    machine.write(f"{_FOLDER}/ready.py", _READY)
    machine.write(f"{_FOLDER}/bare.py", (_HERE / "peers/bare.py").read_text(encoding="utf-8"))
    machine.write(f"{_FOLDER}/until.py", (_HERE / "peers/until.py").read_text(encoding="utf-8"))
    worker = machine.read("/usr/local/lib/systemd/system/herald-worker.service").splitlines()
    sandbox = "".join(f"{line}\n" for line in worker if line.startswith(_OF_THE_SANDBOX))
    for name, keys in (("bench-bare", ""), ("bench-sandboxed", sandbox)):
        unit = _UNIT.format(keys=keys, python=_PYTHON, folder=_FOLDER)
        machine.write(f"/etc/systemd/system/{name}.service", unit)
    machine.systemctl("daemon-reload")


def _memory(machine: Machine, place: str, rounds: int) -> list[Figure]:
    """MiB of the services, idle since the machine was booted."""
    machine.run("mkdir", "-p", f"{_FOLDER}/place")
    machine.run("systemd-run", "--quiet", "--unit=bench-memory", _PYTHON, f"{_FOLDER}/bare.py", f"{_FOLDER}/place")
    machine.wait_for(lambda: machine.exists(f"{_FOLDER}/place/bare"), "the bare process serves")
    for service in names.LONG_RUNNING:
        machine.run("heraldctl", "call", f"{names.interface_of(service)}.GetStatus")
    units = {"bare process": "bench-memory.service"}
    units |= {f"herald-{service}": f"herald-{service}.service" for service in names.LONG_RUNNING}
    samples: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name, unit in units.items():
            for kind, value in _resident(machine, machine.main_pid(unit)).items():
                samples.setdefault((name, kind), []).append(value)
    machine.systemctl("stop", "bench-memory.service")
    figures = []
    for (name, kind), values in samples.items():
        aim = None if name == "bare process" else Aim("times at most", 1.2, f"{place}: bare process, {kind}")
        figures.append(Figure(f"{place}: {name}, {kind}", "MiB", values, aim))
    return figures


def _resident(machine: Machine, pid: int) -> dict[str, float]:
    lines = [line.split() for line in machine.read(f"/proc/{pid}/smaps_rollup").splitlines()]
    return {words[0][:-1].upper(): int(words[1]) / 1024 for words in lines if words[0] in ("Rss:", "Pss:")}


def _is_stopped(machine: Machine) -> bool:
    """Whether no unit is up; a slice stays."""
    return not [unit for unit, state in machine.units().items() if state != "inactive" and not unit.endswith(".slice")]


def _starts(machine: Machine, place: str, rounds: int) -> list[Figure]:
    """Milliseconds from a stop to serving; each act once a round."""
    gateway, worker = (f"/run/herald/{names.interface_of(service)}" for service in (names.GATEWAY, names.WORKER))
    acts = {
        _BARE: ("bench-bare.service",),
        "bare service in the worker's sandbox, start to READY": ("bench-sandboxed.service",),
        "herald-worker, start to first answer": ("herald-worker.service", worker),
        "herald-gateway, start to first answer": ("herald-gateway.service", gateway),
        "herald.target, start to both answers": ("herald.target", gateway, worker),
    }
    samples: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, words in acts.items():
            machine.systemctl("stop", "herald.target", "bench-bare.service", "bench-sandboxed.service")
            machine.wait_for(lambda: _is_stopped(machine), "all is stopped")
            said = machine.run(_PYTHON, f"{_FOLDER}/until.py", *words).stdout
            samples[name].append(float(json.loads(said)["milliseconds"]))
    machine.systemctl("start", "herald.target")
    figures = []
    for name, values in samples.items():
        aim = Aim("times at most", 10.0, f"{place}: {_BARE}") if name.startswith("herald") else None
        figures.append(Figure(f"{place}: {name}", "ms", values, aim))
    return figures
