"""The compose command as a process: no shell, a small environment, a deadline, an end that takes its group along."""

import os
import select
import shlex
import signal
import time
from typing import NamedTuple

from herald import names, watchdog
from herald.errors import Failed
from herald.snapshot import Deploy
from herald_deploy.said import Said
from herald_deploy.stop import StopSignal

_CHUNK = 1 << 16
_MOST_CHUNKS = 16
_PATIENCE = 10.0
_PATIENCE_AT_STOP = 5.0
"""Seconds from SIGTERM to SIGKILL; with the unit itself being stopped there is less."""


class Order(NamedTuple):
    """What to run and until when (monotonic)."""

    settings: Deploy
    project: str
    commit: str
    tree: str
    file: str
    until: float


class Ended(NamedTuple):
    """How it ended: the exit code (negative: the signal), and `deadline` or `stopped` when it was ended."""

    code: int
    by: str


def run(order: Order, said: Said, stop: StopSignal) -> Ended:
    """Run it to its end; what its own children still hold open is not waited for. Raises Failed."""
    argv = arguments(order)
    os.chdir(order.tree)
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read, False)
    try:
        pid = _spawn(argv, environment(order), write)
    finally:
        os.close(write)
    handle = os.pidfd_open(pid)
    try:
        by = _follow(pid, handle, read, said, order.until, stop)
    finally:
        _signal(pid, signal.SIGKILL)  # whoever of the group is left, too
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _take(read, said)
        os.close(read)
        os.close(handle)
    return Ended(code, by)


def arguments(order: Order) -> list[str]:
    """The command line. Raises Failed."""
    try:
        words = shlex.split(order.settings.command)
    except ValueError as error:
        raise Failed(f"`deploy.command` in herald.yaml is {order.settings.command!r}: {error}") from error
    if not words:
        raise Failed("`deploy.command` in herald.yaml is empty; `docker compose` is usual")
    return [*words, "--project-name", order.project, "--file", order.file, "up", "--build", "-d"]


def environment(order: Order) -> dict[str, str]:
    """All that the command is told."""
    own = names.state_folder(names.DEPLOY)
    return {
        "PATH": os.environ.get("PATH") or os.defpath,
        "HOME": own,
        "LANG": "C.UTF-8",
        "DOCKER_HOST": f"unix://{order.settings.socket}",
        "DOCKER_CONFIG": os.path.join(own, "docker"),
        # The engine has the network and this unit has none, so the engine logs in to registries too.
        "BUILDKIT_NO_CLIENT_TOKEN": "true",
        "BUILDKIT_PROGRESS": "plain",
        "COMPOSE_ANSI": "never",
        "COMPOSE_PROGRESS": "plain",
        "HERALD_TREE": order.tree,
        "HERALD_COMMIT": order.commit,
    }


def _spawn(argv: list[str], variables: dict[str, str], output: int) -> int:
    """Start it in a session of its own, which is a group to kill."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    layout = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((nothing, output, output))]
    restored = (signal.SIGPIPE, signal.SIGXFSZ)  # which Python ignores
    try:
        return os.posix_spawnp(argv[0], argv, variables, file_actions=layout, setsid=True, setsigdef=restored)
    except FileNotFoundError as error:
        raise Failed(
            f"{argv[0]} is not installed: Docker's packages docker-ce-cli and docker-compose-plugin bring it, or"
            " `deploy.command` in herald.yaml names another command"
        ) from error
    except OSError as error:
        raise Failed(f"{argv[0]} cannot be run: {error.strerror}") from error
    finally:
        os.close(nothing)


def _follow(pid: int, handle: int, read: int, said: Said, until: float, stop: StopSignal) -> str:
    """Take its output and keep the time until it has ended; returns why it was ended, if it was."""
    poll = select.poll()
    for fd in (handle, read, stop.fileno()):
        poll.register(fd, select.POLLIN)
    by = ""
    while True:
        watchdog.feed()
        ready = {fd for fd, _ in poll.poll(watchdog.wait(until - time.monotonic()))}
        if handle in ready:
            return by
        if read in ready and not _take(read, said):
            poll.unregister(read)
        if stop.fileno() in ready:
            poll.unregister(stop.fileno())
            by, until = by or "stopped", time.monotonic() + _PATIENCE_AT_STOP
            _signal(pid, signal.SIGTERM)
        elif time.monotonic() >= until:
            _signal(pid, signal.SIGKILL if by else signal.SIGTERM)
            by, until = by or "deadline", time.monotonic() + _PATIENCE


def _take(read: int, said: Said) -> bool:
    """Take what can be read without waiting, but not for ever; False at the end of it."""
    try:
        for _ in range(_MOST_CHUNKS):
            data = os.read(read, _CHUNK)
            if not data:
                return False
            said.add(data)
    except BlockingIOError:
        pass
    return True


def _signal(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass
