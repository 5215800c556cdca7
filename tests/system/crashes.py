"""Crashes inside a machine: services that are made to crash, and what was told of them."""

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.system.bus import Bus
from tests.system.machine import Machine

FOLDER = "/var/lib/herald/alert"
_CAUSE = "/etc/a-cause-to-crash"
_DROP_IN = """\
[Service]
ExecStart=
ExecStart=/bin/sh -c 'if [ -e {cause} ]; then cat {cause} >&2; exit 1; fi; exec /opt/herald/venv/bin/herald-{service}'
RestartSec=50ms
WatchdogSec=30s
"""
_BACKOFF = "RestartMaxDelaySec=400ms\n"
"""The steps to it stay as they are installed; only systemd 254 and later knows it."""


class Told:
    """What is told of crashes from now on. What was told before throttles nothing any more."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._bus = Bus(machine)
        machine.sh(f"rm -f {FOLDER}/throttle.json")
        self._mark = machine.journal_mark()
        self._posts = len(self._bus.posts())
        self._files = set(self._listed())

    def _listed(self) -> list[str]:
        return re.findall(r"^\d{8}T.*\.json$", self._machine.sh(f"ls {FOLDER}"), re.MULTILINE)

    def in_journal(self) -> list[dict[str, Any]]:
        """Entries of the journal about units, oldest first."""
        self._machine.run("journalctl", "--sync", check=False)
        entries = self._machine.journal(after=self._mark, SYSLOG_IDENTIFIER="herald-alert")
        return [entry for entry in entries if "HERALD_UNIT" in entry]

    def of_unit(self, unit: str) -> list[dict[str, Any]]:
        """Those that `journalctl HERALD_UNIT=UNIT` shows."""
        self._machine.run("journalctl", "--sync", check=False)
        return self._machine.journal(after=self._mark, HERALD_UNIT=unit)

    def files(self) -> list[dict[str, Any]]:
        """What was left for the gateway."""
        names = sorted(set(self._listed()) - self._files)
        return [json.loads(self._machine.read(f"{FOLDER}/{name}")) for name in names]

    def posts(self) -> list[dict[str, Any]]:
        """Posts about crashes."""
        return [post for post in self._bus.posts()[self._posts :] if post["key"].startswith("alert:")]

    def held_back(self, kind: str) -> int:
        """How many crashes of a unit were not told."""
        return int(json.loads(self._machine.read(f"{FOLDER}/throttle.json"))[kind][1])

    def assert_nothing(self) -> None:
        """No crash was told, nor held back."""
        assert not self._machine.exists(f"{FOLDER}/throttle.json"), self._machine.read(f"{FOLDER}/throttle.json")
        assert [self.in_journal(), self.files(), self.posts()] == [[], [], []]


@contextlib.contextmanager
def crash_prone(machine: Machine, service: str) -> Iterator[None]:
    """The unit crashes at each start for as long as there is a `cause`; after the block it is as it was."""
    unit = f"herald-{service}.service"
    drop_in = f"/etc/systemd/system/{unit}.d/60-crash.conf"
    backoff = _BACKOFF if machine.system.systemd >= 254 else ""
    machine.write(drop_in, _DROP_IN.format(service=service, cause=_CAUSE) + backoff)
    machine.systemctl("daemon-reload")
    try:
        yield
    finally:
        machine.run("rm", drop_in)
        machine.systemctl("daemon-reload")
        machine.systemctl("restart", unit)


@contextlib.contextmanager
def cause(machine: Machine, service: str, words: str) -> Iterator[None]:
    """The service says these words and ends with status 1, again and again; nobody starts it after the block."""
    machine.write(_CAUSE, words)
    try:
        machine.systemctl("restart", "--no-block", f"herald-{service}.service")
        yield
    finally:
        machine.run("rm", "-f", _CAUSE)


CALLER = """
import json, select, sys, time
from herald.bus import blocking
from herald.errors import HeraldError

service, deadline = sys.argv[1], float(sys.argv[2])
print("ready", flush=True)
while True:
    begun = time.monotonic()
    try:
        blocking.call(service, "GetStatus", deadline=deadline)
        said = "answered"
    except HeraldError as error:
        said = type(error).__name__
    print(json.dumps([said, time.monotonic() - begun]), flush=True)
    if select.select([0], [], [], 0.05)[0]:
        break
"""
"""python: SERVICE DEADLINE; calls until something can be read, and says how each call ended and what it took."""
