"""Large files of a remote that is a folder of this machine: copied, each at once or not at all."""

import contextlib
import os
import stat

from herald import largefiles, watchdog
from herald.errors import Failed, NotFound, Unavailable
from herald.largefiles import Pointer, Wrong
from herald_git import command


def fetch(folder: str, pointer: Pointer, file: int) -> None:
    """Copy a file of the remote to a descriptor. Raises NotFound, Failed."""
    try:
        source = largefiles.open_regular(os.path.join(_objects(folder), largefiles.place(pointer.oid)))
    except FileNotFoundError:
        raise NotFound(f"{folder} does not have the large file {pointer.oid[:12]}") from None
    except (OSError, Wrong) as error:
        raise Failed(f"the large file {pointer.oid[:12]} of {folder} cannot be read: {error}") from None
    try:
        largefiles.copy(source, file, pointer, watchdog.feed)
    except Wrong as error:
        raise Failed(f"the large file {pointer.oid[:12]} of {folder} is damaged: {error}") from None
    finally:
        os.close(source)


def push(folder: str, wanted: list[Pointer], offered: str) -> None:
    """Copy to the remote what it lacks. Raises Failed when that is not all to be had, Unavailable without space."""
    objects = _objects(folder)
    lacking = [each for each in wanted if not _has(objects, each)]
    missing = [each.oid for each in lacking if not os.path.isfile(os.path.join(offered, each.oid))]
    if missing:
        shown = ", ".join(each[:12] for each in missing[:5]) + (" and more" if len(missing) > 5 else "")
        raise Failed(f"the remote lacks large files that are not in the workspace either ({shown})")
    try:
        mode = stat.S_IMODE(os.stat(os.path.join(_git_folder(folder), "objects")).st_mode)
        for each in lacking:
            _copy(os.path.join(offered, each.oid), objects, each, mode)
    except OSError as error:
        kind = Unavailable if error.errno in (28, 122) else Failed
        raise kind(f"{folder} did not take a large file: {error.strerror}") from error


def _git_folder(folder: str) -> str:
    inner = os.path.join(folder, ".git")
    return inner if os.path.isdir(inner) else folder


def _objects(folder: str) -> str:
    """Where git-lfs of the remote keeps files."""
    place = _git_folder(folder)
    asked = ["config", "--no-includes", f"--file={place}/config", "--type=path", "--get", "lfs.storage"]
    outcome = command.run(asked, command.environment(), seconds=command.limits().look)
    said = outcome.out.decode("utf-8", "surrogateescape").strip() if outcome.code == 0 else ""
    return os.path.join(place, said or "lfs", "objects")


def _has(objects: str, pointer: Pointer) -> bool:
    try:
        status = os.stat(os.path.join(objects, largefiles.place(pointer.oid)))
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == pointer.size


def _copy(path: str, objects: str, pointer: Pointer, mode: int) -> None:
    """`mode` is that of the remote's folders: who may read its objects may read this."""
    target = os.path.join(objects, largefiles.place(pointer.oid))
    _make_folders(os.path.dirname(target), mode)
    making = f"{target}.herald-{os.getpid()}"
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            largefiles.copy(source, fd, pointer, watchdog.feed)
            os.fchmod(fd, mode & 0o444)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(making, target)
    except Wrong as error:
        raise Failed(f"the large file {pointer.oid[:12]} of the worker is damaged: {error}") from None
    finally:
        os.close(source)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(making)


def _make_folders(path: str, mode: int) -> None:
    if not os.path.isdir(path):
        _make_folders(os.path.dirname(path), mode)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
            os.chmod(path, mode)
