"""The folder of a mirror: its configuration, its modes, and what a killed worker leaves in it."""

import contextlib
import os
import re
import shutil
import stat
import time

from herald import durable, object_format

_CONFIG = """[core]
\trepositoryformatversion = 0
\tbare = true
\thooksPath = /dev/null
\tfsync = committed,reference
\tbigFileThreshold = 16m
\tpackedGitWindowSize = 32m
\tpackedGitLimit = 256m
[pack]
\tthreads = 1
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""

_REMARKS = "remarks"
_LARGEST_REMARKS = 1 << 16
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

_SHARED = "\tsharedRepository = 0640\n"
"""Of versions before; git would set the group bit of folders, which the unit may not."""


def configure(path: str, commit: str) -> None:
    """Write the configuration of a new repository that shall hold this commit."""
    text = object_format.configuration(_CONFIG, commit)
    durable.write_atomic(os.path.join(path, "config"), text.encode())


def trace(path: str) -> str:
    """What changes with a file, or with the entries of a folder."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"


def trace_age(path: str) -> float:
    """Seconds since a file or folder was last changed; none where there is none."""
    try:
        return time.time() - os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def swept(path: str, half_made: str, quarantine: str) -> bool:
    """Remove what killed processes left; whether there is a repository."""
    shutil.rmtree(half_made, ignore_errors=True)
    shutil.rmtree(quarantine, ignore_errors=True)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.chmod(os.path.dirname(path), 0o750)  # noqa: S103 - for the group that reads objects
    for folder, subfolders, files in os.walk(path):
        if folder == path and "objects" in subfolders:
            subfolders.remove("objects")
        for name in files:
            if name.endswith(".lock"):
                os.unlink(os.path.join(folder, name))
    return os.path.lexists(path)


def accept(source: str, target: str) -> None:
    """Move checked packs in. The index comes last: without it git does not see a pack."""
    if not os.path.isdir(source):
        return
    for name in sorted(os.listdir(source), key=lambda name: name.endswith(".idx")):
        os.rename(os.path.join(source, name), os.path.join(target, name))
    durable.sync_folder(target)


def write_remarks(path: str, commit: str, remarks: list[str]) -> None:
    """Keep what git's check mentioned about the commits up to this one; none: forget it."""
    file = os.path.join(path, _REMARKS, commit)
    if remarks:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        durable.write_atomic(file, "\n".join(remarks).encode(errors="replace"))
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)


def read_remarks(path: str) -> dict[str, list[str]]:
    """What is kept, by commit."""
    found = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(os.path.join(path, _REMARKS)) as entries:
        for entry in entries:
            if _HASH.fullmatch(entry.name):
                text = durable.read_limited(entry.path, _LARGEST_REMARKS).decode(errors="replace")
                found[entry.name] = text.splitlines()
    return found


def open_to_group(path: str) -> None:
    """Mend the modes of a repository that another version or umask has made. Damage is for the act itself to find."""
    objects = os.path.join(path, "objects")
    config = os.path.join(path, "config")
    with contextlib.suppress(OSError):
        _set_mode(path, 0o750)
        for folder, _, files in os.walk(objects):
            _set_mode(folder, 0o750)
            for name in files:
                _set_mode(os.path.join(folder, name), 0o440)
        with open(config, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if _SHARED in text:
            durable.write_atomic(config, text.replace(_SHARED, "").encode())


def _set_mode(path: str, mode: int) -> None:
    if stat.S_IMODE(os.stat(path).st_mode) != mode:
        os.chmod(path, mode)
