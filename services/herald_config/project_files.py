"""The files of the projects: found by the project's name, and written so that nothing of anybody else is lost.

A file is prepared beside its place, `.NAME.yaml.herald.tmp`, and changes places with it in one step. Whatever is found
to have been there, and was not what had been read, is put back.
"""

import contextlib
import errno
import os
import shlex
import stat
from collections.abc import Iterator

from herald import durable, names, signature, watchdog
from herald.errors import Conflict, HeraldError, NotFound, Unavailable
from herald_config import document
from herald_config.problem import Flawed, shown

_ENDING = ".herald.tmp"
_MODE = 0o640
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def folder() -> str:
    """Where they are."""
    return os.path.join(names.config_folder(), signature.PROJECTS_FOLDER)


def sweep() -> None:
    """Remove what a writer that was killed left behind; the lock says that none is at work."""
    try:
        for name in os.listdir(folder()):
            if name.startswith(".") and name.endswith(_ENDING):
                durable.with_no_trace(os.path.join(folder(), name))
    except OSError as error:
        raise _unavailable(error) from error


def path_of_new(name: str) -> str:
    """Where a project of this name is put. Raises Conflict when there is something already."""
    path = os.path.join(folder(), f"{name}.yaml")
    if f"{name}.yaml" == signature.EXAMPLE:
        raise Conflict(f"{shown(path)} is documentation and never loaded; give the project another name")
    if os.path.lexists(path):
        raise Conflict(f"{shown(path)} exists already; give the project another name, or change that file")
    for other in _listed():
        if _name_in(other) == name:
            raise Conflict(f"there is a project named {name!r} already, in {shown(other)}; give it another name")
    return path


def path_of(name: str) -> str:
    """The file of the project of this name, however the file is named. Raises NotFound, Conflict and Flawed."""
    usual = os.path.join(folder(), f"{name}.yaml")
    known = []
    flawed = None
    for path in sorted(_listed(), key=lambda each: (each != usual, each)):
        try:
            found = _name_in(path)
        except Flawed as error:
            flawed = flawed or error
            continue
        if found == name:
            if os.path.islink(path):
                target = shown(os.path.realpath(path))
                raise Conflict(
                    f"{shown(path)} is a symbolic link, through which Herald does not write; change {target}"
                )
            return path
        known.append(str(found))
    if flawed is not None:
        raise flawed  # it may be the one that is looked for
    raise NotFound(f"there is no project named {name!r} (known: {', '.join(sorted(known)) or 'none'})")


def create(path: str, data: bytes) -> None:
    """Write a file that must not be there yet. Raises Conflict and Unavailable."""
    with _prepared(path, data, None) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError as error:
            raise Conflict(f"{shown(path)} was made by somebody else meanwhile; nothing was written") from error


def replace(path: str, before: bytes, after: bytes) -> None:
    """Put `after` where `before` was read. Raises Conflict when it is no longer what is there, and Unavailable."""
    changed = Conflict(f"{shown(path)} was changed by somebody else meanwhile; nothing was written, try again")
    with _prepared(path, after, path) as temporary:
        if not _holds(path, before):
            raise changed
        try:
            exchanged = _exchange(temporary, path)
        except FileNotFoundError as error:
            raise changed from error
        if not exchanged:
            os.rename(temporary, path)
        elif not _holds(temporary, before):
            _exchange(temporary, path)
            raise changed


def _listed() -> list[str]:
    watchdog.feed()
    try:
        found = signature.files(names.config_folder())
    except OSError as error:
        raise _unavailable(error) from error
    return [os.path.join(names.config_folder(), each) for each in found if each != signature.SERVER_FILE]


def _name_in(path: str) -> object:
    return document.read(path).data.get("name")


@contextlib.contextmanager
def _prepared(path: str, data: bytes, like: str | None) -> Iterator[str]:
    """The file beside its place, on disk; gone afterwards, and what was put in place is on disk too."""
    temporary = os.path.join(folder(), f".{os.path.basename(path)}{_ENDING}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    except OSError as error:
        raise _unavailable(error) from error
    try:
        with open(fd, "wb") as file:
            if like is not None:
                _take_after(fd, os.stat(like))
            file.write(data)
            file.flush()
            os.fsync(fd)
        yield temporary
        durable.with_no_trace(temporary)
        durable.sync_folder(folder())
    except HeraldError:
        durable.with_no_trace(temporary)
        raise
    except OSError as error:
        with contextlib.suppress(OSError):
            durable.with_no_trace(temporary)
        raise _unavailable(error) from error


def _take_after(fd: int, status: os.stat_result) -> None:
    """Mode, and where this user may also owner and group, of the file in whose place it comes."""
    with contextlib.suppress(PermissionError):
        os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode) & 0o777)


def _holds(path: str, data: bytes) -> bool:
    try:
        return durable.read_limited(path, document.MAX_BYTES + 1) == data
    except (FileNotFoundError, ValueError):
        return False


def _exchange(one: str, other: str) -> bool:
    """Let two files change names in one step; false where the file system or the C library cannot."""
    import ctypes  # only here: it takes longer to load than most of what is done

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(error, os.strerror(error), other)


def _unavailable(error: OSError) -> Unavailable:
    where = shlex.quote(folder())
    if error.errno == errno.EROFS:
        step = "it is mounted read-only, or not open to the unit herald-config@; make it writable"
    elif error.errno in (errno.EACCES, errno.EPERM):
        step = f"give it to the user of herald-config: `sudo chown herald-config: {where} && sudo chmod u+rwx {where}`"
        if names.mode() != "system":
            step = f"`chmod u+rwx {where}`"
    elif error.errno == errno.ENOENT:
        step = f"create it: `mkdir {where}`"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "free some space there"
    else:
        step = "mend that"
    return Unavailable(f"{shown(folder())} cannot be written: {error.strerror}; {step}. Nothing was changed")
