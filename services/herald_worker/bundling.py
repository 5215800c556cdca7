"""A card's commits as a git bundle, out of the mirror.

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
from herald_worker import confined_git
from herald_worker.mirror import Mirror

_SHA256 = 64


async def export(proposal: Proposal, fd: int) -> ExportedCard:
    """Write the bundle into a file that is open for writing. Raises Conflict, Failed, Invalid."""
    _check_writable(fd)
    mirror, head = Mirror(proposal["project"]), proposal["head"]
    if not await mirror.has(head):
        raise Conflict(f"Herald no longer has {head[:12]}, the commit of card {proposal['id']}")
    async with mirror.beside() as beside:
        met = await beside.git("merge-base", "refs/base/default", head)
    fork = met.out.decode().strip()
    base = proposal["base"] if fork in ("", head) else fork
    if base == head:
        raise Conflict(f"card {proposal['id']} has no commits of its own")
    ref = f"refs/heads/{proposal['branch']}"
    folder = os.path.join(names.state_folder(names.WORKER), "bundling")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    place = tempfile.mkdtemp(prefix=f"{proposal['id']}-", suffix=".git", dir=folder)
    try:
        await _git("init", "--bare", "--quiet", "--template=", *_format(head), place)
        with open(os.path.join(place, "objects", "info", "alternates"), "w", encoding="utf-8") as file:
            file.write(f"{os.path.join(mirror.path, 'objects')}\n")
        await _git(f"--git-dir={place}", "update-ref", ref, head)
        await _git(f"--git-dir={place}", "bundle", "create", "--quiet", "-", ref, f"^{base}", stdout=fd)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return ExportedCard(project=proposal["project"], branch=proposal["branch"], head=head, base=base, ref=ref)


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
