"""Signs of life of the units that are started for one act, from every loop that waits: a frozen one gives none."""

import os
import time

from herald import notify

_MOST_PAUSE = 5.0


def _pause() -> float:
    """Seconds between two signs; 0 when nobody waits for them."""
    wanted = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return min(int(wanted) / 4e6, _MOST_PAUSE) if wanted.isdigit() and ours else 0.0


PAUSE = _pause()
_next = 0.0


def feed() -> None:
    """Give a sign if it is time for one."""
    global _next
    now = time.monotonic()
    if PAUSE and now >= _next:
        _next = now + PAUSE
        notify.watchdog()


def wait(left: float) -> float:
    """How long to wait at once, in milliseconds, of the seconds that are left."""
    return max(0.0, min(left, PAUSE or left)) * 1000
