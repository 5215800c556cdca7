"""The bus of a machine, reached from outside: who calls is root, seen from inside."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import Any

from herald.bus import blocking
from herald.errors import Unavailable
from tests.support import processes
from tests.system.machine import Machine

_ENDS = {f"task.{state}" for state in ("done", "failed", "blocked", "cancelled", "parked")}
_PATIENCE = 60.0


class Bus:
    """Calls that are made again while nobody answers; therefore only what can be made again."""

    def __init__(self, machine: Machine, project: str = "demo") -> None:
        self._machine = machine
        self._project = project

    def call(self, service: str, method: str, **parameters: Any) -> dict[str, Any]:
        """A call; raises the HeraldError of the reply."""
        answers = processes.wait_for(
            lambda: list(self._try(service, method, parameters)), f"{service} answers {method}", _PATIENCE
        )
        return answers[0]

    def _try(self, service: str, method: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with _bus_folder(f"/proc/{self._machine.leader}/root/run/herald"), contextlib.suppress(Unavailable):
            yield blocking.call(service, method, parameters)

    def enqueue(self, text: str, *, key: str = "", project: str = "") -> str:
        """Hand in a task; returns its id."""
        given = {"key": key or uuid.uuid4().hex, "project": project or self._project, "text": text}
        return str(self.call("worker", "Enqueue", **given)["task"])

    def vote(self, vote: str = "approve", *, project: str = "") -> dict[str, Any]:
        """Vote on the newest open proposal."""
        return self.call("worker", "Vote", key=uuid.uuid4().hex, vote=vote, project=project or self._project)

    def status(self) -> dict[str, Any]:
        """The worker's status."""
        return self.call("worker", "GetStatus")

    def task(self, task: str) -> dict[str, Any]:
        """A task as the worker shows it."""
        return self.call("worker", "GetTask", task=task)

    def projects(self) -> list[str]:
        """The projects that are in force."""
        return [each["name"] for each in self.call("worker", "ListProjects")["projects"]]

    def proposals(self, *, open: bool = False, project: str | None = None) -> list[dict[str, Any]]:
        """Proposals, newest first."""
        given = {"open": open, **({"project": project} if project else {})}
        found: list[dict[str, Any]] = self.call("worker", "ListProposals", **given)["proposals"]
        return found

    def posts(self) -> list[dict[str, Any]]:
        """All posts that the gateway has."""
        found: list[dict[str, Any]] = self.call("gateway", "ListPosts", limit=1000)["posts"]
        return found

    def events(self, since: int = 0, *, task: str = "") -> list[dict[str, Any]]:
        """The event log above an id, of a task if one is named."""
        found: list[dict[str, Any]] = []
        while part := self.call("worker", "ListEvents", since=since, limit=500)["events"]:
            found += part
            since = part[-1]["id"]
        return [each for each in found if task in ("", each["task"])]

    def kinds(self, task: str) -> list[str]:
        """What happened to a task, without its progress."""
        return [each["kind"] for each in self.events(task=task) if each["kind"] != "task.progress"]

    def wait_for_event(self, kind: str, task: str = "", *, since: int = 0, patience: float = _PATIENCE) -> Any:
        """The first event of this kind (of this task) above an id."""
        return processes.wait_for(
            lambda: next((each for each in self.events(since, task=task) if each["kind"] == kind), None),
            f"{kind} {task}; there are {[(each['kind'], each['task']) for each in self.events(since)][-20:]}",
            patience,
        )

    def ended(self, task: str, patience: float = _PATIENCE) -> str:
        """The state in which a task ends, as soon as it does."""
        kinds: list[str] = processes.wait_for(
            lambda: [each for each in self.kinds(task) if each in _ENDS], f"the end of task {task}", patience
        )
        return kinds[0].removeprefix("task.")

    def settled(self, proposal: str, patience: float = _PATIENCE) -> str:
        """What becomes of a proposal after its vote: `pushed`, `refused`, `discarded`."""
        going = ("open", "approved", "pushing", "rejected")
        found: list[str] = processes.wait_for(
            lambda: [p["state"] for p in self.proposals() if p["id"] == proposal and p["state"] not in going],
            f"the end of proposal {proposal}",
            patience,
        )
        return found[0]

    def idle(self, patience: float = _PATIENCE) -> None:
        """Return when nothing is queued, running or being pushed."""
        processes.wait_for(lambda: not self._is_busy(), "nothing is going on", patience)

    def _is_busy(self) -> bool:
        # In this order: the end of a push puts its words into the backlog.
        if any(each["state"] in ("approved", "pushing", "rejected") for each in self.proposals()):
            return True
        status = self.status()
        return bool(status["queued"] or status["running"] or status["deployments"] or status["gateway_backlog"])


@contextlib.contextmanager
def _bus_folder(folder: str) -> Iterator[None]:
    before = os.environ.get("HERALD_BUS")
    os.environ["HERALD_BUS"] = folder
    try:
        yield
    finally:
        del os.environ["HERALD_BUS"]
        if before is not None:
            os.environ["HERALD_BUS"] = before
