"""Large files on their way: out of a workspace to the remote before a push, into a workspace before a run.

Each crosses by itself, through a descriptor, and is compared with its SHA-256 on arrival. What a proposed commit needs
lies in `largefiles/PROJECT/COMMIT/` until the proposal is pushed or discarded, and for 30 days where it ended otherwise
and may be made again; herald-git@ reads it there.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable
from typing import NamedTuple

from asyncvarlink import FileDescriptor

from herald import clock, journal, largefiles
from herald.bus import client
from herald.database import Database
from herald.errors import Busy, Conflict, Failed, NotFound, Unavailable
from herald.interfaces.agent import Agent
from herald.interfaces.git import Git, PushResult
from herald.largefiles import Pointer, Wrong, shown
from herald.snapshot import Project
from herald_worker import pointers
from herald_worker.commit_summary import plain
from herald_worker.kept import LIFETIME
from herald_worker.mirror import Mirror
from herald_worker.pointers import LargeFile, folder

_AGENT_DEADLINE = 700.0
_GIT_DEADLINE = 3400.0
_TRIES = 5
_PAUSE = 1.0
_SHOWN = 5
_YOUNG = 3600.0
"""Seconds in which what was collected gets its proposal."""


class Collected(NamedTuple):
    """The large files that a commit needs: `held` are here, `missing` are not, each with the reason."""

    held: list[LargeFile]
    missing: list[tuple[LargeFile, str]]

    def warning(self) -> list[str]:
        """What stands above everything on the card."""
        if not self.missing:
            return []
        lines = [f"• {_line(each)}: {reason}" for each, reason in self.missing[:_SHOWN]]
        more = len(self.missing) - len(lines)
        return [
            "⛔ Large files are missing. A push is refused unless the remote already has them:",
            *lines,
            *([f"• … and {more} more"] if more else []),
        ]

    def lines(self) -> list[str]:
        """What the card lists."""
        if not self.held:
            return []
        total = shown(sum(each.size for each in self.held))
        counted = f"{len(self.held)} large file{'' if len(self.held) == 1 else 's'} ({total})"
        more = len(self.held) - _SHOWN
        return [
            f"{counted}, pushed with git-lfs before the branch:",
            *(f"• {_line(each)}" for each in self.held[:_SHOWN]),
            *([f"• … and {more} more"] if more > 0 else []),
        ]


class LargeFiles:
    """Moves them, by the units that may."""

    def __init__(self) -> None:
        self._agent = client.peer(Agent, _AGENT_DEADLINE)
        self._git = client.peer(Git, _GIT_DEADLINE)

    async def collect(self, project: Project, workspace: str, head: str) -> Collected:
        """Take what the commits of `head` need out of the workspace. Raises HeraldError."""
        found = Collected([], [])
        total = 0
        for each in await pointers.named_by_new(Mirror(project.name), head):
            if reason := _too_much(each, total, len(found.held)):
                found.missing.append((each, reason))
                continue
            reason = "" if _is_kept(project.name, head, each) else await self._get(project, workspace, head, each)
            if reason:
                found.missing.append((each, reason))
            else:
                found.held.append(each)
                total += each.size
        return found

    async def push(self, project: Project, head: str) -> PushResult | None:
        """Have the remote take what `head` needs; None when it has all of it. Raises HeraldError."""
        wanted = await pointers.named_by_new(Mirror(project.name), head)
        if len(wanted) > largefiles.MOST:
            reason = f"it needs {len(wanted)} large files; at most {largefiles.MOST} are pushed at once"
            return PushResult(outcome="refused", reason=reason)
        if refused := await self._lacked_elsewhere(project, head, wanted):
            return refused
        result = await self._push(project, head, wanted)
        return None if result["outcome"] == "pushed" else result

    async def _lacked_elsewhere(self, project: Project, head: str, new: list[LargeFile]) -> PushResult | None:
        """Why a push URL of its own, with files of its own, may not have `head`: it lacks files of the base."""
        if project.lfs_url or project.push_url in ("", project.remote):
            return None
        listed = await self._git.ListPushBranches(project=project.name, head=head)
        named = await pointers.named_beyond(Mirror(project.name), head, listed["heads"])
        own = {each.oid for each in new}
        older = [each for each in named if each.oid not in own]
        for start in range(0, len(older), largefiles.MOST):
            result = await self._push(project, head, older[start : start + largefiles.MOST])
            if result["outcome"] != "pushed":
                about = "this is about large files of the base, which is fetched from elsewhere"
                how = "`git lfs push --all` to the push URL brings them there, or set `git.lfs.url`"
                return PushResult(outcome="refused", reason=f"{result['reason']}; {about}: {how}")
        return None

    async def _push(self, project: Project, head: str, wanted: list[LargeFile]) -> PushResult:
        if not wanted:
            return PushResult(outcome="pushed", reason="")
        files = [f"{each.oid} {each.size}" for each in wanted]
        return await self._git.PushLargeFiles(project=project.name, head=head, files=files)

    async def bring(self, project: Project, workspace: str, base: str) -> list[LargeFile]:
        """Put what `git.lfs.get` names, as far as `base` has it, into the workspace; returns what the server lacks.

        Raises HeraldError.
        """
        if project.lfs_get == ("none",):
            return []
        wanted = await pointers.named_by(Mirror(project.name), base, project.lfs_get)
        lacking = await self._lacked(project, workspace, wanted)
        size = sum(each.size for each in lacking)
        if size > largefiles.LARGEST_TOGETHER or any(each.size > largefiles.LARGEST for each in lacking):
            raise Conflict(
                f"`git.lfs.get` of {project.name} names {shown(size)} of large files that the workspace lacks; at most"
                f" {shown(largefiles.LARGEST)} each and {shown(largefiles.LARGEST_TOGETHER)} together are fetched for"
                " one run; name fewer of them"
            )
        absent = []
        for each in lacking:
            try:
                await self._bring(project, workspace, each)
            except NotFound:
                absent.append(each)
            except Failed as error:
                raise Failed(f"`git.lfs.get` names {plain(each.path)}: {error.message}") from error
        return absent

    async def _lacked(self, project: Project, workspace: str, wanted: list[LargeFile]) -> list[LargeFile]:
        held: set[str] = set()
        oids = [each.oid for each in wanted]
        for start in range(0, len(oids), largefiles.MOST):
            part = oids[start : start + largefiles.MOST]
            answer = await self._agent.ListLargeFiles(project=project.name, workspace=workspace, oids=part)
            held.update(answer["held"])
        return [each for each in wanted if each.oid not in held]

    async def _bring(self, project: Project, workspace: str, each: LargeFile) -> None:
        pointer = Pointer(each.oid, each.size)
        os.makedirs(folder(project.name), 0o750, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder(project.name)) as file:
            fd = file.fileno()
            if kept := _anywhere(project.name, each):
                await asyncio.to_thread(_copy, kept, fd, pointer)
            else:
                passed = FileDescriptor(fd)
                await self._git.FetchLargeFile(project=project.name, oid=each.oid, size=each.size, file=passed)
            if reason := await asyncio.to_thread(_problem, fd, pointer):
                raise Failed(f"the large file {plain(each.path)} that was fetched is not the right one: {reason}")
            await self._agent.PutLargeFile(
                project=project.name, workspace=workspace, oid=each.oid, size=each.size, file=FileDescriptor(fd)
            )

    async def _get(self, project: Project, workspace: str, head: str, each: LargeFile) -> str:
        """Take one file out of the workspace; returns why it could not be, empty if it could. Raises HeraldError."""
        place = _made(project.name, head)
        making = os.path.join(place, f".{each.oid}")
        fd = os.open(making, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            reason = await self._asked(project, workspace, each, fd)
            reason = reason or await asyncio.to_thread(_problem, fd, Pointer(each.oid, each.size))
            if not reason:
                os.fchmod(fd, 0o440)
                await asyncio.to_thread(os.fsync, fd)
                os.rename(making, os.path.join(place, each.oid))
        finally:
            os.close(fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(making)
        return reason

    async def _asked(self, project: Project, workspace: str, each: LargeFile, fd: int) -> str:
        for attempt in range(_TRIES):
            try:
                got = await self._agent.GetLargeFile(
                    project=project.name, workspace=workspace, oid=each.oid, size=each.size, file=FileDescriptor(fd)
                )
            except (Busy, Unavailable):
                if attempt + 1 == _TRIES:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return "" if got["held"] else plain(got["reason"] or "it is not in the workspace")
        raise AssertionError  # the last attempt returns or raises


def absence(project: Project, absent: list[LargeFile]) -> str:
    """What to say of files that a run has to do without."""
    return (
        f"`git.lfs.get` of {project.name} names large files that the server does not have: {pointers.shown(absent)}."
        " Runs find their pointers; push the files, or name others."
    )


def forget(project: str, head: str) -> None:
    """What was collected for a commit is not needed any more."""
    shutil.rmtree(folder(project, head), ignore_errors=True)


async def sweep(database: Database) -> None:
    """Remove what no proposal needs: superseded, over for long, or collected by a worker that was killed."""

    def read(connection: sqlite3.Connection) -> set[str]:
        rows = connection.execute(
            "SELECT project, head FROM proposals WHERE ended_at IS NULL"
            " OR (state IN ('refused', 'void', 'expired') AND ended_at > ?)",
            (clock.text(time.time() - LIFETIME),),
        )
        return {folder(row["project"], row["head"]) for row in rows}

    kept = await database.read(read)
    gone = await asyncio.to_thread(_swept, kept)
    if gone:
        journal.info(f"removed large files of {gone} proposals that are over")


def _swept(kept: Iterable[str]) -> int:
    there = [place for project in _folders(folder()) for place in _folders(project)]
    old = [place for place in there if place not in kept and _age(place) > _YOUNG]
    for place in old:
        shutil.rmtree(place, ignore_errors=True)
    return len(old)


def _folders(path: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _age(path: str) -> float:
    try:
        return time.time() - os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _made(project: str, head: str) -> str:
    for place in (folder(), folder(project), folder(project, head)):
        os.makedirs(place, exist_ok=True)
        os.chmod(place, 0o750)  # noqa: S103 - for the group of herald-git@
    return folder(project, head)


def _is_kept(project: str, head: str, each: LargeFile) -> bool:
    """Whether the file is here; a copy that another commit needs is shared."""
    path = os.path.join(folder(project, head), each.oid)
    if os.path.exists(path):
        return os.stat(path).st_size == each.size
    other = _anywhere(project, each)
    if not other:
        return False
    _made(project, head)
    try:
        os.link(other, path)
    except OSError:
        return False
    return True


def _anywhere(project: str, each: LargeFile) -> str:
    """A file that was collected for some commit; empty if there is none."""
    for place in _folders(folder(project)):
        path = os.path.join(place, each.oid)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_size == each.size:
                return path
    return ""


def _too_much(each: LargeFile, total: int, count: int) -> str:
    if each.size > largefiles.LARGEST:
        return f"it is larger than {shown(largefiles.LARGEST)}, the most that is taken of one file"
    if total + each.size > largefiles.LARGEST_TOGETHER:
        return f"together they are larger than {shown(largefiles.LARGEST_TOGETHER)}, the most that is taken of one run"
    if count >= largefiles.MOST:
        return f"there are more than {largefiles.MOST}, the most that are taken of one run"
    return ""


def _problem(fd: int, pointer: Pointer) -> str:
    try:
        largefiles.check(fd, pointer)
    except Wrong as error:
        return str(error)
    return ""


def _copy(path: str, fd: int, pointer: Pointer) -> None:
    source = largefiles.open_regular(path)
    try:
        with contextlib.suppress(Wrong):  # found by whoever compares it
            largefiles.copy(source, fd, pointer)
    finally:
        os.close(source)


def _line(each: LargeFile) -> str:
    return f"{plain(each.path)} ({shown(each.size)})"
