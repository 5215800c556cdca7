"""What a unit writes to the journal: one entry with structured fields, or plain stderr where there is no journal.

The only module that knows systemd-python, which the system installation has. Lean on purpose: its `systemd.journal`
takes 40 ms to import, the extension below it less than one; nor is `logging` imported, `herald.service` bridges the
loggers of libraries to here.
"""

import importlib
import os
import sys
import time
from collections.abc import Callable

from herald.masking import mask

_DEBUG, _INFO, _NOTICE, _WARNING, _ERROR = 7, 6, 5, 4, 3
_verbose = os.environ.get("HERALD_DEBUG") == "1"


def _is_stderr() -> bool:
    """Whether stderr is the journal, by its own word: device and inode of the stream."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"


def _sender() -> Callable[..., None] | None:
    """What sends an entry, given as `NAME=value` texts; None without the library."""
    try:
        found: Callable[..., None] = importlib.import_module("systemd._journal").sendv
    except ImportError:
        return None
    return found


_to_journal = _is_stderr()
_send = _sender() if _to_journal else None


def _write(priority: int, message: str, project: str, task: str, run: str, fields: dict[str, str]) -> None:
    message = mask(message)
    named = {"HERALD_PROJECT": project, "HERALD_TASK": task, "HERALD_RUN": run}
    named |= {f"HERALD_{name.upper()}": mask(value) for name, value in fields.items()}
    named = {name: value for name, value in named.items() if value}
    if _send is not None:
        entry = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": os.path.basename(sys.argv[0])}
        # journald can't tell the unit of a process that has ended meanwhile; by this field it is found all the same.
        entry["HERALD_INVOCATION"] = os.environ.get("INVOCATION_ID", "")
        try:
            _send(*(f"{name}={value}".encode(errors="replace") for name, value in (entry | named).items()))
        except OSError:
            pass  # the stream that is left leads there too
        else:
            return
    prefix = f"<{priority}>" if _to_journal else ""
    suffix = " ".join(f"{name[7:].lower()}={value}" for name, value in named.items())
    lines = message.splitlines() or [""]
    if suffix:
        lines[0] += f" [{suffix}]"
    try:
        sys.stderr.write("".join(f"{prefix}{line}\n" for line in lines))
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads stderr any more: the work goes on


def debug(message: str, *, project: str = "", task: str = "", run: str = "", **fields: str) -> None:
    """For whoever looks for a fault or lost time; written with HERALD_DEBUG=1 only, with the monotonic time."""
    if _verbose:
        _write(_DEBUG, message, project, task, run, {**fields, "at": f"{time.monotonic():.6f}"})


def info(message: str, *, project: str = "", task: str = "", run: str = "", **fields: str) -> None:
    """An ordinary step."""
    _write(_INFO, message, project, task, run, fields)


def notice(message: str, *, project: str = "", task: str = "", run: str = "", **fields: str) -> None:
    """Ordinary, but worth finding later: a push, a vote, a file set aside."""
    _write(_NOTICE, message, project, task, run, fields)


def warning(message: str, *, project: str = "", task: str = "", run: str = "", **fields: str) -> None:
    """Something the operator may have to look at; Herald goes on."""
    _write(_WARNING, message, project, task, run, fields)


def error(message: str, *, project: str = "", task: str = "", run: str = "", **fields: str) -> None:
    """Something failed."""
    _write(_ERROR, message, project, task, run, fields)
