"""Times as Herald writes them: ISO 8601 in UTC, milliseconds, trailing Z."""

import time
from datetime import datetime


def now() -> str:
    """The current time."""
    return text(time.time())


def text(seconds: float) -> str:
    """A time in seconds since the epoch as text; texts sort like the times."""
    whole = int(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((seconds - whole) * 1000):03d}Z"


def seconds(written: str) -> float:
    """A time that `text` wrote, in seconds since the epoch."""
    return datetime.fromisoformat(written).timestamp()
