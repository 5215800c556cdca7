"""Files of git-lfs that commits of a submodule name: they are not pushed for a submodule, so neither are the commits.

As in the project itself a pointer counts where the attributes of the commit give its path to git-lfs.
"""

import os
from collections.abc import Iterator

from herald import durable, largefiles
from herald_git.command import Outcome
from herald_git.repository import Repository, RepositoryError

_SECONDS = 120.0
_MOST = 100_000
_SMALL = f"--filter=blob:limit={largefiles.LARGEST_POINTER + 1}"


def named_by_new(own: Repository, commit: str, environment: dict[str, str]) -> bool:
    """Whether a commit, with those before it that the remote's branches and tags lack, names some.

    Raises RepositoryError.
    """

    def git(*arguments: str, stdin: bytes = b"", index: str = "") -> Outcome:
        variables = environment | ({"GIT_INDEX_FILE": index} if index else {})
        outcome = own.git(*arguments, seconds=_SECONDS, environment=variables, stdin=stdin)
        if outcome.code:
            raise RepositoryError(outcome.words)
        return outcome

    listed = git("rev-list", "--objects", _SMALL, commit, "--not", "--all").out.split(b"\n")
    paths = {blob: path for blob, _, path in (line.partition(b" ") for line in listed) if path}
    found = set(_small(git("cat-file", "--buffer", "--batch-check", stdin=_lines(paths)).out))
    found = set(_pointers(git("cat-file", "--buffer", "--batch", stdin=_lines(found)).out)) if found else found
    if not found:
        return False
    named = {paths[blob] for blob in found}
    for entry in git("ls-tree", "-r", "-z", "--full-tree", commit).out.split(b"\0"):
        words, _, path = entry.partition(b"\t")
        if words and words.split(b" ")[2] in found:
            named.add(path)
    index = os.path.join(own.path, "herald-index")
    try:
        git("read-tree", commit, index=index)
        asked = b"".join(path + b"\0" for path in sorted(named)[:_MOST])
        told = git("check-attr", "-z", "--cached", "--stdin", "filter", stdin=asked, index=index).out
    finally:
        durable.with_no_trace(index)
    return b"lfs" in told.split(b"\0")[2::3]


def _small(sizes: bytes) -> Iterator[bytes]:
    for line in sizes.splitlines():
        blob, kind, size = line.split(b" ")
        if kind == b"blob" and largefiles.SMALLEST_POINTER <= int(size) <= largefiles.LARGEST_POINTER:
            yield blob


def _pointers(contents: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(contents):
        end = contents.index(b"\n", position)
        blob, _, size = contents[position:end].split(b" ")
        position = end + 1 + int(size) + 1
        if largefiles.parse(contents[end + 1 : position - 1]):
            yield blob


def _lines(blobs: set[bytes] | dict[bytes, bytes]) -> bytes:
    return b"".join(blob + b"\n" for blob in blobs)
