"""Run: the protocol by which a run starts at most once, is adopted by whoever asks later, and ends with a result.

1. The run's lock is taken and its cell is empty, the slot and the workspace are free: else the call is refused, and
   nothing was done.
2. All three locks are with the service manager and the cell says `started`, durably: from here on this run is never
   started again, and the answer is `started`.
3. The result's last line is `end`, durably: the answer is `ended`. Without that line the run died.
"""

import os
import stat
import time
from typing import NamedTuple

from herald import journal, notify, snapshot
from herald.bus.oneshot import Call
from herald.errors import Invalid
from herald_agent import locks
from herald_agent.reference import check_branch, check_hash
from herald_agent.stop import StopSignal


class Request(NamedTuple):
    """The parameters of Run; those from `prompt` on are descriptors."""

    run: str
    project: str
    branch: str
    base: str
    session: str
    resume: bool
    deadline: float
    title: str
    prompt: int
    base_pack: int
    lock: int
    result: int
    pack: int
    log: int
    control: int


def run(call: Call) -> None:
    """Take the locks, answer `started`, do the work, answer `ended`."""
    begun = time.monotonic()
    journal.debug("called", run=call.parameters["run"])
    request = Request(**call.parameters)
    settings = snapshot.read()
    project = settings.project(request.project)
    _check(request)
    stop = StopSignal()
    locks.take_run(request.lock)
    slot = locks.take_slot(settings.max_active)
    workspace = locks.take_workspace(project.name)
    locks.keep(run=request.lock, slot=slot, workspace=workspace)
    locks.begin(request.lock)
    call.reply({"state": "started"}, continues=True)
    journal.debug("started", run=request.run)
    notify.status(f"run {request.run} of {project.name}")

    from herald_agent.work import work  # what the run itself needs is loaded after the answer

    work(request, project, stop, begun)
    call.reply({"state": "ended"})


def _check(request: Request) -> None:
    """Refuse what can never succeed. Raises Invalid."""
    name = request.run
    if not (name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum() and len(name) <= 100):
        raise Invalid(f"{name!r} cannot be the name of a run")
    if not check_branch(request.branch):
        raise Invalid(f"{request.branch!r} cannot be the name of a branch")
    if not check_hash(request.base):
        raise Invalid(f"base {request.base!r} is not the hash of a commit")
    if not request.deadline > 0:
        raise Invalid("the deadline is over already")
    files = (request.prompt, request.base_pack, request.lock, request.result, request.pack, request.log)
    if not all(stat.S_ISREG(os.fstat(fd).st_mode) for fd in (*files, request.control)):
        raise Invalid("every descriptor of a run has to be a regular file")
