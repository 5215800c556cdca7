"""A full disk: what is refused says so, what was acknowledged is done when there is room again."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from herald.bus import blocking
from herald.errors import Unavailable
from tests.faults.victims import check_each_once
from tests.support.herald import Site
from tests.support.processes import wait_for


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of a few megabytes in this place."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file: Path) -> None:
    """Take all room that is left."""
    with file.open("ab", buffering=0) as filler:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                continue


def test_a_full_disk_refuses_in_words_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can mount a small file system")
    with small_disk(tmp_path / "state"), Site(tmp_path) as site:
        herald = site.start()
        first = herald.enqueue("create first.txt: x")
        assert herald.ended(first) == "done"
        herald.idle()
        filler = site.state / "filler"
        acknowledged, words = [], []
        for number in range(40):
            fill(filler)
            parameters = {"key": f"full-{number}", "project": "sample", "text": "say x" * 200}
            try:
                acknowledged.append(blocking.call("worker", "Enqueue", parameters)["task"])
            except Unavailable as error:
                words.append(error.message)
        assert any("disk is full" in each for each in words), words
        assert words[-1], "it stays refused"
        wait_for(lambda: herald.pids("gateway"), "the gateway lives or is started again")
        filler.unlink()

        after = herald.enqueue("create after.txt: x")
        assert herald.ended(after) == "done"
        ended = herald.call("worker", "ListTasks", ended=True, limit=1000)["tasks"]
        states = {task["id"]: task["state"] for task in ended}
        assert all(states[task] in ("done", "failed") for task in acknowledged), states
        assert list(states).count(after) == 1
        herald.idle()
        herald.vote()
        herald.idle()
        assert "after.txt" in site.files(next(iter(site.pushed())))
        if set(states.values()) == {"done"}:
            check_each_once(site, sorted(states, key=int))
        herald.finish(None)
