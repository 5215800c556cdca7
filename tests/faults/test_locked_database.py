"""The queue's database locked by somebody else: calls end in time with an error, nothing acknowledged is lost."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from herald.bus import blocking
from herald.errors import Unavailable
from tests.faults.victims import check_each_once
from tests.support.herald import Site

_DEADLINE = 10.0
_LOCKED = 120.0
"""seconds"""

_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Somebody else holds the database's write lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LOCK, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        process.communicate()


def ask_while_locked(site: Site, seconds: float) -> list[str]:
    """Calls of every kind for so long; returns the keys of the tasks that were acknowledged all the same."""
    until = time.monotonic() + seconds
    acknowledged, number = [], 0
    while time.monotonic() < until:
        number += 1
        key = f"locked-{number}"
        begun = time.monotonic()
        try:
            blocking.call("worker", "Enqueue", {"key": key, "project": "sample", "text": f"say {key}"})
            acknowledged.append(key)
        except Unavailable as error:
            print(f"{time.monotonic() - begun:.1f} s: {error.message}")
        assert time.monotonic() - begun < _DEADLINE + 2
        begun = time.monotonic()
        try:
            assert blocking.call("worker", "GetStatus")["max_active"] == 1
        except Unavailable as error:
            print(f"status, {time.monotonic() - begun:.1f} s: {error.message}")
        assert time.monotonic() - begun < _DEADLINE + 2
    return acknowledged


def test_calls_end_in_time_nothing_acknowledged_is_lost_and_herald_recovers(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        before = [herald.enqueue("sleep 3"), herald.enqueue("create before.txt: x")]
        site.events.wait("task.running", before[0])
        with locked(site.state / "worker" / "worker.sqlite"):
            acknowledged = ask_while_locked(site, _LOCKED)
        after = herald.enqueue("say after")
        assert herald.ended(after) == "done"

        known = {task["key"]: task for task in herald.call("worker", "ListTasks", ended=True, limit=1000)["tasks"]}
        assert all(known[key]["state"] == "done" for key in acknowledged)
        check_each_once(site, sorted((task["id"] for task in known.values()), key=int))
        assert {*before, after} <= {task["id"] for task in known.values()}


def test_messages_said_meanwhile_are_taken_when_the_database_is_free(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        with locked(site.state / "worker" / "worker.sqlite"):
            herald.say("say one", "say two")
            until = time.monotonic() + 30
            while not herald.posts() and time.monotonic() < until:
                time.sleep(0.2)
            assert "database is locked" in herald.posts()[0]["text"], "the person is told that it waits"
        posts = herald.finish()
        assert posts.index("no model. one") < posts.index("no model. two")
