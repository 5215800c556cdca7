"""What units tell their service manager."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared.staging import SOURCES, Manager, Stage

_STORE = """
import fcntl, os, sys
from herald import notify
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
notify.store(fd, "lock")
"""


def _run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": SOURCES, **variables},
    )


def _is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_stored_descriptor_holds_its_lock_beyond_the_process(stage: Stage) -> None:
    manager = stage.manager()
    path = stage.root / "lock"

    assert _run(_STORE, str(path), NOTIFY_SOCKET=str(manager.path)).returncode == 0

    manager.hear("FDSTORE=1")
    assert manager.said == ["FDSTORE=1", "FDNAME=lock", "FDPOLL=0"]
    (descriptor,) = manager.descriptors
    assert os.readlink(f"/proc/self/fd/{descriptor}") == str(path)
    assert _is_locked(path)
    os.close(manager.descriptors.pop())
    assert not _is_locked(path)


def test_a_descriptor_that_cannot_be_stored_is_an_error(tmp_path: Path) -> None:
    done = _run(_STORE, str(tmp_path / "lock"), NOTIFY_SOCKET=str(tmp_path / "nobody"))

    assert "FileNotFoundError" in done.stderr


def test_without_a_service_manager_everything_is_silent(tmp_path: Path) -> None:
    everything = "notify.ready('up'); notify.status('x'); notify.reloading(); notify.watchdog(); notify.stopping()"

    done = _run(_STORE + everything, str(tmp_path / "lock"))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("abstract", [False, True])
def test_each_word_arrives_and_children_cannot_speak(stage: Stage, abstract: bool) -> None:
    manager = Manager(Path(f"\0{stage.root}/n")) if abstract else stage.manager()
    address = str(manager.path).replace("\0", "@")
    script = """
import os
from herald import notify
notify.ready("up\\nSTATUS=and READY=1"); notify.status("a\\nb"); notify.reloading(); notify.watchdog()
assert "NOTIFY_SOCKET" not in os.environ
notify.stopping()
"""
    assert _run(script, NOTIFY_SOCKET=address).returncode == 0

    manager.hear("STOPPING=1")
    if abstract:
        manager.close()
    said = [line.partition("=")[0] if line.startswith("MONOTONIC") else line for line in manager.said]
    assert said[:3] == ["READY=1", "STATUS=up STATUS=and READY=1", "STATUS=a b"]
    assert said[3:] == ["RELOADING=1", "MONOTONIC_USEC", "WATCHDOG=1", "STOPPING=1"]
