"""The state folder of herald-config: the snapshot, the ledger beside it, and the lock.

The ledger holds what must outlive a snapshot that is lost or damaged, and the file of a project that is moved away:
the highest generation ever given, and what each clone said when it was first seen. It is written first, so that no
generation is ever given twice.
"""

import errno
import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from herald import durable, names, watchdog
from herald.errors import Busy, Unavailable
from herald.snapshot import EMPTY, Snapshot, decode, encode, without_secrets
from herald_config.remotes import Kept

_LOCK_WAIT = 5.0
"""Shorter than the usual deadline of a caller, who is then told why."""


class Ledger(NamedTuple):
    """What outlives the snapshot."""

    generation: int
    clones: dict[str, Kept]
    """by path"""


class Stored(NamedTuple):
    """What is on disk. `damaged` has the path of each file that cannot be used, and why; `complete`: what is handed to
    other units is true, too."""

    snapshot: Snapshot
    ledger: Ledger
    damaged: dict[str, str]
    complete: bool = True
    has_ledger: bool = True

    def next_generation(self) -> int:
        """Above any that was ever given, also where damage took both files that know it."""
        known = max(self.snapshot.generation, self.ledger.generation)
        if not known and self.damaged:
            return int(time.time())
        return known + 1


def ledger_path() -> str:
    """Path of the ledger."""
    return os.path.join(names.state_folder(names.CONFIG), "ledger.json")


def load() -> Stored:
    """What is on disk; nothing there is the ordinary beginning. Raises Unavailable when it cannot be read."""
    damaged: dict[str, str] = {}
    snapshot = EMPTY
    ledger = None
    for path in (names.snapshot_path(), ledger_path()):
        try:
            with open(path, "rb") as file:
                data = file.read()
            if path == ledger_path():
                ledger = _decode_ledger(data, snapshot)
            else:
                snapshot = decode(data)
        except FileNotFoundError:
            continue
        except ValueError as error:
            damaged[path] = str(error)
        except OSError as error:
            raise _unavailable(path, error) from error
    has_ledger = ledger is not None
    if ledger is None:
        ledger = Ledger(snapshot.generation, _in_force(snapshot))
    return Stored(snapshot, ledger, damaged, _handed_over() == without_secrets(snapshot), has_ledger)


def _in_force(snapshot: Snapshot) -> dict[str, Kept]:
    """What stands in for a ledger that is lost."""
    clones = {}
    for each in snapshot.projects.values():
        # one compiled by a version before, which has no signature here, knew nothing of pushes
        push_url = each.push_url if snapshot.signature else None
        problem = "had a push URL that cannot be pushed to" if each.push_problem else ""
        if each.remote:
            clones[each.path] = Kept(each.name, each.remote, push_url, problem)
    return clones


def _handed_over() -> Snapshot | None:
    try:
        with open(names.handed_over_path(), "rb") as file:
            return decode(file.read())
    except (OSError, ValueError):
        return None  # it is only ever written, never the truth


def save(snapshot: Snapshot, ledger: Ledger, damaged: dict[str, str]) -> list[str]:
    """Put a snapshot in force; returns what to tell of damaged files. Raises Unavailable."""
    notices = []
    path = ""
    try:
        for path, reason in damaged.items():
            notices.append(
                f"{path} was damaged ({reason}): set aside as {durable.set_aside(path, stays=True)}, compiled anew"
            )
        path = ledger_path()
        durable.write_atomic(path, _encode_ledger(ledger))
        path = names.handed_over_path()
        durable.write_atomic(path, encode(without_secrets(snapshot)))
        path = names.snapshot_path()
        durable.write_atomic(path, encode(snapshot))
    except OSError as error:
        raise _unavailable(path, error) from error
    return notices


def keep(ledger: Ledger) -> None:
    """Write the ledger alone, for when the snapshot stays as it is. Raises Unavailable."""
    path = ledger_path()
    try:
        durable.write_atomic(path, _encode_ledger(ledger))
    except OSError as error:
        raise _unavailable(path, error) from error


@contextmanager
def locked() -> Iterator[None]:
    """One reload at a time. Raises Busy when another one does not end, Unavailable when the folder is not usable."""
    folder = names.state_folder(names.CONFIG)
    path = os.path.join(folder, "lock")
    try:
        os.makedirs(folder, mode=0o750, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise _unavailable(path, error) from error
    try:
        _lock(fd)
        _sweep(folder)
        yield
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    until = time.monotonic() + _LOCK_WAIT
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise Busy("another reload has not ended yet; try again in a moment") from error
        watchdog.feed()
        time.sleep(0.02)


def _sweep(folder: str) -> None:
    """Remove what a writer that was killed left behind; the lock says that none is at work."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(".tmp"):
            durable.with_no_trace(os.path.join(folder, name))


def _unavailable(path: str, error: OSError) -> Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "free some space there"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        step = f"make {os.path.dirname(path)} writable for the user of herald-config (here uid {os.getuid()})"
    else:
        step = "mend that"
    return Unavailable(f"{path}: {error.strerror}; {step}, then reload. What was in force stays in force")


def _encode_ledger(ledger: Ledger) -> bytes:
    clones = {path: list(kept) for path, kept in ledger.clones.items()}
    text = _compact({"generation": ledger.generation, "clones": clones})
    return b'{"crc32":%d,"body":%s}\n' % (zlib.crc32(text), text)


def _decode_ledger(data: bytes, snapshot: Snapshot) -> Ledger:
    """Raises ValueError when the bytes are no ledger."""
    try:
        outer = json.loads(data)
        body = outer["body"]
        if zlib.crc32(_compact(body)) != outer["crc32"]:
            raise ValueError("checksum does not match")
        if "remotes" in body:
            return Ledger(body["generation"], _of_version_before(body["remotes"], snapshot))
        return Ledger(body["generation"], {path: Kept(*kept) for path, kept in body["clones"].items()})
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a ledger: {error!r}") from error


def _of_version_before(remotes: dict[str, list[str]], snapshot: Snapshot) -> dict[str, Kept]:
    """It knew path and remote of those projects alone that had no `git.remote`, and asked for no push URL."""
    clones = {each.path: Kept(each.name, "", None) for each in snapshot.projects.values()}
    return clones | {path: Kept(name, remote, None) for name, (path, remote) in remotes.items()}


def _compact(body: object) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
