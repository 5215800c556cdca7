"""Run: the protocol by which a run starts at most once, is adopted by whoever asks later, and ends with a result.

1. The run's lock is taken and its cell is empty, the slot and the workspace are free: else the call is refused, and
   nothing was done.
2. All three locks are with the service manager and the cell says `started`, durably: from here on this run is never
   started again, and the answer is `started`.
3. The result's last line is `end`, durably: the answer is `ended`. Without that line the run died.
"""

import time

from herald import cell, journal, notify, snapshot
from herald.bus.oneshot import Call
from herald_agent import locks
from herald_agent.request import Request, check
from herald_agent.stop import StopSignal
from herald_agent.work import work
from herald_agent.workspace import workspace_of


def run(call: Call) -> None:
    """Take the locks, answer `started`, do the work, answer `ended`."""
    begun = time.monotonic()
    journal.debug("called", run=call.parameters["run"])
    request = Request(**call.parameters)
    settings = snapshot.read()
    workspace = workspace_of(settings.project(request.project), request.workspace)
    check(request)
    stop = StopSignal()
    cell.take(request.lock, "run")
    slot = locks.take_slot(settings.max_active)
    taken = locks.take_workspace(workspace.name)
    locks.keep(run=request.lock, slot=slot, workspace=taken)
    cell.begin(request.lock)
    call.reply({"state": "started"}, continues=True)
    journal.debug("started", run=request.run)
    notify.status(f"run {request.run} in {workspace.name}")
    work(request, settings, workspace, stop, begun)
    call.reply({"state": "ended"})
