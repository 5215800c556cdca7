"""The driver gives signs of life from everything that takes long, and none once it is frozen."""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.place import Place
from tests.support import processes


class Manager:
    """The service manager's end. It takes what comes at any time, as systemd does: a full socket stops its sender."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._signs = 0

    def listen(self) -> None:
        """Count until the socket is shut down."""
        while message := self._listening.recv(4096):
            self._signs += b"WATCHDOG=1" in message

    def signs(self, seconds: float) -> int:
        """How many signs of life come in this time."""
        before = self._signs
        time.sleep(seconds)
        return self._signs - before


@pytest.fixture
def manager(place: Place) -> Iterator[Manager]:
    """Signs are asked for by it."""
    place.environment["WATCHDOG_USEC"] = "1000000"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(place.folder / "notify"))
        manager = Manager(listening)
        thread = threading.Thread(target=manager.listen)
        thread.start()
        yield manager
        listening.shutdown(socket.SHUT_RD)
        thread.join()
    (place.folder / "notify").unlink()


def test_a_run_gives_signs_of_life_and_a_frozen_driver_none(place: Place, manager: Manager) -> None:
    instance, _ = place.start("sleep 30", notify=place.folder / "notify")
    instance.receive()
    assert 3 <= manager.signs(2.0) <= 9
    os.kill(instance.process.pid, signal.SIGSTOP)
    manager.signs(0.2)
    assert manager.signs(1.0) == 0


def test_a_long_git_command_is_no_frozen_driver(place: Place, manager: Manager) -> None:
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
    manager.signs(0.2)  # those from before
    assert manager.signs(2.0) >= 5
    assert files.read("log").count("session") == 0  # the agent had not begun
    assert instance.receive() == {"parameters": {"state": "ended"}}


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}])
def test_where_nobody_waits_for_signs_there_are_none(
    place: Place, manager: Manager, environment: dict[str, str]
) -> None:
    del place.environment["WATCHDOG_USEC"]
    place.environment |= environment
    instance, _ = place.start("sleep 1", notify=place.folder / "notify")
    instance.receive()
    assert manager.signs(1.0) == 0


def test_many_files_are_removed_without_the_driver_falling_silent(
    place: Place, manager: Manager, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    slow = programs / "rm"
    slow.write_text(f'#!/bin/sh\nsleep 2\nexec {shutil.which("rm")} "$@"\n')
    slow.chmod(0o755)
    place.environment["PATH"] = f"{programs}:{place.environment['PATH']}"
    instance, files = place.start("shell touch $TMPDIR/x; echo left", notify=place.folder / "notify")
    instance.receive()
    assert manager.signs(2.5) >= 5
    assert instance.receive() == {"parameters": {"state": "ended"}}
    assert instance.wait() == 0
    assert files.end["outcome"] == "ok"
    assert place.leftovers() == []
