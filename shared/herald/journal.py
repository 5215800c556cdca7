"""What a unit writes to the journal: one line with structured fields, or plain stderr where there is no journal.

The only module that knows systemd-python, which the system installation alone has. Lean on purpose: `logging` is
not imported; `herald.service` bridges the loggers of libraries to here.
"""

import importlib
import os
import sys
import time
from typing import Any

from herald.masking import mask

_DEBUG, _INFO, _NOTICE, _WARNING, _ERROR = 7, 6, 5, 4, 3
_verbose = os.environ.get("HERALD_DEBUG") == "1"


def _journal_sender() -> Any:
    """systemd.journal.send when stderr is the journal and the library is there, else None."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(2)
        if stream != f"{status.st_dev}:{status.st_ino}":
            return None
        return importlib.import_module("systemd.journal").send
    except (OSError, ImportError):
        return None


_send = _journal_sender()
_to_journal = bool(os.environ.get("JOURNAL_STREAM"))


def _write(priority: int, message: str, project: str, task: str, run: str, fields: dict[str, str]) -> None:
    message = mask(message)
    named = {"HERALD_PROJECT": project, "HERALD_TASK": task, "HERALD_RUN": run}
    named |= {f"HERALD_{name.upper()}": mask(value) for name, value in fields.items()}
    named = {name: value for name, value in named.items() if value}
    if _send is not None:
        _send(message, PRIORITY=priority, SYSLOG_IDENTIFIER=os.path.basename(sys.argv[0]), **named)
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
