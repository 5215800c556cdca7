"""The last lines that one invocation of a unit left in the journal, fit to be shown."""

import os
import select
import signal
import time

from herald import journal, names
from herald.masking import mask

_DEADLINE = 3.0
_JOURNALCTL = ("journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=20")
_LINES = 10
_LONGEST_LINE = 300
_LONGEST = 1500
"""Characters in all: with the words before them still a block in chat, not a file."""
_KEPT = 1 << 18
"""Bytes of the journal's end that are looked at."""


def last_lines(unit: str, invocation: str) -> list[str]:
    """The last lines, masked; none when the journal does not answer in time."""
    if not invocation.isalnum():
        return []
    try:
        said = _output([*_JOURNALCTL, *_matches(invocation)])
    except OSError as error:
        journal.warning(f"the last lines of {unit} cannot be read from the journal: {error}")
        return []
    # Masked as a whole: a secret may have line ends.
    lines = [line.rstrip() for line in mask(said.decode(errors="replace")).splitlines()]
    return _bounded([line for line in lines if line and not _is_idle(line, unit)][-_LINES:])


def _matches(invocation: str) -> list[str]:
    """What the unit wrote (the second for those who ended at once), and what the service manager wrote of it, which
    for a unit that did not even begin is not PID 1 itself."""
    own = [f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"HERALD_INVOCATION={invocation}"]
    if names.mode() == "user":
        return [*own, "+", f"USER_INVOCATION_ID={invocation}", f"_UID={os.getuid()}"]
    return [*own, "+", f"INVOCATION_ID={invocation}", "_UID=0"]


def _is_idle(line: str, unit: str) -> bool:
    """Lines of the service manager that say nothing which is not said already."""
    return line.startswith((f"Starting {unit}", f"Started {unit}", f"{unit}: Main process exited"))


def _bounded(lines: list[str]) -> list[str]:
    """The lines, each cut; the first ones left out when all are too long."""
    cut = [line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…" for line in lines]
    while sum(map(len, cut)) > _LONGEST:
        del cut[0]
    return cut


def _output(command: list[str]) -> bytes:
    """The end of what a command prints. Raises OSError, TimeoutError among it; then nothing of it is left."""
    out, their_out = os.pipe2(os.O_CLOEXEC)
    try:
        nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        layout = [nothing, (os.POSIX_SPAWN_DUP2, their_out, 1)]
        pid = os.posix_spawnp(command[0], command, {**os.environ, "LC_ALL": "C.UTF-8"}, file_actions=layout)
    except OSError:
        os.close(out)
        raise
    finally:
        os.close(their_out)
    try:
        return _read(out, time.monotonic() + _DEADLINE)
    finally:
        os.close(out)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _read(out: int, until: float) -> bytes:
    said = b""
    while select.select([out], [], [], max(0.0, until - time.monotonic()))[0]:
        data = os.read(out, 1 << 16)
        if not data:
            return said
        said = (said + data)[-_KEPT:]
    raise TimeoutError(f"no answer within {_DEADLINE:.0f} s")
