"""Tasks that write down themselves what is done about them, and what Herald says of them held against it."""

import contextlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.system.conftest import Site

HOME = "/var/lib/herald/agent/homes/demo"
"""The home of the agent of `demo`, in which its tasks write."""

_ENDS = {f"task.{state}" for state in ("done", "failed", "blocked", "cancelled", "parked")}
_INSTANCES = ("herald-agent@*", "herald-git@*", "herald-deploy@*", "herald-config@*")
USERS = "herald-agent,herald-git,herald-deploy,herald-config"
"""Whose processes live no longer than what they were started for."""


class Going(NamedTuple):
    """A run that is going: its unit, its driver and the agent itself, numbered as inside."""

    unit: str
    driver: int
    agent: int


class Ledger:
    """The tasks of a machine that a test hands in."""

    def __init__(self, site: Site) -> None:
        self.machine, self.bus, _, self.remote = site
        self._names: list[str] = []
        self._released: set[str] = set()
        self.remote.sh("git config core.logAllRefUpdates always")

    def hold(self, name: str, *, first: str = ":", words: str = "shell {}") -> str:
        """Hand in a task that does something first, waits for its release and then commits; returns its id.

        `words`: in which words the agent is told to run a shell script.
        """
        self._names.append(name)
        go = f"~/go-{name}"
        wait = f"echo {name} >>~/begun; {first}; mkfifo {go} 2>/dev/null; exec 3<>{go}; read released <&3"
        act = f"echo {name} >>~/finished; echo {name} >{name}.txt; git add {name}.txt; git commit --quiet -m {name}"
        return self.bus.enqueue(words.format(f"{wait}; {act}"))

    def running(self, name: str, **how: str) -> str:
        """Hand in such a task and return when its agent waits; returns its id."""
        task = self.hold(name, **how)
        self.machine.wait_for(lambda: self.begun(name), f"{name} has begun")
        return task

    def release(self, *names: str) -> None:
        """Let them come to their ends: who waits is told, who comes later finds it written."""
        for name in names:
            self._released.add(name)
            go = self._inside(f"{HOME}/go-{name}")
            self.machine.wait_for(go.parent.exists, f"the folder {HOME}, which the first run makes")
            written = go.with_name(f"written-{name}")
            written.write_text("go\n")
            written.chmod(0o666)
            with contextlib.ExitStack() as stack:
                if go.exists():
                    fifo = os.open(go, os.O_RDWR | os.O_NONBLOCK)
                    stack.callback(os.close, fifo)
                    stack.callback(os.write, fifo, b"go\n")
                written.replace(go)

    def release_all(self) -> None:
        """After a test, whatever came of it."""
        self.release(*(name for name in self._names if name not in self._released))

    def steps(self, task: str) -> list[str]:
        """The states that a task has gone through."""
        kinds = (kind.partition(".") for kind in self.bus.kinds(task))
        return [state for of, _, state in kinds if of == "task"]

    def begun(self, name: str) -> int:
        """How often a task has been begun."""
        return Counter(self._lines("begun"))[name]

    def _lines(self, file: str) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self._inside(HOME) / file).read_text().split()
        return []

    def _inside(self, path: str) -> Path:
        return Path(f"/proc/{self.machine.leader}/root{path}")

    def going(self) -> Going:
        """The run that is going."""
        [found] = self.machine.wait_for(
            lambda: [*filter(None, map(self._of_unit, instances(self, "herald-agent@*")))], "a run goes on"
        )
        return found

    def _of_unit(self, unit: str) -> Going | None:
        driver = self.machine.main_pid(unit)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it is ending
            for child in self._inside(f"/proc/{driver}/task/{driver}/children").read_text().split():
                if "stream-json" in self._inside(f"/proc/{child}/cmdline").read_text():
                    return Going(unit, driver, int(child))
        return None

    def lives(self, pid: int) -> bool:
        """Whether a process inside is there and no zombie."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return re.search(r"^State:\s*[ZX]", self._inside(f"/proc/{pid}/status").read_text(), re.MULTILINE) is None
        return False

    def pushes(self) -> list[tuple[str, str]]:
        """How branches of the remote were moved: [(branch, new hash), ...].

        Not what the update hook has seen: a push whose end Herald did not live to see may still wait at the remote when
        it is made again; the hook then sees both, and git lets one of them move the branch.
        """
        logs = self.remote.sh("cd logs/refs/heads && grep -r . agent || :").splitlines()
        return [(file, line.split()[1]) for file, line in (each.split(":", 1) for each in logs)]

    def push(self) -> None:
        """Vote for what is proposed, if anything is, and see it pushed."""
        for proposal in self.bus.proposals(open=True):
            self.bus.vote()
            assert self.bus.settled(proposal["id"]) == "pushed"

    def check(self, *, cancelled: int = 0) -> None:
        """Nothing goes on and nothing is left; every task ended once; the remote has what was voted for, once."""
        self.bus.idle()
        self._check_tasks(cancelled)
        self._check_remote()
        nobody = f"no unit of {_INSTANCES} is left"
        self.machine.wait_for(lambda: not [each for kind in _INSTANCES for each in instances(self, kind)], nobody)
        assert self.machine.pids("herald-agent.slice") == []
        assert self.machine.run("pgrep", "-a", "-u", USERS, check=False).stdout == ""
        assert self.machine.systemctl("list-units", "--failed", "--no-legend") == ""

    def _check_tasks(self, cancelled: int) -> None:
        events = self.bus.events()
        queued = [event["task"] for event in events if event["kind"] == "task.queued"]
        ends = [(event["task"], event["kind"]) for event in events if event["kind"] in _ENDS]
        assert Counter(task for task, _ in ends) == dict.fromkeys(queued, 1)
        assert Counter(kind for _, kind in ends) == Counter(
            {"task.done": len(queued) - cancelled, "task.cancelled": cancelled}
        )
        assert Counter(self._lines("finished")) == dict.fromkeys(self._names, 1)
        said = [post["answers"] for post in self.bus.posts() if post["kind"] == "answer"]
        assert len(said) == len(set(said)) >= len(queued) - cancelled

    def _check_remote(self) -> None:
        pushed = [each for each in reversed(self.bus.proposals()) if each["state"] == "pushed"]
        wanted = {"main": self.remote.base} | {each["branch"]: each["head"] for each in pushed}
        assert self.remote.heads() == wanted
        assert sorted(self.pushes()) == sorted((each["branch"], each["head"]) for each in pushed)


def of_site(site: Site) -> Ledger:
    """The ledger of a machine.

    A container is not told when one of its cgroups v1 has become empty: systemd then waits for the end of a killed
    unit until its time is over, which is made short.
    """
    if not site.machine.system.unified:
        for unit in ("herald-agent@.service", "herald-git@.service"):
            site.machine.write(f"/etc/systemd/system/{unit}.d/60-short.conf", "[Service]\nTimeoutStopSec=8s\n")
        site.machine.systemctl("daemon-reload")
    return Ledger(site)


def instances(ledger: Ledger, pattern: str) -> list[str]:
    """The units of a pattern that are there at all, in whatever state."""
    listed = ledger.machine.systemctl("list-units", "--all", "--output=json", pattern)
    return [str(each["unit"]) for each in json.loads(listed)]
