"""Which large files commits name: found in the mirror, never told by an agent.

A pointer counts where the attributes of the commit give its path to git-lfs; elsewhere it is a text like any other.
"""

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import IO, NamedTuple

from herald import largefiles, names
from herald.errors import Conflict
from herald.largefiles import Pointer
from herald_worker import confined_git
from herald_worker.commit_summary import plain
from herald_worker.mirror import Mirror

_BASE = "refs/base/default"
_ENTRY = re.compile(rb"\d+ blob ([0-9a-f]+) +(\d+)\t(.*)", re.DOTALL)
_MOST_NAMED = 100_000
_SHOWN = 5


class LargeFile(NamedTuple):
    """A file that commits name, under one of its paths."""

    path: str
    oid: str
    size: int


def folder(project: str = "", head: str = "") -> str:
    """Where the worker keeps large files: of all, of a project, of a proposed commit."""
    return os.path.join(names.state_folder(names.WORKER), "largefiles", *filter(None, (project, head)))


async def named_by_new(mirror: Mirror, head: str, known: tuple[str, ...] = (_BASE,)) -> list[LargeFile]:
    """Large files that the commits of `head` name and those that are `known` do not: by default those of the remote's
    default branch. Raises HeraldError."""
    if not await mirror.has(head):
        return []
    small = f"--filter=blob:limit={largefiles.LARGEST_POINTER + 1}"
    with tempfile.TemporaryFile(dir=_made()) as asked:
        await asyncio.to_thread(
            _write, asked, (f"{line}\n".encode() for line in (head, *(f"^{each}" for each in known)))
        )
        history = known != (_BASE,)  # then it may be everything that there is
        async with _git(mirror, "rev-list", "--objects", small, "--stdin", given=asked, history=history) as listed:
            paths = await asyncio.to_thread(lambda: dict(_named(listed)))
    found = await _pointers(mirror, paths)
    if not found:
        return []
    places = {(paths[blob], blob) for blob in found}
    async with _git(mirror, "ls-tree", "-r", "-z", "-l", head) as listed:
        places |= await asyncio.to_thread(lambda: {(path, blob) for path, blob, _ in _entries(listed) if blob in found})
    return _largest(await _of_git_lfs(mirror, head, places), found)


async def named_beyond(mirror: Mirror, head: str, known: list[str]) -> list[LargeFile]:
    """The same, where commits that are `known` elsewhere may be missing here. Raises HeraldError."""
    with tempfile.TemporaryFile(dir=_made()) as asked:
        await asyncio.to_thread(_write, asked, (f"{commit}\n".encode() for commit in known))
        async with _git(mirror, "cat-file", "--batch-check=%(objectname) %(objecttype)", given=asked) as told:
            here = [line.split()[0].decode() for line in told if line.split()[1:] == [b"commit"]]
    return await named_by_new(mirror, head, tuple(here))


async def named_by(mirror: Mirror, commit: str, globs: tuple[str, ...]) -> list[LargeFile]:
    """Large files of a commit's tree whose paths match, `("all",)`: all. Raises HeraldError."""
    async with _git(mirror, "ls-tree", "-r", "-z", "-l", commit) as listed:
        places = await asyncio.to_thread(lambda: set(_matching(listed, globs)))
    found = await _pointers(mirror, {blob for _, blob in places})
    named = {(path, blob) for path, blob in places if blob in found}
    return _largest(await _of_git_lfs(mirror, commit, named), found) if named else []


def matches(path: str, glob: str) -> bool:
    """Whether a path is meant, as in git-lfs: a name in any folder, a folder with all in it, or a whole path."""
    glob = glob.strip("/")
    if "/" not in glob and any(fnmatchcase(part, glob) for part in path.split("/")):
        return True
    return fnmatchcase(path, glob) or fnmatchcase(path, f"{glob}/*")


def _made() -> str:
    os.makedirs(folder(), 0o750, exist_ok=True)
    return folder()


def shown(files: list[LargeFile]) -> str:
    """The first paths, for people; empty when there are none."""
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return ", ".join(plain(each.path) for each in files[:_SHOWN]) + more


@contextlib.asynccontextmanager
async def _git(
    mirror: Mirror, *arguments: str, given: IO[bytes] | None = None, index: str = "", history: bool = False
) -> AsyncIterator[IO[bytes]]:
    """What git wrote, in a file without a name: it may be more than the memory should hold."""
    with tempfile.TemporaryFile(dir=_made()) as out:
        outcome = await confined_git.run(
            f"--git-dir={mirror.path}",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL if given is None else given.fileno(),
            stdout=out.fileno(),
            variables={"GIT_INDEX_FILE": index} if index else None,
            history=history,
        )
        if outcome.code:
            raise Conflict(f"git cannot tell which large files the commits name: {plain(outcome.words)}")
        out.seek(0)
        yield out


async def _pointers(mirror: Mirror, blobs: Iterable[str]) -> dict[str, Pointer]:
    """Those of the objects that are pointers."""
    with tempfile.TemporaryFile(dir=folder()) as asked:
        await asyncio.to_thread(_write, asked, (f"{blob}\n".encode() for blob in blobs))
        form = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
        async with _git(mirror, "cat-file", "--buffer", form, given=asked) as sizes:
            small = await asyncio.to_thread(lambda: [line.split()[0] for line in sizes if _may_be(line.split())])
    if not small:
        return {}
    with tempfile.TemporaryFile(dir=folder()) as asked:
        await asyncio.to_thread(_write, asked, (blob + b"\n" for blob in small))
        async with _git(mirror, "cat-file", "--buffer", "--batch", given=asked) as contents:
            return await asyncio.to_thread(lambda: dict(_parsed(contents)))


async def _of_git_lfs(mirror: Mirror, commit: str, places: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the paths, with their objects, that the commit's attributes give to git-lfs."""
    ordered = sorted(places)[:_MOST_NAMED]
    with tempfile.TemporaryDirectory(dir=folder()) as place, tempfile.TemporaryFile(dir=folder()) as asked:
        index = os.path.join(place, "index")
        async with _git(mirror, "read-tree", commit, index=index):
            pass
        names_of = [path.encode("utf-8", "surrogateescape") for path, _ in ordered]
        await asyncio.to_thread(_write, asked, (path + b"\0" for path in names_of))
        asking = ("check-attr", "-z", "--cached", "--stdin", "filter")
        async with _git(mirror, *asking, given=asked, index=index) as told:
            values = (await asyncio.to_thread(told.read)).split(b"\0")[2::3]
    return [each for each, value in zip(ordered, values, strict=False) if value == b"lfs"]


def _largest(places: list[tuple[str, str]], pointers: dict[str, Pointer]) -> list[LargeFile]:
    """Each content once; of two sizes that are claimed for it the larger one, which then proves to be wrong."""
    found: dict[str, LargeFile] = {}
    for path, blob in places:
        oid, size = pointers[blob]
        if oid not in found or found[oid].size < size:
            found[oid] = LargeFile(path, oid, size)
    return list(found.values())


def _named(listed: IO[bytes]) -> Iterator[tuple[str, str]]:
    for line in listed:
        blob, _, path = line.rstrip(b"\n").partition(b" ")
        if path:
            yield blob.decode(), path.decode("utf-8", "surrogateescape")


def _entries(listed: IO[bytes]) -> Iterator[tuple[str, str, int]]:
    """Files of a tree: path, object, size."""
    rest = b""
    while part := listed.read(1 << 20):
        *whole, rest = (rest + part).split(b"\0")
        for entry in whole:
            if found := _ENTRY.fullmatch(entry):
                yield found[3].decode("utf-8", "surrogateescape"), found[1].decode(), int(found[2])


def _matching(listed: IO[bytes], globs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for path, blob, size in _entries(listed):
        if not largefiles.SMALLEST_POINTER <= size <= largefiles.LARGEST_POINTER:
            continue
        if globs == ("all",) or any(matches(path, glob) for glob in globs):
            yield path, blob


def _may_be(words: list[bytes]) -> bool:
    return (
        len(words) == 3
        and words[1] == b"blob"
        and largefiles.SMALLEST_POINTER <= int(words[2]) <= largefiles.LARGEST_POINTER
    )


def _parsed(contents: IO[bytes]) -> Iterator[tuple[str, Pointer]]:
    while header := contents.readline().split():
        data = contents.read(int(header[2]))
        contents.read(1)
        if pointer := largefiles.parse(data):
            yield header[0].decode(), pointer


def _write(file: IO[bytes], lines: Iterable[bytes]) -> None:
    file.writelines(lines)
    file.flush()
    file.seek(0)
