"""git as a process: clean environment, a deadline, and an end that takes its children along.

`subprocess` would be an eighth of the time to the first byte of this unit, which is on the path of every message.
"""

import os
import select
import signal
import time
from typing import NamedTuple

from herald import names, watchdog
from herald.errors import Failed, Unavailable

_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
_KEPT_OF_CALLER = ("SSH_AUTH_SOCK",)
"""Kept in user and try mode, where ssh is the caller's own."""

_CLEAN = {
    "LC_ALL": "C",  # the words of git and ssh are read
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
}


_CHUNK = 1 << 16
_DEADLINE = "120"
_FIRST_FETCH = 8.0
_LOOK = 30.0


class Limits(NamedTuple):
    """Seconds for a git process, by what it does at the remote."""

    look: float
    act: float
    first_fetch: float


def limits() -> Limits:
    """The limits in force. Raises Failed when HERALD_GIT_DEADLINE is no number of seconds."""
    given = os.environ.get("HERALD_GIT_DEADLINE", _DEADLINE)
    try:
        act = float(given)
    except ValueError as error:
        raise Failed(f"HERALD_GIT_DEADLINE is {given!r}; it must be a number of seconds") from error
    return Limits(min(act, _LOOK), act, act * _FIRST_FETCH)


class Outcome(NamedTuple):
    """How a git process ended. `words` is what it said on stderr."""

    code: int
    out: bytes
    words: str


def environment() -> dict[str, str]:
    """The environment of every git process; nothing of the caller's but what is listed here."""
    kept = _KEPT if names.mode() == "system" else _KEPT + _KEPT_OF_CALLER
    return {name: os.environ[name] for name in kept if name in os.environ} | _CLEAN


def run(
    arguments: list[str],
    environment: dict[str, str],
    *,
    seconds: float,
    stdin: bytes = b"",
    stdout: int | None = None,
    inherited: tuple[int, ...] = (),
) -> Outcome:
    """Run git to its end; `stdout` is a descriptor used in place of `Outcome.out`.

    Raises Unavailable when it takes longer than `seconds`; then nothing of it is left.
    """
    until = time.monotonic() + max(0.1, seconds)
    (their_in, feed), (out, their_out), (words, their_words) = (os.pipe2(os.O_CLOEXEC) for _ in range(3))
    try:
        streams = (their_in, their_out if stdout is None else stdout, their_words)
        pid = _spawn(["git", *arguments], environment, streams, inherited)
    except FileNotFoundError as error:
        _close(feed, out, words)
        raise Failed("git is not installed; `apt install git` provides it") from error
    finally:
        _close(their_in, their_out, their_words)
    handle = os.pidfd_open(pid)
    try:
        said = _exchange(feed, stdin, (out, words), until)
        _wait(handle, until)
    except TimeoutError as error:
        raise Unavailable(f"git {_verb(arguments)} had no end within {seconds:.0f} s") from error
    finally:
        if not select.select([handle], [], [], 0)[0]:
            os.killpg(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _close(out, words, handle)
    return Outcome(code, said[0], said[1].decode(errors="replace"))


def _spawn(
    command: list[str], environment: dict[str, str], streams: tuple[int, int, int], inherited: tuple[int, ...]
) -> int:
    """Start a process in a session of its own: a group to kill, and no terminal that ssh could ask at."""
    layout = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams)]
    layout += [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in inherited]  # onto itself: it stays open
    restored = (signal.SIGPIPE, signal.SIGXFSZ)  # which Python ignores
    return os.posix_spawnp(command[0], command, environment, file_actions=layout, setsid=True, setsigdef=restored)


def _exchange(feed: int, given: bytes, outputs: tuple[int, int], until: float) -> list[bytes]:
    """Write what is given and read the outputs to their ends. Raises TimeoutError."""
    os.set_blocking(feed, False)
    poll = select.poll()
    poll.register(feed, select.POLLOUT)
    read = {fd: bytearray() for fd in outputs}
    for fd in outputs:
        poll.register(fd, select.POLLIN)
    rest = memoryview(given)
    waiting = {feed, *outputs}
    try:
        while waiting:
            watchdog.feed()
            ready = poll.poll(watchdog.wait(until - time.monotonic()))
            if not ready and time.monotonic() >= until:
                raise TimeoutError
            for fd, _ in ready:
                if fd == feed:
                    rest = _written(feed, rest)
                    ended = not rest
                else:
                    data = os.read(fd, _CHUNK)
                    read[fd] += data
                    ended = not data
                if ended:
                    poll.unregister(fd)
                    waiting.remove(fd)
                    if fd == feed:
                        _close(feed)
    finally:
        if feed in waiting:
            _close(feed)
    return [bytes(read[fd]) for fd in outputs]


def _written(fd: int, data: memoryview) -> memoryview:
    """What is left of the data when the pipe has taken what it can; nothing when nobody reads."""
    try:
        return data[os.write(fd, data[:_CHUNK]) :] if data else data
    except BrokenPipeError:
        return data[:0]


def _wait(handle: int, until: float) -> None:
    while not select.select([handle], [], [], watchdog.wait(until - time.monotonic()) / 1000)[0]:
        watchdog.feed()
        if time.monotonic() >= until:
            raise TimeoutError


def _close(*descriptors: int) -> None:
    for fd in descriptors:
        os.close(fd)


def _verb(arguments: list[str]) -> str:
    """The command of git, behind the options that come before it."""
    return next((each for each in arguments if not each.startswith("-") and "=" not in each), "")
