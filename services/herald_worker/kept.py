"""Commits that are nowhere but in a workspace: found before a reset, and kept for 30 days.

What git's check lets in is a ref in the mirror, `refs/kept/TIME/BRANCH`. What it refuses is never part of the mirror,
because a card could be made of it there: it is kept as a bundle, `kept/PROJECT/TIME.bundle` in the worker's state.
"""

import asyncio
import calendar
import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from herald import durable, journal, names
from herald.errors import Conflict, Failed, HeraldError, Invalid, NotFound
from herald.interfaces.agent import Branch
from herald_worker.ancestry import ancestors
from herald_worker.beside import Beside
from herald_worker.mirror import Mirror

LIFETIME = 30 * 86400.0
_MOST_PACK = 512 << 20
_REFS = "refs/kept/"
_STAMP = "%Y%m%d-%H%M%S"
_STAMPED = re.compile(r"\d{8}-\d{6}")
_BRANCH = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]{1,200}")
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Unpushed(NamedTuple):
    """A branch with commits that no remote has. `commits` is -1 where they cannot be counted."""

    name: str
    head: str
    commits: int


class Kept(NamedTuple):
    """Where commits went: `ref` of the mirror, or the path of a bundle with the `reason` of the refusal."""

    branch: str
    head: str
    ref: str = ""
    bundle: str = ""
    reason: str = ""


async def unpushed(mirror: Mirror, pack: str, branches: Iterable[Branch], pushed: Mapping[str, str]) -> list[Unpushed]:
    """Which branches have commits that neither the default branch nor what was `pushed` (by branch) has."""
    found = []
    async with mirror.beside(pack) as beside:
        for branch in branches:
            name, head = _checked(branch)
            sent = [f"^{pushed[name]}"] if name in pushed else []
            counting = await beside.git(
                "rev-list", "--count", "--ignore-missing", head, *sent, "--not", "--glob=refs/base/*"
            )
            commits = -1 if counting.code else int(counting.out)
            if commits and pushed.get(name) != head:
                found.append(Unpushed(name, head, commits))
    return found


async def keep(
    mirror: Mirror, pack: str, branches: Iterable[Unpushed], have: Sequence[str], accepted: tuple[str, ...] = ()
) -> list[Kept]:
    """Keep these heads; `pack` holds what the mirror may lack of them, made for somebody who has `have`.

    `accepted` as in `Mirror.import_run`; a blemish of the base is found to be one in the first branch alone."""
    wanted = list(branches)
    if not wanted:
        return []
    judged = (have[0] if have else "", wanted[0].head, accepted)
    try:
        async with mirror.beside(pack, _MOST_PACK, judged) as beside:
            kept = await _keep_in(beside, wanted)
    except (Conflict, Failed) as error:
        kept = [each for branch in wanted if (each := await _keep_known(mirror, branch)) is not None]
        left = [each for each in wanted if each.name not in {found.branch for found in kept}]
        if left:
            path = await asyncio.to_thread(_bundle, mirror.project, pack, left, have)
            kept += [Kept(each.name, each.head, bundle=path, reason=error.message) for each in left]
    return kept


async def have_of(mirror: Mirror) -> list[str]:
    """Commits that everybody has: of the remote's default branch."""
    async with mirror.beside() as beside:
        listed = await beside.git("for-each-ref", "--format=%(objectname)", "refs/base/default")
        head = listed.out.decode().strip()
    return await ancestors(mirror, head) if head else []


async def find(mirror: Mirror, ref: str) -> tuple[str, str]:
    """The branch and the head of a ref that is kept. Raises NotFound."""
    _, _, branch = ref.removeprefix(_REFS).partition("/")
    if ref.startswith(_REFS) and _BRANCH.fullmatch(ref) and branch:
        async with mirror.beside() as beside:
            found = await beside.git("rev-parse", "--verify", "--quiet", ref)
        if found.code == 0:
            return branch, found.out.decode().strip()
    raise NotFound(f"nothing is kept as {ref[:200]!r}; a reset says what it kept, and for how long")


async def drop_old(mirror: Mirror) -> None:
    """Forget what was kept longer ago than 30 days."""
    async with mirror.beside() as beside:
        listed = await beside.git("for-each-ref", "--format=%(refname)", _REFS)
        await beside.demand(listed)
        for ref in listed.out.decode().splitlines():
            if _is_old(ref.removeprefix(_REFS)):
                await beside.demand(await beside.git("update-ref", "-d", ref))
                journal.notice(f"{ref} was kept for 30 days and is dropped", project=mirror.project)
    await asyncio.to_thread(_drop_old_bundles, mirror.project)


async def drop_all_old() -> None:
    """The same for every mirror that there is, and for every project of which there are bundles."""
    folder = os.path.join(names.state_folder(names.WORKER), "mirrors")
    found = os.listdir(folder) if os.path.isdir(folder) else []
    for name in sorted(each for each in found if each.endswith(".git")):
        try:
            await drop_old(Mirror(name.removesuffix(".git")))
        except HeraldError as error:
            journal.warning(f"what was kept cannot be looked at: {error.message}", project=name.removesuffix(".git"))
    bundles = os.path.join(names.state_folder(names.WORKER), "kept")
    for project in os.listdir(bundles) if os.path.isdir(bundles) else []:
        await asyncio.to_thread(_drop_old_bundles, project)  # also of one whose mirror is gone


async def _keep_in(beside: Beside, wanted: list[Unpushed]) -> list[Kept]:
    for each in wanted:
        await beside.demand_complete(each.head)
    await beside.accept()
    return await _point(beside, wanted)


async def _keep_known(mirror: Mirror, branch: Unpushed) -> Kept | None:
    """Keep what needs nothing of a pack that was refused: cards, for example."""
    async with mirror.beside() as beside:
        complete = await beside.git("rev-list", "--objects", "--quiet", branch.head, "--not", "--all")
        if complete.code:
            return None
        return (await _point(beside, [branch]))[0]


async def _point(beside: Beside, wanted: list[Unpushed]) -> list[Kept]:
    """A ref for each; an older one of the same branch and head goes: a reset that was cut short is made again."""
    listed = await beside.git("for-each-ref", "--format=%(objectname) %(refname)", _REFS)
    await beside.demand(listed)
    there = [line.split(" ", 1) for line in listed.out.decode().splitlines()]
    now = int(time.time())
    while any(ref.startswith(f"{_REFS}{_stamp(now)}/{each.name}") for _, ref in there for each in wanted):
        now += 1
    made = [Kept(each.name, each.head, ref=f"{_REFS}{_stamp(now)}/{each.name}") for each in wanted]
    for each in made:
        await beside.demand(await beside.git("update-ref", each.ref, each.head, "0" * len(each.head)))
        for head, ref in there:
            if head == each.head and ref.removeprefix(_REFS).partition("/")[2] == each.branch:
                await beside.demand(await beside.git("update-ref", "-d", ref, head))
    return made


def _bundle(project: str, pack: str, branches: list[Unpushed], have: Sequence[str]) -> str:
    """A bundle, as git reads it: what its reader must have, the branches, the pack as it came."""
    folder = _bundles(project)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    now = int(time.time())
    while os.path.lexists(path := os.path.join(folder, f"{_stamp(now)}.bundle")):
        now += 1
    head = ["# v2 git bundle"] if len(branches[0].head) == 40 else ["# v3 git bundle", "@object-format=sha256"]
    head += [f"-{each} " for each in have]
    head += [f"{each.head} refs/heads/{each.name}" for each in branches]
    half_made = f"{path}.new"
    with open(half_made, "wb") as target, open(pack, "rb") as source:
        target.write("".join(f"{line}\n" for line in [*head, ""]).encode())
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())
    os.rename(half_made, path)
    durable.sync_folder(folder)
    return path


def _drop_old_bundles(project: str) -> None:
    folder = _bundles(project)
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if _is_old(name) or name.endswith(".new"):
            durable.with_no_trace(os.path.join(folder, name))


def _bundles(project: str) -> str:
    return os.path.join(names.state_folder(names.WORKER), "kept", project)


def _stamp(seconds: int) -> str:
    return time.strftime(_STAMP, time.gmtime(seconds))


def _is_old(name: str) -> bool:
    """By the time that a name begins with; what has none was made by people and is theirs."""
    found = _STAMPED.match(name)
    if found is None:
        return False
    try:
        kept_at = calendar.timegm(time.strptime(found[0], _STAMP))
    except ValueError:
        return False
    return time.time() - kept_at > LIFETIME


def _checked(branch: Branch) -> tuple[str, str]:
    """The name and head that the agent's unit reports. Raises Invalid."""
    if not _BRANCH.fullmatch(branch["name"]) or not _HASH.fullmatch(branch["head"]):
        raise Invalid(f"{branch['name'][:80]!r} at {branch['head'][:80]!r} is not a branch")
    return branch["name"], branch["head"]
