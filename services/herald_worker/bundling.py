"""The commits of a card, or what a reset kept, as a git bundle out of the mirror.

Made in a repository of its own that borrows the mirror's objects: a bundle names refs, and the mirror gets none for it.
"""

import fcntl
import os
import shutil
import stat
import tempfile

from herald import names
from herald.errors import Conflict, Failed, Invalid
from herald.interfaces.worker import ExportedCard, Proposal
from herald_worker import confined_git, kept
from herald_worker.mirror import Mirror

_SHA256 = 64


async def export_card(proposal: Proposal, fd: int) -> ExportedCard:
    """Write a card's commits into a file that is open for writing. Raises Conflict, Failed, Invalid."""
    return await _export(proposal["project"], proposal["branch"], proposal["head"], proposal["base"], fd)


async def export_kept(project: str, ref: str, fd: int) -> ExportedCard:
    """The same for what a reset kept. Raises NotFound, too."""
    branch, head = await kept.find(Mirror(project), ref)
    return await _export(project, branch, head, head, fd)


async def _export(project: str, branch: str, head: str, base: str, fd: int) -> ExportedCard:
    """What the head has beyond the remote's default branch; where that has it already, what it has beyond `base`."""
    _check_writable(fd)
    mirror = Mirror(project)
    if not await mirror.has(head):
        raise Conflict(f"Herald no longer has {head[:12]}, the head of {branch}")
    async with mirror.beside() as beside:
        met = await beside.git("merge-base", "refs/base/default", head)
    fork = met.out.decode().strip()
    base = base if fork in ("", head) else fork
    if base == head:
        raise Conflict(f"{branch} at {head[:12]} has no commits of its own")
    ref = f"refs/heads/{branch}"
    folder = os.path.join(names.state_folder(names.WORKER), "bundling")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    place = tempfile.mkdtemp(suffix=".git", dir=folder)
    try:
        await _git("init", "--bare", "--quiet", "--template=", *_format(head), place)
        with open(os.path.join(place, "objects", "info", "alternates"), "w", encoding="utf-8") as file:
            file.write(f"{os.path.join(mirror.path, 'objects')}\n")
        await _git(f"--git-dir={place}", "update-ref", ref, head)
        await _git(f"--git-dir={place}", "bundle", "create", "--quiet", "-", ref, f"^{base}", stdout=fd)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return ExportedCard(project=project, branch=branch, head=head, base=base, ref=ref)


def sweep() -> None:
    """Remove what a killed worker left."""
    shutil.rmtree(os.path.join(names.state_folder(names.WORKER), "bundling"), ignore_errors=True)


async def _git(*arguments: str, stdout: int | None = None) -> None:
    outcome = (
        await confined_git.run(*arguments) if stdout is None else await confined_git.run(*arguments, stdout=stdout)
    )
    if outcome.code:
        raise Failed(f"the bundle cannot be written: {outcome.words.strip()[:500]}")


def _format(head: str) -> tuple[str, ...]:
    return ("--object-format=sha256",) if len(head) == _SHA256 else ()


def _check_writable(fd: int) -> None:
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if not stat.S_ISREG(os.fstat(fd).st_mode) or flags & os.O_ACCMODE == os.O_RDONLY:
        raise Invalid("the bundle needs a regular file that is open for writing")
