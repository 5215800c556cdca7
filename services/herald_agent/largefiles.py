"""Large files in a workspace: git-lfs keeps them in a folder of the clone, one file for each content.

That folder is the agent's to write, so it is read and written confined as the agent is, and what comes out of it is
worth something only after its SHA-256 was compared.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

from herald import largefiles, snapshot
from herald.errors import Failed, Invalid
from herald.largefiles import Pointer, Wrong
from herald_agent import locks
from herald_agent.access import access
from herald_agent.environment import search_path
from herald_agent.git import Git
from herald_agent.inside import Unusable
from herald_agent.workspace import workspace_of

USES = r"^[^#]*[[:space:]]filter=lfs([[:space:]]|$)"
_ATTRIBUTES = (":(glob)**/.gitattributes",)
_LONG = 300.0
_OID = re.compile(r"[0-9a-f]{64}")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def used_in(git: Git, commit: str) -> bool:
    """Whether a commit's attributes name git-lfs. Raises Failed when git takes too long."""
    asked = ("grep", "--quiet", "-I", "--extended-regexp", "-e", USES, commit, "--", *_ATTRIBUTES)
    return git.attempt(*asked, deadline=_LONG).code == 0


def require(git: Git, commit: str, project: str) -> None:
    """Raises Unusable when a checkout of this commit needs git-lfs and it is not there."""
    if not largefiles.is_installed(search_path()) and used_in(git, commit):
        raise Unusable(missing(project))


def missing(project: str) -> str:
    """What to do when git-lfs is needed and not there."""
    return (
        f"{project} keeps files with git-lfs, which is not installed where agents work: {largefiles.INSTALL}, then send"
        " the task again"
    )


def fill(git: Git) -> list[bytes]:
    """Replace pointers in the working tree by the files that they name, where those are here; returns the paths.

    A file that is not what its name says is removed. Raises Failed, OSError.
    """
    objects = _objects(git)
    if not git.inside(lambda: _has_some(objects)):
        return []
    listed = git.listed("ls-files", "-z", "--", ":(attr:filter=lfs)", deadline=_LONG)
    numbers: list[int] = git.inside(lambda: _fill(git.folder, objects, listed), deadline=3 * _LONG)
    paths = [listed[number] for number in numbers]
    if paths:
        given = b"".join(path + b"\0" for path in paths)
        output = git.attempt("update-index", "-z", "--stdin", given=given, deadline=_LONG)
        if output.code != 0:
            raise Failed("git update-index failed for the large files")
    return paths


def are_there(git: Git) -> bool:
    """Whether the workspace has any."""
    objects = _objects(git)
    return bool(git.inside(lambda: _has_some(objects)))


def list_large_files(parameters: dict[str, Any]) -> dict[str, Any]:
    """Which of these files the workspace has, by their names and sizes alone."""
    wanted = parameters["oids"]
    if len(wanted) > largefiles.MOST or not all(map(_OID.fullmatch, wanted)):
        raise Invalid("oids must be SHA-256 sums")
    with _reached(parameters) as git:
        objects = _objects(git)
        held: list[str] = git.inside(lambda: [oid for oid in wanted if _is_there(objects, oid)])
    return {"held": held}


def get_large_file(parameters: dict[str, Any]) -> dict[str, Any]:
    """Copy a file out of the workspace. What cannot be copied, or is something else, is said in `reason`."""
    pointer, file = largefiles.checked(parameters["oid"], parameters["size"]), parameters["file"]
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    with _reached(parameters) as git:
        objects = _objects(git)
        reason: str = git.inside(lambda: _copy_out(objects, pointer, file), deadline=_patience(pointer))
    os.fsync(file)
    return {"held": not reason, "reason": reason}


def put_large_file(parameters: dict[str, Any]) -> dict[str, Any]:
    """Copy a file into the workspace. Raises Invalid when it is not what it should be."""
    pointer, file = largefiles.checked(parameters["oid"], parameters["size"]), parameters["file"]
    with _reached(parameters) as git:
        objects = _objects(git)
        reason: str = git.inside(lambda: _copy_in(objects, pointer, file), deadline=_patience(pointer))
    if reason:
        raise Invalid(f"the large file {pointer.oid[:12]} was not taken: {reason}")
    return {"taken": True}


@contextlib.contextmanager
def _reached(parameters: dict[str, Any]) -> Iterator[Git]:
    """Git in a workspace. Its lock is free before the answer: the next call follows at once."""
    settings = snapshot.read()
    workspace = workspace_of(settings.project(parameters["project"]), parameters["workspace"])
    lock = locks.take_workspace(workspace.name)
    try:
        reached = access(settings, workspace)
        if reached.own is not None and not reached.own.is_there():
            raise Unusable(f"the workspace {workspace.name} has not been made yet")
        yield reached.git
    finally:
        os.close(lock)


def _objects(git: Git) -> str:
    """Where git-lfs keeps files. What the clone says about it counts no more than the files themselves."""
    common = git.attempt("rev-parse", "--git-common-dir").out.decode("utf-8", "surrogateescape").strip()
    common = os.path.join(git.folder, common or ".git")
    said = git.attempt("config", "--type=path", "--get", "lfs.storage").out.decode("utf-8", "surrogateescape").strip()
    return os.path.join(common, said or "lfs", "objects")


def _patience(pointer: Pointer) -> float:
    return 60.0 + pointer.size / (4 << 20)


def _has_some(objects: str) -> bool:
    try:
        return bool(os.listdir(objects))
    except OSError:
        return False


def _is_there(objects: str, oid: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(os.path.join(objects, largefiles.place(oid))).st_mode)
    except OSError:
        return False


def _copy_out(objects: str, pointer: Pointer, file: int) -> str:
    """In the child: why it could not be copied, empty if it was."""
    try:
        source = largefiles.open_regular(os.path.join(objects, largefiles.place(pointer.oid)))
    except FileNotFoundError:
        return "it is not in the workspace"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except Wrong as error:
        return str(error)
    try:
        largefiles.copy(source, file, pointer)
    except Wrong as error:
        return str(error)
    finally:
        os.close(source)
    return ""


def _copy_in(objects: str, pointer: Pointer, file: int) -> str:
    """In the child: take a file, at once or not at all."""
    path = os.path.join(objects, largefiles.place(pointer.oid))
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    os.lseek(file, 0, os.SEEK_SET)
    try:
        _write(file, f"{path}.herald", path, pointer, 0o644)
    except Wrong as error:
        return str(error)
    return ""


def _write(source: int, making: str, path: str, pointer: Pointer, mode: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(making)
    target = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        largefiles.copy(source, target, pointer)
        os.rename(making, path)
    except (Wrong, OSError):
        os.unlink(making)
        raise
    finally:
        os.close(target)


def _fill(folder: str, objects: str, paths: list[bytes]) -> list[int]:
    """In the child: which of the paths were pointers and are files now."""
    return [number for number, path in enumerate(paths) if _filled(os.path.join(folder, os.fsdecode(path)), objects)]


def _filled(path: str, objects: str) -> bool:
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > largefiles.LARGEST_POINTER:
            return False
        with open(os.open(path, _READ), "rb") as file:
            pointer = largefiles.parse(file.read(largefiles.LARGEST_POINTER + 1))
        if pointer is None or not pointer.size:
            return False
        place = os.path.join(objects, largefiles.place(pointer.oid))
        source = largefiles.open_regular(place)
    except (OSError, Wrong):
        return False
    try:
        making = os.path.join(objects, f".{pointer.oid}.herald")
        _write(source, making, path, pointer, stat.S_IMODE(status.st_mode))
    except Wrong:
        os.unlink(place)
        return False
    finally:
        os.close(source)
    return True
