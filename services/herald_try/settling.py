"""The end of input: wait until nothing is going on, then tell what became of everything."""

import contextlib
import sys
import time
from collections import Counter
from typing import Any

from herald import durable
from herald.errors import HeraldError
from herald_try.console import patiently
from herald_try.posts import Follower

_PAUSE = 0.1
_PAGE = 500
_GOING = {"approved", "pushing", "rejected"}
_FAILURES = (
    "task.failed", "task.parked", "task.blocked", "vote.refused", "proposal.refused", "proposal.void",
    "deployment.failed", "deployment.unknown",
)  # fmt: skip
_SUCCESSES = (
    "task.done", "task.cancelled", "proposal.pushed", "proposal.discarded", "deployment.deployed", "deployment.nothing",
)  # fmt: skip


class Tally:
    """Counts what the worker's event log says has happened since the try began."""

    def __init__(self, path: str, since: str) -> None:
        """`path` remembers how far the log was read, `since` is the ISO time of the beginning."""
        self._path = path
        self._since = since
        self.counts: Counter[str] = Counter()

    def read(self) -> None:
        """Read what is new."""
        cursor = self._cursor()
        if cursor and not patiently("worker", "ListEvents", {"since": cursor - 1, "limit": 1})["events"]:
            cursor = 0  # the log that it belongs to is gone
        while True:
            page = patiently("worker", "ListEvents", {"since": cursor, "limit": _PAGE})["events"]
            self.counts.update(event["kind"] for event in page if event["at"] >= self._since)
            if not page:
                break
            cursor = page[-1]["id"]
        with contextlib.suppress(OSError):  # only a hint where to begin: the time decides what counts
            durable.write_atomic(self._path, b"%d\n" % cursor)

    def _cursor(self) -> int:
        try:
            return int(durable.read_limited(self._path, 100))
        except (OSError, ValueError):
            return 0

    @property
    def failures(self) -> int:
        """How many things went wrong."""
        return sum(self.counts[kind] for kind in _FAILURES)

    def summary(self) -> str:
        """One line for people."""
        kinds = [kind for kind in (*_SUCCESSES, *_FAILURES) if self.counts[kind]]
        return ", ".join(f"{kind.replace('.', ' ')}: {self.counts[kind]}" for kind in kinds) or "nothing to do"


def wait_until_idle(follower: Follower) -> None:
    """Return when no task is queued or running, nothing is being pushed, discarded or deployed, and all is printed.

    Raises HeraldError when the worker or the gateway stays away.
    """
    while not _idle():
        time.sleep(_PAUSE)
    while posts := patiently("gateway", "ListPosts", {"since": follower.cursor, "limit": 1})["posts"]:
        follower.wait_until(posts[0]["id"])


def _idle() -> bool:
    status = patiently("worker", "GetStatus", {})
    if status["queued"] or status["running"] or status["deployments"] or status["gateway_backlog"]:
        return False
    return not any(proposal["state"] in _GOING for proposal in _open_proposals())


def _open_proposals() -> list[dict[str, Any]]:
    proposals: list[dict[str, Any]] = patiently("worker", "ListProposals", {"open": True, "limit": 1000})["proposals"]
    return proposals


def finish(follower: Follower, tally: Tally, undelivered: int) -> int:
    """Wait, print the summary, return the exit code."""
    try:
        wait_until_idle(follower)
        tally.read()
        waiting = [each for each in _open_proposals() if each["state"] == "open"]
    except HeraldError as error:
        sys.stderr.write(f"summary: incomplete, {error.message}\n")
        return 1
    sys.stderr.write(f"summary: {tally.summary()}\n")
    for each in waiting:
        sys.stderr.write(f"summary: waits for a vote: {each['project']} {each['branch']}, {each['commits']} commits\n")
    if undelivered:
        sys.stderr.write(f"summary: messages that could not be delivered: {undelivered}\n")
    return 1 if tally.failures or undelivered else 0
