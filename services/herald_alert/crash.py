"""One crash told: throttled, explained, written to the journal and left for the gateway."""

import os
import signal
import time

from herald import journal, masking, names
from herald.alerts import Alert
from herald_alert import folder, reason, tail, throttle, webhook

_DEADLINE = 10
"""Seconds for everything; below the TimeoutStopSec= of every unit, so that it ends by itself."""


def tell(unit: str) -> None:
    """Tell of the crash of a unit, unless it is held back."""
    signal.alarm(_DEADLINE)
    os.umask(0o027)  # the unit's own may keep its group out
    place = folder.made()
    moment = time.time()
    held = throttle.passed(place, unit)
    if held is None:
        return
    masking.learn(names.credentials_folder())
    lines = tail.last_lines(unit, os.environ.get("INVOCATION_ID", ""))
    alert = Alert(
        id=f"{_stamp(moment)}-{os.urandom(4).hex()}",
        at=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment)),
        unit=unit,
        text=masking.mask(_text(unit, moment, held)),
        lines=tuple(lines),
    )
    journal.error("\n".join((alert.text, *lines)), unit=unit)
    if webhook.posts_for(unit):
        alert = alert._replace(posted=webhook.post(alert.text, lines))
    folder.leave(place, alert)


def _text(unit: str, moment: float, held: int) -> str:
    why = reason.words(*(os.environ.get(name, "") for name in ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS")))
    clock = time.strftime("%H:%M:%S", time.gmtime(moment))
    told = f"{unit} crashed at {clock} UTC: {why}."
    if held:
        crashes = "1 crash" if held == 1 else f"{held} crashes"
        told += f" {crashes} of {throttle.kind_of(unit)} before it, since the last alert, {_was(held)} held back."
    user = "--user " if names.mode() == "user" else ""
    return f"{told} Look: `journalctl {user}-u {unit}`"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _stamp(moment: float) -> str:
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
