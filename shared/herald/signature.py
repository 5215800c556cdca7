"""Which files the configuration is compiled from, and whether any of them has changed since.

A signature covers path, inode, times and size of each file, never its content, so that the worker can take one
every few seconds. The change time is among them because a `chmod` that makes a file readable, or a copy that keeps
the modification time, leaves no other trace.
"""

import hashlib
import os
import time

SERVER_FILE = "herald.yaml"
PROJECTS_FOLDER = "projects"
EXAMPLE = "example.yaml"
"""Documentation; never loaded as a project."""

_TICK_NS = 20_000_000
"""Longer than one tick of the kernel's file clock (10 ms at HZ=100)."""


def files(folder: str) -> list[str]:
    """The files that are compiled, relative to the configuration folder, sorted.

    Hidden files and those with another ending are left out: editors keep their locks and backups under such names.
    Raises OSError when the projects cannot be listed; a folder that is not there holds none.
    """
    found = [SERVER_FILE] if os.path.lexists(os.path.join(folder, SERVER_FILE)) else []
    projects = os.path.join(folder, PROJECTS_FOLDER)
    if os.path.lexists(projects):
        names = (name for name in os.listdir(projects) if name.endswith(".yaml") and name != EXAMPLE)
        found += [os.path.join(PROJECTS_FOLDER, name) for name in sorted(names) if not name.startswith(".")]
    return found


def signature_of(folder: str) -> str:
    """The signature of the configuration as it is on disk now."""
    return _observe(folder)[0]


def settled(folder: str) -> str:
    """The signature, taken once the newest change is older than a tick of the file clock.

    Two edits within one tick leave the same times; after this, a further edit is certain to show.
    """
    signature, newest = _observe(folder)
    for _ in range(5):
        if not 0 <= time.time_ns() - newest < _TICK_NS:
            break
        time.sleep(_TICK_NS / 1e9)
        signature, newest = _observe(folder)
    return signature


def _observe(folder: str) -> tuple[str, int]:
    """The signature and the time of the newest change in nanoseconds."""
    digest = hashlib.sha256()
    newest = 0
    try:
        paths = files(folder)
    except OSError as error:
        paths = []
        digest.update(f"{PROJECTS_FOLDER} error {error.errno}\n".encode())
    for path in paths:
        try:
            status = os.stat(os.path.join(folder, path))
            facts = f"{status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_size}"
            newest = max(newest, status.st_ctime_ns)
        except OSError as error:
            facts = f"error {error.errno}"
        digest.update(os.fsencode(path) + b"\0" + facts.encode() + b"\n")
    return digest.hexdigest(), newest
