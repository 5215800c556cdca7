"""Files of the project's folder in an own workspace: those that the project names are copied, also when they change.

Git knows nothing of them, so a fresh clone lacks them. What else it ignores there is named once.
"""

import hashlib
import os
import shutil
import stat
from functools import partial

from herald.beneath import read_beneath
from herald_agent.ownclone import OwnClone

_LARGEST = 64 << 20
_NAMED = 8


def copy_files(own: OwnClone, notes: list[str]) -> None:
    """Copy what is missing, or has changed in the project's folder since it was copied. Raises Failed, OSError."""
    project, record = own.workspace.project, own.record
    paths = project.workspace_files
    there: list[bool] = (
        own.git.inside(lambda: [_is_file(own.workspace.folder, path) for path in paths]) if paths else []
    )
    for path, is_there in zip(paths, there, strict=True):
        try:
            data = read_beneath(project.path, path, _LARGEST)
        except OSError as error:
            notes.append(f"{path} of `workspace_files` was not copied: {error.strerror}.")
            continue
        if data is None:
            continue
        digest = hashlib.sha256(data).hexdigest()
        if is_there and record.copied.get(path) == digest:
            continue
        if own.git.listed("--literal-pathspecs", "ls-files", "-z", "--", path):
            notes.append(f"{path} of `workspace_files` was not copied: the repository has it.")
            continue
        own.git.inside(partial(_put, own.workspace.folder, path, data))
        record.copied[path] = digest
        record.write()


def name_what_is_left_behind(own: OwnClone, notes: list[str]) -> None:
    """Say once what git ignores at the top of the project's folder: the workspace does not have it."""
    project, record = own.workspace.project, own.record
    if "left behind" in record.told:
        return
    record.told.append("left behind")
    record.write()
    try:
        entries = [entry for entry in os.scandir(project.path) if entry.name != ".git"]
    except OSError:  # there is no such folder, or not for this user
        return
    names = sorted(entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries)
    given = b"".join(os.fsencode(name) + b"\0" for name in names)
    output = own.git.attempt("check-ignore", "-z", "--stdin", "--no-index", given=given)
    ignored = [os.fsdecode(each).rstrip("/") for each in output.out.split(b"\0") if each]
    ignored = [name for name in ignored if name not in project.workspace_files]
    if ignored:
        more = f" and {len(ignored) - _NAMED} more" if len(ignored) > _NAMED else ""
        named = ", ".join(name.encode("utf-8", "replace").decode() for name in ignored[:_NAMED])
        notes.append(
            f"The workspace is a new clone without what git ignores in {project.path}: {named}{more}."
            " `workspace_files` copies single files."
        )


def _is_file(place: str, path: str) -> bool:
    """In the child."""
    try:
        return stat.S_ISREG(os.lstat(os.path.join(place, path)).st_mode)
    except OSError:
        return False


def _put(place: str, path: str, data: bytes) -> None:
    """In the child: write a file anew, through no link."""
    parts = path.split("/")
    folder = place
    for part in parts[:-1]:
        folder = os.path.join(folder, part)
        if os.path.lexists(folder) and not stat.S_ISDIR(os.lstat(folder).st_mode):
            os.unlink(folder)
        os.makedirs(folder, exist_ok=True)
    target = os.path.join(place, path)
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    elif os.path.lexists(target):
        os.unlink(target)
    with open(
        os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb"
    ) as file:
        file.write(data)
