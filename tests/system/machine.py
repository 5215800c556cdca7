"""A machine: a real systemd, booted in a container over a file tree, driven from outside.

    with Machine(system, [layer, tree]) as machine:
        machine.boot()
        machine.run("systemctl", "restart", "herald-worker", user="root")
        machine.wait_for(lambda: machine.show("herald-worker")["ActiveState"] == "active", "the worker is back")
        machine.cut_power()
        machine.boot()

Its network is this machine's, everything else is its own. At the end of the block nothing of it is left. It lives no
longer than the thread that booted it, whatever kills that.
"""

import contextlib
import fcntl
import json
import os
import secrets
import select
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from tests.support import processes
from tests.system import cgroups, reach
from tests.system.leader import children, leader
from tests.system.systems import TOOLS, System, overlay, start

_T = TypeVar("_T")
_FOLDER = TOOLS / "machines"
_PATIENCE = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
_POWER_OFF = signal.SIGRTMIN + 4
"""Asks systemd to power off."""

open_machines: "set[Machine]" = set()
_halted = threading.Event()


class User(NamedTuple):
    """A user inside a machine."""

    name: str
    uid: int
    gid: int
    home: str


class Command(subprocess.Popen[str]):
    """A command inside a machine, and the process here that waits for it."""

    def kill(self) -> None:
        """Kill the command itself: a dead one that nobody waits for would keep its machine from ending."""
        inside = children(self.pid) if self.poll() is None else []
        if not inside:
            super().kill()
        for pid in inside:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Machine:
    """One machine. What it writes is kept over power-offs and power cuts, until the end of its block."""

    def __init__(
        self,
        system: System,
        lower: Sequence[Path],
        *,
        upper: Path | None = None,
        sync: bool = True,
        binds: Mapping[str, Path] | None = None,
    ) -> None:
        """`lower`: the folders that it is made of, topmost first. `upper`: where it writes, by default a folder that
        goes with it. `sync`: whether it may wait for the disk. `binds`: what of this machine it sees, read-only, by
        the path that it has inside."""
        self.system = system
        self.name = f"{system.name}-{secrets.token_hex(4)}"
        self._lower = list(lower)
        self._folder = _FOLDER / self.name
        self._upper = upper or self._folder / "upper"
        self._sync = sync
        self._binds = [f"--bind-ro={_escaped(each)}" for each in reach.folders()]
        self._binds += [f"--bind-ro={_escaped(path)}:{name}" for name, path in (binds or {}).items()]
        self._stack = contextlib.ExitStack()
        self._groups: list[Path] = []
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.leader = 0
        """The process here that is the machine's first one, 0 while it is off."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._prepare(stack)
            self._stack = stack.pop_all()
        return self

    def _prepare(self, stack: contextlib.ExitStack) -> None:
        open_machines.add(self)
        stack.callback(open_machines.discard, self)
        _FOLDER.mkdir(parents=True, exist_ok=True)
        lock = stack.enter_context((_FOLDER / f"{self.name}.lock").open("wb"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack.callback(_remove, self.name)
        for each in (self._upper, self._folder / "work", self._folder / "root"):
            each.mkdir(parents=True)
        # The same in all its boots, and no other machine's: the journal is kept by it.
        (self._upper / "etc").mkdir()
        (self._upper / "etc/machine-id").write_text(f"{secrets.token_hex(16)}\n")
        reach.write_into(self._upper)
        self._groups = stack.enter_context(cgroups.own(self.name))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if self.is_on:
                self.cut_power()

    @property
    def is_on(self) -> bool:
        """Whether it was booted and not powered off since."""
        return self._nspawn is not None

    @property
    def console(self) -> str:
        """What all its boots printed."""
        log = self._folder / "console"
        return log.read_text(errors="replace") if log.exists() else ""

    def boot(self) -> None:
        """Power on; returns when systemd has started everything that it was to start."""
        assert not self.is_on, f"{self.name} is on"
        assert not _halted.is_set(), "the test run is over"
        landlock = _LANDLOCK if self.system.landlock else f"~{_LANDLOCK}"
        command = start(
            self._groups, overlay(self._lower, self._upper, self._folder / "work"), self._folder / "root",
            "systemd-nspawn", "--quiet", f"--directory={self._folder / 'root'}", f"--machine={self.name}",
            "--register=no", "--keep-unit", "--boot", "--console=pipe", "--notify-ready=yes", "--resolv-conf=off",
            "--timezone=off", "--link-journal=no", f"--system-call-filter={landlock}",
            f"--suppress-sync={'no' if self._sync else 'yes'}", *self._binds,
        )  # fmt: skip
        unified = self.system.unified or cgroups.is_unified()
        environment = {
            "PATH": os.environ["PATH"],
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": str(int(unified)),
            "NOTIFY_SOCKET": f"@{self.name}",
        }
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications,
            (self._folder / "console").open("ab") as log,
        ):
            notifications.bind(f"\0{self.name}")
            self._nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
            self._wait_until_ready(notifications)

    def _wait_until_ready(self, notifications: socket.socket) -> None:
        assert self._nspawn is not None
        until = time.monotonic() + _PATIENCE
        fields: set[str] = set()
        with os.fdopen(os.pidfd_open(self._nspawn.pid), "rb") as ended:
            said, over = notifications.fileno(), ended.fileno()
            while "READY=1" not in fields:
                if said not in select.select([said, over], [], [], max(0.0, until - time.monotonic()))[0]:
                    console = self.console[-3000:]
                    self.cut_power()
                    raise AssertionError(f"{self.name} did not boot:\n{console}")
                fields |= set(notifications.recv(1 << 16).decode(errors="replace").split("\n"))
        self.leader = leader(self._nspawn.pid)

    def power_off(self) -> None:
        """Power off as an administrator does; returns when it is off."""
        assert self._nspawn is not None, f"{self.name} is off"
        os.kill(self.leader, _POWER_OFF)
        try:
            self._nspawn.wait(_PATIENCE)
        except subprocess.TimeoutExpired as error:
            console = self.console[-3000:]
            self.cut_power()
            raise AssertionError(f"{self.name} did not power off within {_PATIENCE:g} s:\n{console}") from error
        self._is_off()

    def cut_power(self) -> None:
        """Everything in it is gone at once."""
        assert self._nspawn is not None, f"{self.name} is off"
        self.halt()
        self._nspawn.wait()
        self._is_off()

    def halt(self) -> None:
        """Kill everything in it, and leave the rest to whoever has booted it."""
        if self._nspawn is not None:
            for pid in children(self._nspawn.pid) or [self._nspawn.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # the first of its namespace: the kernel takes the others along

    def _is_off(self) -> None:
        first, self.leader, self._nspawn = self.leader, 0, None
        processes.wait_for(lambda: not (first and processes.lives(first)), f"{self.name} is off")
        processes.wait_for(lambda: not cgroups.processes(self._groups), f"no process of {self.name} is left")
        for group in self._groups:
            for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                cgroups.remove(each)

    def popen(
        self, *command: str | Path, user: str = "root", env: dict[str, str] | None = None, cwd: str = "/", **more: Any
    ) -> Command:
        """Start a command inside, as a user with all its groups, in a clean environment; it ends with its caller."""
        assert self.is_on, f"{self.name} is off"
        who = self.user(user)
        variables = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": who.home, "USER": who.name, "LOGNAME": who.name}
        runtime = f"/run/user/{who.uid}"
        if who.uid and Path(f"/proc/{self.leader}/root{runtime}").is_dir():
            variables |= {"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
        variables |= env or {}
        words = [
            *("nsenter", "--target", str(self.leader), "--all", "--"),
            *("setpriv", f"--reuid={who.uid}", f"--regid={who.gid}"),
            *(["--init-groups"] if who.uid else ["--clear-groups"]),
            *("--pdeathsig", "KILL", "env", "--ignore-environment", f"--chdir={cwd}"),
            *(f"{name}={value}" for name, value in variables.items()),
            *map(str, command),
        ]
        return Command(words, text=True, errors="replace", **more)

    def run(
        self,
        *command: str | Path,
        user: str = "root",
        stdin: str = "",
        env: dict[str, str] | None = None,
        cwd: str = "/",
        check: bool = True,
        timeout: float = _PATIENCE,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside; fails the test when it fails, unless `check` is False."""
        pipe = subprocess.PIPE
        with self.popen(*command, user=user, env=env, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            try:
                out, error = process.communicate(stdin, timeout)
            except BaseException:
                process.kill()
                raise
        done = subprocess.CompletedProcess(list(map(str, command)), process.returncode, out, error)
        shown = f"{shlex.join(done.args)[:300]} as {user} in {self.name}: exit {done.returncode}"
        assert not (check and done.returncode), f"{shown}\n{out[-4000:]}{error[-4000:]}"
        return done

    def sh(self, script: str, **how: Any) -> str:
        """Run a shell script inside; returns what it printed, without the newline at the end."""
        return self.run("sh", "-euc", script, **how).stdout.rstrip("\n")

    def user(self, name: str) -> User:
        """A user by name. Raises KeyError."""
        for line in Path(f"/proc/{self.leader}/root/etc/passwd").read_text().splitlines():
            fields = line.split(":")
            if fields[0] == name:
                return User(name, int(fields[2]), int(fields[3]), fields[5])
        raise KeyError(f"{self.name} has no user {name}")

    def read(self, path: str | Path) -> str:
        """The text of a file."""
        return self.run("cat", path).stdout

    def write(self, path: str | Path, text: str, *, mode: int = 0o644, owner: str = "root:root") -> None:
        """Write a file, and its folder if there is none, by rename, as an editor does."""
        script = 'mkdir -p "${1%/*}"; cat >"$1.written"; chown "$3" "$1.written"; chmod "$2" "$1.written"'
        words = ["sh", "-euc", f'{script}; mv "$1.written" "$1"', "sh", str(path), f"{mode:o}", owner]
        self.run(*words, stdin=text)

    def exists(self, path: str | Path) -> bool:
        """Whether there is something at a path."""
        return self.run("test", "-e", path, check=False).returncode == 0

    def stat(self, path: str | Path) -> tuple[str, str]:
        """Mode (`2750`) and owner (`root:herald`) of a file or folder."""
        mode, _, owner = self.run("stat", "--format=%a %U:%G", path).stdout.strip().partition(" ")
        return mode, owner

    def systemctl(self, *words: str, **how: Any) -> str:
        """What systemctl prints."""
        return self.run("systemctl", *words, **how).stdout.rstrip("\n")

    def show(self, unit: str) -> dict[str, str]:
        """All properties of a unit."""
        lines = self.systemctl("show", unit).splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def units(self, pattern: str = "herald*") -> dict[str, str]:
        """The units that systemd has loaded and that fit a pattern, with their state: `active`, `failed`."""
        listed = self.systemctl("list-units", "--all", "--output=json", pattern)
        return {each["unit"]: each["active"] for each in json.loads(listed)}

    def pids(self, unit: str) -> list[int]:
        """The processes of a unit, as they are numbered inside."""
        group = self.systemctl("show", "--property=ControlGroup", "--value", unit)
        if not group:
            return []
        script = (
            'cd /sys/fs/cgroup; [ -e cgroup.controllers ] || cd systemd; find ".$1" -name cgroup.procs -exec cat {} +'
        )
        listed = self.run("sh", "-c", script, "sh", group, check=False).stdout  # it may go while it is read
        return sorted(int(line) for line in listed.split())

    def main_pid(self, unit: str) -> int:
        """The main process of a unit, 0 when there is none."""
        return int(self.systemctl("show", "--property=MainPID", "--value", unit))

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process, numbered as inside."""
        self.run("kill", f"-{number.name.removeprefix('SIG')}", str(pid or "none"))  # 0: this one's own group

    def journal(self, unit: str = "", *, after: str = "", **fields: str) -> list[dict[str, Any]]:
        """Entries of the journal: of a unit, with these fields (HERALD_PROJECT="demo"), after a `journal_mark`."""
        words = [*(["--unit", unit] if unit else []), *([f"--cursor={after}"] if after else [])]
        words += [f"{name}={value}" for name, value in fields.items()]
        listed = self.run("journalctl", "--quiet", "--no-pager", "--output=json", "--all", *words, check=False)
        # Not by --after-cursor: systemd 252 then skips the first entry, also when that is not the one of the cursor.
        return [each for each in map(json.loads, listed.stdout.splitlines()) if each["__CURSOR"] != after]

    def messages(self, unit: str = "", *, after: str = "", **fields: str) -> list[str]:
        """The texts of these entries."""
        return [str(entry.get("MESSAGE", "")) for entry in self.journal(unit, after=after, **fields)]

    def journal_mark(self) -> str:
        """The end of the journal as it is now."""
        self.run("journalctl", "--sync")
        return str(json.loads(self.run("journalctl", "--lines=1", "--output=json").stdout)["__CURSOR"])

    def wait_for(self, condition: Callable[[], _T], what: str, patience: float = _PATIENCE) -> _T:
        """The first true value of a condition; else the test fails, with the end of the journal."""
        try:
            return processes.wait_for(condition, f"{what}, in {self.name}", patience)
        except AssertionError as error:
            words = ("journalctl", "--quiet", "--no-pager", "--output=short-precise", "--lines=60")
            said = self.run(*words, check=False).stdout if self.is_on else self.console[-3000:]
            raise AssertionError(f"{error}\n{said}") from None

    def wait_for_unit(self, unit: str, state: str = "active", patience: float = _PATIENCE) -> None:
        """Until a unit is in a state."""
        self.wait_for(lambda: self.show(unit)["ActiveState"] == state, f"{unit} is {state}", patience)


def _escaped(path: Path) -> str:
    return str(path).replace("\\", r"\\").replace(":", r"\:")


def _remove(name: str) -> None:
    shutil.rmtree(_FOLDER / name, ignore_errors=True)
    (_FOLDER / f"{name}.lock").unlink(missing_ok=True)


def halt_all() -> None:
    """Kill what every machine runs that this process has, and boot none any more; what uses one fails and ends it."""
    _halted.set()
    for machine in list(open_machines):
        machine.halt()


def end_all() -> list[str]:
    """End every machine that this process has; returns their names."""
    found = [machine.name for machine in open_machines]
    for machine in list(open_machines):
        machine.__exit__(None, None, None)
    return found


def sweep() -> None:
    """Remove what killed test runs left of their machines; the machines themselves went with them."""
    for path in _FOLDER.glob("*.lock"):
        with path.open("wb") as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for group in cgroups.places(path.stem):
                with contextlib.suppress(OSError):
                    cgroups.remove(group)
            _remove(path.stem)
