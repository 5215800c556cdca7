"""What a run does between `started` and `ended`: workspace, agent, commits, result."""

import os
import stat
import time
import zlib
from typing import Any, NamedTuple

from herald import journal, names
from herald.errors import Failed, HeraldError
from herald.snapshot import Snapshot
from herald_agent import attachments, claude, excluding, largefiles, login, outcome, process, prompt, selfcheck
from herald_agent.access import Access, access
from herald_agent.bootstrap import add_templates
from herald_agent.control import Control
from herald_agent.environment import Environment, build
from herald_agent.gitfolder import Upstream
from herald_agent.inside import Unusable
from herald_agent.locks import folder
from herald_agent.opening import OpenWorkspace, open_workspace
from herald_agent.outcome import Outcome
from herald_agent.output import Log, write_result
from herald_agent.planning import Wanted
from herald_agent.repository import Repository
from herald_agent.request import Request
from herald_agent.settlement import Left
from herald_agent.stop import Stopped, StopSignal
from herald_agent.store import Incomplete
from herald_agent.workspace import Workspace

_LONGEST_TEMPORARY = 84
"""The CLI makes sockets below its TMPDIR (`cc-socks/PID.sock`), and a socket's path has at most 107 bytes."""

_EXCLUDE = "herald-exclude"

_SLOW_PACK = 1 << 22
"""Bytes of a pack whose import people notice."""

_PRIVATE = "/tmp"  # noqa: S108 - each instance of the unit has one of its own (PrivateTmp=)


class Work(NamedTuple):
    """What came of a run: what the agent said, the outcome, the fields of the result's last line that are known, and
    where it worked."""

    text: str
    outcome: Outcome
    fields: dict[str, Any]
    opened: OpenWorkspace | None = None


class Place(NamedTuple):
    """Where a run belongs; `not_held` is filled with what its confinement does not hold."""

    settings: Snapshot
    workspace: Workspace
    temporary: str
    not_held: list[str]


def work(request: Request, settings: Snapshot, workspace: Workspace, stop: StopSignal, begun: float) -> None:
    """Do the run and write its result. Raises OSError when the result cannot be written."""
    project = workspace.project
    journal.info("run begins", project=project.name, run=request.run)
    process.adopt_orphans()
    place = Place(settings, workspace, _temporary(workspace), [])
    done = _guarded(request, place, stop, begun)
    if not process.end_descendants():
        journal.error("processes of the agent are left that cannot be killed", project=project.name, run=request.run)
    login.take_back(workspace.name)
    _remove(place.temporary)
    attachments.remove(workspace.name)
    end = {
        "outcome": done.outcome.kind,
        "message": done.outcome.message,
        "head": "",
        "base": request.base,
        "branch": request.branch,
        "commits": 0,
        "pack_bytes": 0,
        "uncommitted": False,
        "session": request.session,
        "cost_usd": 0.0,
        "usage": {},
        "turns": 0,
        "duration": round(time.monotonic() - begun, 3),
        "denials": [],
        "resets_at": 0,
        "not_held": place.not_held,
        **done.fields,
    }
    write_result(request.result, done.text, end)
    if done.opened is not None:
        done.opened.forget(well=done.outcome.kind == "ok")
    journal.info(f"run ended: {done.outcome.kind} {done.outcome.message}", project=project.name, run=request.run)


def _guarded(request: Request, place: Place, stop: StopSignal, begun: float) -> Work:
    """The boundary of a run: whatever goes wrong becomes an outcome."""
    project = place.workspace.project
    try:
        return _work(request, place, stop, begun)
    except Stopped:
        found = Outcome("stopped", "Stopped together with Herald; it goes on when Herald is started.")
    except Incomplete as error:
        found = Outcome("incomplete", error.message)
    except Unusable as error:
        found = Outcome("workspace", error.message)
    except HeraldError as error:
        found = Outcome("failed", error.message)
    except (OSError, ValueError) as error:
        found = Outcome("failed", f"The run could not be done: {error}.")
        journal.error(f"run failed: {error!r}", project=project.name, run=request.run)
    except Exception:  # noqa: BLE001 - the boundary: an unknown error ends the run as failed, not as lost
        found = Outcome("failed", "An internal error; `journalctl -t herald-agent` has the details.")
        import traceback  # loaded when it is needed

        journal.error(f"run failed unexpectedly\n{traceback.format_exc()}", project=project.name, run=request.run)
    return Work("", found, {})


def _work(request: Request, place: Place, stop: StopSignal, begun: float) -> Work:
    workspace = place.workspace
    _make_empty(place.temporary)
    environment = build(workspace, place.temporary)
    log = Log(request.log)
    log.credential("none, the stand-in needs none" if claude.is_standin() else environment.credential)
    command = claude.command()
    if not command:
        return Work("", outcome.not_installed(), {})
    files = attachments.unpack(request.attachments, workspace.name)
    words = prompt.with_files(prompt.read(request.prompt), files)
    readable = attachments.place(workspace.name) if files else ""
    upstream = Upstream(request.default_branch, request.default_head)
    reached = access(
        place.settings, workspace, stop=stop, temporary=place.temporary, readable=readable, upstream=upstream
    )
    _tell_what_is_not_held(request, place, selfcheck.not_held(place.settings, workspace, reached.confinement))
    opened = _opened(request, reached, log)
    _hide(opened, place, environment)
    journal.debug("workspace is ready", run=request.run)
    order = claude.Order(
        command=command,
        folder=opened.folder,
        environment=environment,
        prompt=words,
        session=request.session or _new_session(),
        resume=request.resume,
        may_commit=workspace.project.auto_commit,
        until=begun + request.deadline,
        confine=reached.confinement.enter,
    )
    try:
        if request.bootstrap:
            add_templates(opened.repository.git, workspace.project)
        said = _converse(order, log, request, stop)
    finally:
        process.end_descendants()
        left = opened.close()
    fields = said.fields | {"branch": opened.branch, **_hand_over(opened.repository, request, left)}
    return Work(said.text, _with_notes(said.outcome, left), fields, opened)


def _hide(opened: OpenWorkspace, place: Place, environment: Environment) -> None:
    """Have the agent's git pass over what a person has lying about in the folder, beside what they ignore."""
    patterns = opened.hidden()
    if not patterns:
        return
    git, path = opened.repository.git, os.path.join(place.temporary, _EXCLUDE)
    theirs = excluding.configured(git, environment.agent)

    def write() -> None:
        with open(path, "wb") as file:
            file.write(excluding.read(theirs) + patterns)

    git.inside(write)
    count = int(environment.agent.get("GIT_CONFIG_COUNT", "0"))
    named = {f"GIT_CONFIG_KEY_{count}": "core.excludesFile", f"GIT_CONFIG_VALUE_{count}": path}
    environment.agent.update({**named, "GIT_CONFIG_COUNT": str(count + 1)})


def _opened(request: Request, reached: Access, log: Log) -> OpenWorkspace:
    """The workspace with the base commit in it. Raises Incomplete, Unusable, Failed, OSError."""
    if reached.own is None:
        notes: list[str] = []
        repository = reached.repository(notes)
        if os.fstat(request.base_pack).st_size:
            _import_base(repository, request.base_pack)
    else:
        if os.fstat(request.base_pack).st_size > _SLOW_PACK:
            log.progress("preparing the workspace")
        reached.own.store.take(request.base_pack, request.base)
        notes = []
        repository = reached.repository(notes)
    largefiles.require(repository.git, request.base, request.project)
    wanted = Wanted(request.branch, request.base, request.title)
    opened = open_workspace(reached.workspace, repository, reached.record, wanted)
    opened.notes.extend(notes)
    return opened


def _tell_what_is_not_held(request: Request, place: Place, sentences: list[str]) -> None:
    place.not_held.extend(sentences)
    for sentence in sentences:
        journal.warning(f"not held: {sentence}", project=request.project, run=request.run)


def _converse(order: claude.Order, log: Log, request: Request, stop: StopSignal) -> Work:
    try:
        finished = claude.converse(order, log, Control(request.control, request.result), stop)
    except FileNotFoundError as error:  # it was there a moment ago
        journal.error(f"{error.filename}: {error.strerror}", project=request.project, run=request.run)
        return Work("", outcome.not_installed(), {})
    told = {
        "session": finished.stream.session or order.session,
        "denials": outcome.denials(finished),
        "resets_at": finished.stream.resets_at,
    }
    found = outcome.classify(finished, request.deadline)
    return Work(finished.stream.answer(), found, outcome.spent(finished) | told)


def _import_base(repository: Repository, pack: int) -> None:
    """Take what the clone may lack. Raises Incomplete, upon which the caller hands over all of it the next time."""
    try:
        repository.import_pack(pack)
    except Failed as error:
        raise Incomplete(f"{repository.folder} lacks commits that it had ({error.message})") from error


def _hand_over(repository: Repository, request: Request, left: Left) -> dict[str, Any]:
    """Pack what was committed. The commits stay in the clone when that fails."""
    size = 0
    if left.commits:
        size = repository.unstoppable().export_pack([left.head], [left.base], request.pack)
    counted = {"commits": left.commits, "pack_bytes": size, "uncommitted": left.uncommitted}
    return {"head": left.head, "base": left.base, **counted}


def _with_notes(found: Outcome, left: Left) -> Outcome:
    """The outcome with what there is to say about the workspace. Who got something done in spite of a refusal is not
    blocked."""
    if found.kind == "denied" and (left.commits or left.uncommitted):
        found = Outcome("ok", found.message)
    return Outcome(found.kind, " ".join([*([found.message] if found.message else []), *left.notes]))


def _new_session() -> str:
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _temporary(workspace: Workspace) -> str:
    """The folder for temporary files of a workspace's runs."""
    if names.mode() == "system":
        return _PRIVATE
    path = os.path.join(folder("tmp"), workspace.name)
    if len(path) <= _LONGEST_TEMPORARY:
        return path
    return f"/tmp/herald-{os.geteuid()}-{zlib.crc32(path.encode()):08x}"  # noqa: S108 - `_make_empty` checks whose it is


def _make_empty(path: str) -> None:
    """Make a folder without anything that a killed run left in it. Raises Failed."""
    if path == _PRIVATE:
        return
    _remove(path)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise Failed(f"{path} belongs to somebody else; remove it") from None


def _remove(path: str) -> None:
    """Remove the folder for temporary files. The unit's own goes with the unit."""
    if path != _PRIVATE:
        process.remove_tree(path)
