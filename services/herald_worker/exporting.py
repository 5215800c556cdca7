"""The files of a commit as a tar, out of the mirror.

Exactly the files of the commit: what its own `.gitattributes` says about exports does not count, because an image
has to be built of what was voted on.
"""

import os

from herald import durable, git_words
from herald.errors import Conflict, Failed
from herald_worker import confined_git
from herald_worker.mirror import Mirror

MOST_BYTES = 1 << 30
_ATTRIBUTES = b"* -export-ignore -export-subst\n"


async def export_tree(mirror: Mirror, commit: str, path: str) -> None:
    """Write the tar into an existing file. Raises Conflict, Failed and OSError."""
    size = await _size(mirror, commit)
    if size > MOST_BYTES:
        raise Conflict(f"the files of {commit[:12]} have {size >> 20} MiB; at most {MOST_BYTES >> 20} MiB are deployed")
    _set_attributes(mirror)
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        outcome = await confined_git.run(f"--git-dir={mirror.path}", "archive", "--format=tar", commit, stdout=fd)
    finally:
        os.close(fd)
    if outcome.code:
        raise Failed(f"the files of {commit[:12]} cannot be exported: {git_words.telling(outcome.words)}")


async def _size(mirror: Mirror, commit: str) -> int:
    outcome = await confined_git.run(f"--git-dir={mirror.path}", "ls-tree", "-r", "-l", "-z", commit)
    if outcome.code:
        raise Failed(f"the files of {commit[:12]} cannot be listed: {git_words.telling(outcome.words)}")
    sizes = (entry.split(b"\t", 1)[0].split()[3] for entry in outcome.out.split(b"\0") if entry)
    return sum(int(size) for size in sizes if size.isdigit())


def _set_attributes(mirror: Mirror) -> None:
    """Those of the repository itself come before all that a commit says."""
    path = os.path.join(mirror.path, "info", "attributes")
    try:
        if durable.read_limited(path, 1000) == _ATTRIBUTES:
            return
    except (FileNotFoundError, ValueError):
        pass
    os.makedirs(os.path.dirname(path), exist_ok=True)
    durable.write_atomic(path, _ATTRIBUTES)
