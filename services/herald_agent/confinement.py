"""Holding a process and all its descendants to a boundary, by the means that this machine has.

Landlock where the kernel has it, else a mount namespace that hides what is not theirs, else nothing. Not in try mode,
where the agent works as the person who tries.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable
from typing import Literal, NamedTuple

from herald import claudecode, journal, names
from herald.snapshot import Snapshot
from herald_agent import landlock, namespace, privileges, process, reach, standin
from herald_agent.boundary import Boundary, draw, places_of
from herald_agent.workspace import Workspace, store_path

Means = Literal["landlock", "namespace", "nothing"]

_MOST_VISITED = 20_000
"""Entries of folders in which something is hidden. What comes after them cannot be reached."""


class Confinement(NamedTuple):
    """`enter` is called in the child before it turns into its command; it raises OSError."""

    means: Means
    enter: Callable[[], None]


FREE = Confinement("nothing", process.stay_free)
"""As in try mode."""


def confine(settings: Snapshot, workspace: Workspace, temporary: str = "", readable: str = "") -> Confinement:
    """The confinement of a workspace's runs and git commands on this machine.

    `temporary` is a folder for temporary files, `readable` one that may be read and not changed.

    Raises OSError when the machine should allow it, but does not.
    """
    writable = (*places_of(workspace), *([temporary] if temporary else []))
    store = (store_path(workspace.project.name),) if workspace.own else ()
    if names.mode() == "try" and workspace.own:
        return _held_back((*reach.of_clone(workspace.project.path), *store))
    found = confine_to(settings, writable, (*store, *([readable] if readable else [])))
    return found if workspace.own else _as_open_as(workspace.folder, found)


def _as_open_as(folder: str, found: Confinement) -> Confinement:
    """The same, with new files open to whom this folder is: a person's is not for the unit's mask to close."""
    try:
        mask = ~os.stat(folder).st_mode & 0o077
    except OSError:  # it is not there
        return found

    def enter() -> None:
        os.umask(mask)
        found.enter()

    return Confinement(found.means, enter)


def _held_back(paths: tuple[str, ...]) -> Confinement:
    """All but these folders may be written: in try mode the agent works as a person, in a clone that is not theirs."""

    def enter() -> None:
        namespace.close_to_writing(paths, names.state_root())

    return FREE if trial(enter) else Confinement("namespace", enter)


def confine_to(settings: Snapshot, writable: tuple[str, ...] = (), readable: tuple[str, ...] = ()) -> Confinement:
    """Of what is hidden from runs, these folders alone may be written, or only read. Raises OSError as `confine`."""
    if names.mode() == "try":
        return FREE
    programs = (claudecode.find(), standin.__file__, sys.executable, sys.prefix, sys.base_prefix)
    boundary = draw(settings, tuple(path for path in programs if path), writable, readable)
    if landlock.version():
        return Confinement("landlock", ruleset_of(boundary).enter)
    if not trial(lambda: namespace.enter(boundary)):
        return Confinement("namespace", lambda: namespace.enter(boundary))
    return Confinement("nothing", privileges.give_up)


def trial(act: Callable[[], None]) -> int:
    """Do something in a child that then ends; returns the error number, 0 if there was none."""
    pid = os.fork()
    if pid == 0:
        code = errno.EIO
        try:
            act()
            code = 0
        except OSError as error:
            code = error.errno or errno.EIO
        finally:
            os._exit(min(code, 255))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ruleset_of(boundary: Boundary) -> landlock.Ruleset:
    """The boundary as Landlock's rules, which hold for everything below a place: a folder in which something less is
    allowed gets none itself, but what is in it does. Raises OSError."""
    ruleset = landlock.Ruleset()
    divided = _divided(boundary)
    for path, rights in boundary.rights.items():
        if not rights:
            continue
        try:
            fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # it is not there, or not for this user
            continue
        try:
            if not _Walk(ruleset, boundary, divided).allow(fd, path, rights):
                journal.warning(f"{path} has too many entries beside hidden ones; agents cannot read the last of them")
        finally:
            os.close(fd)
    return ruleset


def _divided(boundary: Boundary) -> set[str]:
    """Folders in which there is a place with fewer rights than they have."""
    found = set()
    for place, less in boundary.rights.items():
        folder = place
        while folder != "/":
            folder = os.path.dirname(folder)
            if boundary.at(folder) & ~less:
                found.add(folder)
    return found


class _Walk:
    """Allows one place of the boundary, entry by entry where it has to."""

    def __init__(self, ruleset: landlock.Ruleset, boundary: Boundary, divided: set[str]) -> None:
        self._ruleset = ruleset
        self._entries = boundary.rights
        self._divided = divided
        self._visited = 0

    def allow(self, fd: int, path: str, rights: int) -> bool:
        """False when there were too many entries."""
        if path not in self._divided:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):  # what it leads to is allowed, or not, where that is
                self._ruleset.allow(fd, rights)
            return True
        try:
            listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        except OSError:  # not for this user
            return True
        try:
            return all(self._allow_entry(fd, name, os.path.join(path, name), rights) for name in os.listdir(listing))
        finally:
            os.close(listing)

    def _allow_entry(self, folder: int, name: str, path: str, rights: int) -> bool:
        if path in self._entries:
            return True  # it has its own turn
        self._visited += 1
        if self._visited > _MOST_VISITED:
            return False
        try:
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError:  # it went, or is not for this user
            return True
        try:
            return self.allow(fd, path, rights)
        finally:
            os.close(fd)
