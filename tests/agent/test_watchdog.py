"""The driver gives signs of life from everything that takes long, and none once it is frozen."""

import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.place import Place
from tests.support import processes


@pytest.fixture
def manager(place: Place) -> Iterator[socket.socket]:
    """The service manager's end."""
    place.environment["WATCHDOG_USEC"] = "1000000"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(place.folder / "notify"))
        yield listening
    (place.folder / "notify").unlink()


def signs(manager: socket.socket, seconds: float) -> int:
    """How many signs of life came in this time."""
    until = time.monotonic() + seconds
    count = 0
    while (left := until - time.monotonic()) > 0:
        if select.select([manager], [], [], left)[0]:
            count += b"WATCHDOG=1" in manager.recv(4096)
    return count


def test_a_run_gives_signs_of_life_and_a_frozen_driver_none(place: Place, manager: socket.socket) -> None:
    instance, _ = place.start("sleep 30", notify=place.folder / "notify")
    instance.receive()
    assert 3 <= signs(manager, 2.0) <= 9
    os.kill(instance.process.pid, signal.SIGSTOP)
    signs(manager, 0.2)
    assert signs(manager, 1.0) == 0


def test_a_long_git_command_is_no_frozen_driver(place: Place, manager: socket.socket) -> None:
    programs = place.folder / "bin"
    programs.mkdir()
    slow = programs / "git"
    late = f": >{place.folder}/slow; sleep 3"
    slow.write_text(f'#!/bin/sh\ncase "$*" in *\\ reset\\ *) {late};; esac\nexec {shutil.which("git")} "$@"\n')
    slow.chmod(0o755)
    place.environment["PATH"] = f"{programs}:{place.environment['PATH']}"
    instance, files = place.start("say hi", notify=place.folder / "notify")
    instance.receive()
    processes.wait_for((place.folder / "slow").exists, "the long command has begun")
    signs(manager, 0.2)  # those from before
    assert signs(manager, 2.0) >= 5
    assert files.read("log").count("session") == 0  # the agent had not begun
    assert instance.receive() == {"parameters": {"state": "ended"}}


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}])
def test_where_nobody_waits_for_signs_there_are_none(
    place: Place, manager: socket.socket, environment: dict[str, str]
) -> None:
    del place.environment["WATCHDOG_USEC"]
    place.environment |= environment
    instance, _ = place.start("sleep 1", notify=place.folder / "notify")
    instance.receive()
    assert signs(manager, 1.0) == 0


def test_many_files_are_removed_without_the_driver_falling_silent(
    place: Place, manager: socket.socket, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    slow = programs / "rm"
    slow.write_text(f'#!/bin/sh\nsleep 2\nexec {shutil.which("rm")} "$@"\n')
    slow.chmod(0o755)
    place.environment["PATH"] = f"{programs}:{place.environment['PATH']}"
    instance, files = place.start("shell touch $TMPDIR/x; echo left", notify=place.folder / "notify")
    instance.receive()
    assert signs(manager, 2.5) >= 5
    assert instance.receive() == {"parameters": {"state": "ended"}}
    assert instance.wait() == 0
    assert files.end["outcome"] == "ok"
    assert place.leftovers() == []
