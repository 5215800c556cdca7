"""Hiding places by a mount namespace, where the kernel has no Landlock: an empty folder is mounted over each.

What is in a hidden place and may be read is shown again, read-only if it may not be written. What is not hidden keeps
the rights that it has; that nothing else is written to is the unit's matter.
"""

import ctypes
import os
import stat

from herald_agent.boundary import HIDDEN, Boundary
from herald_agent.landlock import WRITE
from herald_agent.privileges import give_up

_NEW_MOUNTS, _NEW_USER = 0x0002_0000, 0x1000_0000
_READ_ONLY, _NO_SUID, _NO_DEV, _NO_EXEC, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def enter(boundary: Boundary) -> None:
    """Move this process into a namespace in which the hidden places are empty. Raises OSError."""
    _leave()
    shown = {path: _open(path) for path in _shown_again(boundary)}
    covers = [_change(boundary, path, shown) for path in sorted(boundary.rights) if _differs(boundary, path)]
    for path in filter(None, covers):
        _mount(None, path, None, _REMOUNT | _BIND | _READ_ONLY | _NO_SUID | _NO_DEV | _kept(path))
    for fd in shown.values():
        if fd is not None:
            os.close(fd)
    give_up()


def close_to_writing(paths: tuple[str, ...], state: str) -> None:
    """Move this process into a namespace in which these folders cannot be written. Raises OSError.

    The state stays open if it lies in one of them, as when somebody keeps it in their clone.
    """
    _leave()
    folders = [path for path in map(os.path.realpath, paths) if os.path.isdir(path)]
    state = os.path.realpath(state)
    within = [path for path in folders if path.startswith(f"{state}/")]
    around = [path for path in folders if path not in within]
    fd = _open(state)
    for path in around:
        _close(path)
    if fd is not None:
        if any(f"{state}/".startswith(f"{path}/") for path in around):
            _mount(f"/proc/self/fd/{fd}", state, None, _BIND | _RECURSIVE)
        os.close(fd)
    for path in within:
        _close(path)
    give_up()


def _close(path: str) -> None:
    _mount(path, path, None, _BIND | _RECURSIVE)
    _mount(None, path, None, _REMOUNT | _BIND | _READ_ONLY | _kept(path))


def _leave() -> None:
    """Into a mount namespace of this process's own, as the same user."""
    user, group = os.geteuid(), os.getegid()
    _succeed(_libc.unshare(_NEW_USER | _NEW_MOUNTS))
    for name, words in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(words)
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)


def _differs(boundary: Boundary, path: str) -> bool:
    """Whether a place is hidden and what it lies in is not, or the other way round."""
    return (boundary.rights[path] == HIDDEN) != (boundary.above(path) == HIDDEN)


def _shown_again(boundary: Boundary) -> list[str]:
    return [path for path, rights in boundary.rights.items() if rights != HIDDEN and _differs(boundary, path)]


def _change(boundary: Boundary, path: str, shown: dict[str, int | None]) -> str:
    """Hide a place, or show it again; returns it when it is now a mount that is still to be closed to writing."""
    if boundary.rights[path] == HIDDEN:
        return _cover(path)
    fd = shown[path]
    if fd is not None:
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        _make_place(path, is_folder=is_folder)
        _mount(f"/proc/self/fd/{fd}", path, None, _BIND | _RECURSIVE)
        return "" if boundary.rights[path] & WRITE else path
    return ""


def _kept(path: str) -> int:
    """Flags that a mount has from where it comes and may not lose."""
    found = os.statvfs(path).f_flag
    pairs = ((os.ST_NOEXEC, _NO_EXEC), (os.ST_NOSUID, _NO_SUID), (os.ST_NODEV, _NO_DEV))
    return sum(flag for has, flag in pairs if found & has)


def _cover(path: str) -> str:
    try:
        is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:  # it is not there, or not to be seen
        return ""
    if is_folder:
        _mount("tmpfs", path, "tmpfs", _NO_SUID | _NO_DEV, "size=64k,mode=0711")
        return path
    _mount("/dev/null", path, None, _BIND)
    return ""


def _make_place(path: str, *, is_folder: bool) -> None:
    if os.path.lexists(path):
        return
    folder = path if is_folder else os.path.dirname(path)
    os.makedirs(folder, 0o711, exist_ok=True)
    if not is_folder:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # nothing to show
        return None


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    words = [None if each is None else os.fsencode(each) for each in (source, target, kind, data)]
    _succeed(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), target)


def _succeed(answer: int, what: str | None = None) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
