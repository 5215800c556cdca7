"""The files of a commit out of a tar, into an empty folder, and nothing anywhere else.

What is in the tar was written by an agent: names that lead out of the folder, links that do, devices, and more than
anybody needs are refused. Folders are entered by descriptor, so no link can stand in the way unseen.
"""

import ctypes
import os
import tarfile
from typing import IO

from herald import watchdog
from herald.errors import Failed

MOST_BYTES = 2 << 30
MOST_ENTRIES = 200_000
_CHUNK = 1 << 20
_LONGEST_NAME = 4096
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(tar: int, path: str) -> None:
    """Unpack into the new folder `path`, with all on the disk when this returns. Raises Failed and OSError."""
    before = os.umask(0o022)  # as in a checkout: images are built of these files, with their modes
    os.mkdir(path, 0o755)
    root = os.open(path, _FOLDER)
    try:
        with os.fdopen(os.dup(tar), "rb") as file:
            links = _Unpacking(root).all_of(file)
        _check_links(path, links)
        _write_back(root)
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise Failed(f"the tree that was handed over is damaged: {error}") from error
    finally:
        os.umask(before)
        os.close(root)


class _Unpacking:
    """Counts what was unpacked, and holds the folder that was used last."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._bytes = 0
        self._entries = 0
        self._last: tuple[list[str], int] = ([], os.dup(root))
        self._links: list[str] = []

    def all_of(self, file: IO[bytes]) -> list[str]:
        """Unpack; returns the symbolic links."""
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                while (member := archive.next()) is not None:
                    watchdog.feed()
                    self._take(archive, member)
                    archive.members.clear()  # type: ignore[attr-defined] # it would hold every one of them
        finally:
            os.close(self._last[1])
        return self._links

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._entries += 1
        self._bytes += member.size
        if self._entries > MOST_ENTRIES:
            raise Failed(f"the tree has more than {MOST_ENTRIES:,} files")
        if self._bytes > MOST_BYTES:
            raise Failed(f"the tree has more than {MOST_BYTES >> 20} MiB")
        parts = _checked(member.name)
        folder = self._folder(parts if member.isdir() else parts[:-1])
        if member.isdir():
            return
        if member.issym():
            os.symlink(member.linkname, parts[-1], dir_fd=folder)
            self._links.append(member.name)
        elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            content = archive.extractfile(member)
            assert content is not None
            _write(content, parts[-1], folder, 0o755 if member.mode & 0o100 else 0o644)
        else:
            raise Failed(f"{_shown(member.name)} is neither a file nor a folder nor a symbolic link")

    def _folder(self, parts: list[str]) -> int:
        """A descriptor of this folder, made if it is not there."""
        if self._last[0] == parts:
            return self._last[1]
        folder = os.dup(self._root)
        for part in parts:
            try:
                os.mkdir(part, 0o755, dir_fd=folder)
            except FileExistsError:
                pass
            try:
                below = os.open(part, _FOLDER, dir_fd=folder)
            except OSError as error:
                raise Failed(f"{_shown('/'.join(parts))}: {part} is a folder and something else as well") from error
            finally:
                os.close(folder)
            folder = below
        os.close(self._last[1])
        self._last = (parts, folder)
        return folder


def _checked(name: str) -> list[str]:
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or len(name) > _LONGEST_NAME or "\0" in name or not {"", ".", ".."}.isdisjoint(parts):
        raise Failed(f"the tree holds a name that leads out of it: {_shown(name)}")
    return parts


def _write(content: IO[bytes], name: str, folder: int, mode: int) -> None:
    try:
        fd = os.open(name, _FILE, mode, dir_fd=folder)
    except FileExistsError as error:
        raise Failed(f"the tree holds {_shown(name)} twice") from error
    try:
        while data := content.read(_CHUNK):
            watchdog.feed()
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def _check_links(path: str, links: list[str]) -> None:
    """When all is there, because what a link leads to depends on the others."""
    inside = os.path.realpath(path)
    for link in links:
        watchdog.feed()
        target = os.path.realpath(os.path.join(path, link))
        if target != inside and not target.startswith(f"{inside}/"):
            raise Failed(f"the symbolic link {_shown(link)} leads out of the tree")


def _write_back(folder: int) -> None:
    """fsync of everything at once: a tree that is used again after a power cut must be whole."""
    if ctypes.CDLL(None, use_errno=True).syncfs(folder) != 0:
        raise OSError(ctypes.get_errno(), "the tree could not be written to the disk")


def _shown(name: str) -> str:
    return repr(name[:200])
