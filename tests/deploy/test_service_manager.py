"""What the unit tells its service manager: signs of life from all that takes long, and the locks to be kept."""

import array
import os
import select
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.deploy.unit import COMMIT, COMPOSE, Instance, Place, tar_of


@pytest.fixture
def manager(place: Place) -> Iterator[socket.socket]:
    """The service manager's end."""
    path = place.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        yield listening
    path.unlink()


def start(place: Place) -> Instance:
    """An instance that is watched."""
    variables = {"NOTIFY_SOCKET": str(place.folder / "notify"), "WATCHDOG_USEC": "1000000"}
    return Instance(place, tar_of({"compose.yaml": COMPOSE}), COMMIT, **variables)


def signs(manager: socket.socket, seconds: float) -> int:
    """How many signs of life came in this time."""
    until = time.monotonic() + seconds
    count = 0
    while (left := until - time.monotonic()) > 0:
        if select.select([manager], [], [], left)[0]:
            count += b"WATCHDOG=1" in manager.recv(4096)
    return count


def test_a_long_command_is_no_frozen_unit_and_a_frozen_unit_gives_no_sign(place: Place, manager: socket.socket) -> None:
    place.docker.order(wait=True)
    with start(place) as instance:
        place.docker.call()
        assert 3 <= signs(manager, 2.0) <= 9
        os.kill(instance.process.pid, signal.SIGSTOP)
        signs(manager, 0.2)
        assert signs(manager, 1.0) == 0
        os.kill(instance.process.pid, signal.SIGCONT)
        place.docker.go()
        assert instance.result()["outcome"] == "ok"


def test_both_locks_are_kept_by_the_manager_before_it_says_that_it_began(place: Place, manager: socket.socket) -> None:
    place.docker.order(wait=True)
    kept: dict[str, int] = {}
    with start(place) as instance:
        assert instance.answer() == "started"
        while len(kept) < 2 and select.select([manager], [], [], 0)[0]:
            data, ancillary, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(4))
            if b"FDSTORE=1" in data:
                name = data.partition(b"FDNAME=")[2].split(b"\n")[0].decode()
                kept[name] = array.array("i", ancillary[0][2])[0]
        assert set(kept) == {"deployment", "project"}
        instance.kill()
        assert instance.is_locked(), "the manager has it until the last process is gone"
        os.close(kept.pop("deployment"))
        assert not instance.is_locked()
    for fd in kept.values():
        os.close(fd)
