"""Start: the protocol by which a deployment happens at most once, and ends with a result.

1. Its lock is taken and its cell is empty, nobody else deploys the project: else the call is refused, and nothing
   was done.
2. Both locks are with the service manager and the cell says `started`, durably: from here on this deployment is never
   started again, and the answer is `started`.
3. The result's last line is `end`, durably: the answer is `ended`. Without that line it is unknown how it ended.
"""

import json
import os
import stat
import time
from typing import NamedTuple

from herald import cell, journal, names, notify, snapshot
from herald.bus.oneshot import Call, Descriptor, Method
from herald.errors import Busy, HeraldError, Invalid
from herald.snapshot import Project, Snapshot
from herald_deploy import command, compose, engine
from herald_deploy.command import Ended, Order
from herald_deploy.said import Said
from herald_deploy.stop import StopSignal
from herald_deploy.trees import Trees

_DESCRIPTORS = ("tree", "lock", "result", "log")
_HASHES = (40, 64)


class Outcome(NamedTuple):
    """`kind` is ok, nothing, failed or stopped; `message` the reason with the next step, or what else is to be said."""

    kind: str
    message: str


def start(call: Call) -> None:
    """The method Start."""
    begun = time.monotonic()
    given = call.parameters
    settings = snapshot.read()
    project = settings.project(given["project"])
    _check(given)
    stop = StopSignal()
    cell.take(given["lock"], "deployment")
    own = _take_project(project.name)
    notify.store(given["lock"], "deployment")
    notify.store(own, "project")
    cell.begin(given["lock"])
    call.reply({"state": "started"}, continues=True)
    notify.status(f"deployment of {project.name} at {given['head'][:12]}")
    outcome = _guarded(given, settings, project, stop, begun)
    _write(given["result"], given["log"], outcome, time.monotonic() - begun)
    words = f"deployment at {given['head'][:12]}: {outcome.kind} {outcome.message}"
    journal.notice(words, project=project.name, run=given["deployment"])
    call.reply({"state": "ended"})


START = Method(start, {"deployment": str, "project": str, "head": str, **dict.fromkeys(_DESCRIPTORS, Descriptor)})


def _check(given: dict[str, object]) -> None:
    """Refuse what can never succeed. Raises Invalid."""
    head = str(given["head"])
    if len(head) not in _HASHES or not set(head) <= set("0123456789abcdef"):
        raise Invalid(f"head {head[:80]!r} is not the hash of a commit")
    for name in _DESCRIPTORS:
        fd = given[name]
        assert isinstance(fd, int)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Invalid(f"{name} has to be a regular file")


def _take_project(project: str) -> int:
    """One deployment of a project at a time. Raises Busy."""
    folder = os.path.join(names.state_folder(names.DEPLOY), project)
    os.makedirs(folder, 0o700, exist_ok=True)
    os.makedirs(os.path.join(names.state_folder(names.DEPLOY), "docker"), 0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(os.path.join(folder, "lock"), flags, 0o600)
    if not cell.lock(fd):
        raise Busy(f"a deployment of {project} goes on")
    return fd


def _guarded(given: dict[str, object], settings: Snapshot, project: Project, stop: StopSignal, begun: float) -> Outcome:
    """The boundary of a deployment: whatever goes wrong becomes an outcome."""
    try:
        return _deploy(given, settings, project, stop, begun)
    except HeraldError as error:
        return Outcome("failed", error.message)
    except OSError as error:
        journal.error(f"deployment failed: {error!r}", project=project.name)
        return Outcome("failed", f"{error.strerror or error}: {error.filename or 'no file'}")
    except Exception:  # noqa: BLE001 - the boundary: an unknown error ends it as failed, not as unknown
        import traceback  # loaded when it is needed

        journal.error(f"deployment failed unexpectedly\n{traceback.format_exc()}", project=project.name)
        return Outcome("failed", "an internal error; `journalctl -t herald-deploy` has the details")


def _deploy(given: dict[str, object], settings: Snapshot, project: Project, stop: StopSignal, begun: float) -> Outcome:
    tar, log, head = given["tree"], given["log"], str(given["head"])
    assert isinstance(tar, int)
    assert isinstance(log, int)
    trees = Trees(project.name)
    tree = trees.lay_out(tar, head)
    file = compose.find(settings, project, tree)
    if not file:
        return Outcome("nothing", f"the commit has none of {', '.join(compose.NAMES)}")
    if stop.received:
        return Outcome("stopped", "Herald was stopped before it could begin")
    said = Said(log)
    until = begun + settings.deploy.time_limit
    ended = command.run(Order(settings.deploy, project.name, head, tree, file, until), said, stop)
    if ended == Ended(0, ""):
        return Outcome("ok", "\n".join(trees.deployed(tree)))
    return _not_ok(ended, settings, project, said)


def _not_ok(ended: Ended, settings: Snapshot, project: Project, said: Said) -> Outcome:
    limit = settings.deploy.time_limit
    if ended.by == "stopped":
        return Outcome("stopped", "Herald was stopped in the middle of it")
    if ended.by == "deadline":
        return Outcome("failed", f"it had no end within {limit:g} s (`deploy.time_limit` in herald.yaml) and was ended")
    how = f"ended with exit code {ended.code}" if ended.code >= 0 else f"was killed by signal {-ended.code}"
    reason = f"`{settings.deploy.command} up --build -d` {how}"
    return Outcome("failed", ". ".join(filter(None, [reason, engine.hint(settings, project, said)])))


def _write(result: int, log: int, outcome: Outcome, seconds: float) -> None:
    """The result, durably; its line is whole or there is no result. Raises OSError."""
    os.fsync(log)
    end = {"type": "end", "outcome": outcome.kind, "message": outcome.message, "seconds": round(seconds, 1)}
    line = json.dumps(end).encode() + b"\n"
    if os.pwrite(result, line, 0) != len(line):
        raise OSError("the result could not be written whole")
    os.fsync(result)
