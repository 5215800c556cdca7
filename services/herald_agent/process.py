"""Child processes: started so that they end with this one, waited for with a deadline, and none left behind.

`subprocess` would cost 10 ms at every start of a run and knows no death signal.
"""

import ctypes
import fcntl
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from herald import journal, watchdog
from herald.errors import Failed
from herald_agent.stop import Stopped, StopSignal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CHUNK = 1 << 18
_LONGEST_REMOVAL = 3600.0
_UNCONFINED = b"c"
"""Stands before the error number that a child reports, when it is that of its confinement."""
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class TimedOut(Exception):
    """A command did not end in time and was killed."""


class Output(NamedTuple):
    """What a command left: its exit code (negative: the signal), what it wrote."""

    code: int
    out: bytes
    err: bytes


def adopt_orphans() -> None:
    """Descendants whose parent ends become children of this process, so that `end_descendants` finds all of them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stay_free() -> None:
    """In the child: no confinement."""


def spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    streams: tuple[int, int, int],
    confine: Callable[[], None] = stay_free,
) -> int:
    """Start a command in a session of its own, killed when this process ends; returns its process id.

    Raises OSError when it cannot be started, Failed when it cannot be confined.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(argv, environment, folder, streams, parent, confine, write)
    os.close(write)
    problem = os.read(read, 16)
    os.close(read)
    if not problem:
        return pid
    os.waitpid(pid, 0)
    number = int(problem.lstrip(_UNCONFINED))
    if problem.startswith(_UNCONFINED):
        raise Failed(f"{argv[0]} was not started, it cannot be confined: {os.strerror(number)}; send the task again")
    raise OSError(number, os.strerror(number), argv[0])


def _become(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    streams: tuple[int, int, int],
    parent: int,
    confine: Callable[[], None],
    report: int,
) -> None:
    """In the child: turn into the command, or report the error number and end."""
    step = _UNCONFINED
    try:
        os.setsid()
        confine()
        step = b""
        die_with_parent(parent)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a command would inherit that
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in streams]
        for number, copy in enumerate(copies):
            os.dup2(copy, number)
        os.chdir(folder)
        os.execvpe(argv[0], list(argv), dict(environment))
    except OSError as error:
        os.write(report, step + str(error.errno).encode())
    finally:
        os._exit(127)


def die_with_parent(parent: int) -> None:
    """In a child: be killed when the parent ends. After the confinement: a user namespace of its own undoes it."""
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the death signal was set
        os._exit(1)


class Feed:
    """Writes to a pipe what it takes, as far as it takes it."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.closed = False
        self._pending = memoryview(b"")
        self._ends = False

    def add(self, data: bytes) -> None:
        """Write this after everything before it."""
        self._pending = memoryview(bytes(self._pending) + data)
        self.write()

    def end(self) -> None:
        """Close the pipe when everything is written."""
        self._ends = True
        self.write()

    @property
    def waiting(self) -> bool:
        """Whether the pipe has to take more."""
        return bool(self._pending) and not self.closed

    def write(self) -> None:
        """Write what the pipe takes now."""
        try:
            while self.waiting:
                self._pending = self._pending[os.write(self.fd, self._pending[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._ends = True
        if self._ends and not self.closed:
            self.closed = True
            os.close(self.fd)


def read_now(fd: int) -> bytes | None:
    """What can be read without waiting: None nothing yet, empty at the end."""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return None


def pipe_from_child() -> tuple[int, int]:
    """A pipe whose reading end does not wait."""
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read, False)
    return read, write


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    *,
    given: bytes = b"",
    stdin: int | None = None,
    stdout: int | None = None,
    deadline: float = 60.0,
    stop: StopSignal | None = None,
    confine: Callable[[], None] = stay_free,
) -> Output:
    """Run a command to its end. `stdin` and `stdout` are descriptors used in place of `given` and `out`.

    Raises OSError, Failed when it cannot be confined, TimedOut after `deadline` seconds, and Stopped when `stop` is
    given and a signal came.
    """
    read_out, write_out = pipe_from_child()
    read_err, write_err = pipe_from_child()
    read_in, write_in = os.pipe2(os.O_CLOEXEC)
    try:
        streams = (read_in if stdin is None else stdin, write_out if stdout is None else stdout, write_err)
        pid = spawn(argv, environment, folder, streams, confine)
    except (OSError, Failed):
        for fd in (read_out, read_err, write_in):
            os.close(fd)
        raise
    finally:
        for fd in (read_in, write_out, write_err):
            os.close(fd)
    feed = Feed(write_in)
    feed.add(given)
    feed.end()
    handle = os.pidfd_open(pid)
    collected = {read_out: bytearray(), read_err: bytearray()}
    try:
        _exchange(handle, feed, collected, time.monotonic() + deadline, stop)
    except (TimedOut, Stopped):
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for fd in (read_out, read_err, handle):
            os.close(fd)
        if not feed.closed:
            os.close(feed.fd)
    return Output(code, bytes(collected[read_out]), bytes(collected[read_err]))


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it, as far as that can be done; may take long where there is much."""
    if not os.path.lexists(path):
        return
    environment = {"PATH": os.environ.get("PATH") or os.defpath}
    remove = ["rm", "-rf", "--one-file-system", "--", path]
    unlock = ["find", path, "-xdev", "-type", "d", "!", "-perm", "-u+rwx", "-exec", "chmod", "u+rwx", "{}", ";"]
    try:
        if run(remove, environment, "/", deadline=_LONGEST_REMOVAL).code:  # folders that their owner may not change
            run(unlock, environment, "/", deadline=_LONGEST_REMOVAL)
            run(remove, environment, "/", deadline=_LONGEST_REMOVAL)
    except (OSError, TimedOut) as error:
        journal.warning(f"{path} could not be removed: {error!r}")


def _exchange(handle: int, feed: Feed, collected: dict[int, bytearray], until: float, stop: StopSignal | None) -> None:
    """Move data until the process has ended; what its own children still hold open is not waited for."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    for fd in collected:
        poll.register(fd, select.POLLIN)
    if feed.waiting:
        poll.register(feed.fd, select.POLLOUT)
    if stop is not None:
        poll.register(stop.fileno(), select.POLLIN)
    ended = False
    while not ended:
        watchdog.feed()
        ready = {fd for fd, _ in poll.poll(watchdog.wait(until - time.monotonic()))}
        if stop is not None and stop.received:
            raise Stopped
        if not ready and time.monotonic() >= until:
            raise TimedOut
        ended = handle in ready
        if feed.fd in ready and not feed.closed:
            feed.write()
            if not feed.waiting:
                poll.unregister(feed.fd)
        for fd, into in collected.items():
            if (ended or fd in ready) and not _drain(fd, into, to_the_end=ended) and not ended:
                poll.unregister(fd)


def _drain(fd: int, into: bytearray, *, to_the_end: bool) -> bool:
    """Read once, or as long as something is there; False at the end of the stream."""
    while data := read_now(fd):
        into += data
        if not to_the_end:
            return True
    return data is None


def end_descendants(patience: float = 5.0) -> bool:
    """Kill and reap whatever this process started and did not wait for; returns whether all of them are gone."""
    until = time.monotonic() + patience
    while True:
        watchdog.feed()
        try:
            reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if reaped:
            continue
        for pid in _descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended meanwhile
        if time.monotonic() > until:
            return False
        time.sleep(0.002)  # for the kernel to end them; nothing tells when an orphan becomes a zombie


def _descendants() -> list[int]:
    """Process ids of all descendants, by the parents that /proc names."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                after_name = file.read().rpartition(b") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(after_name[1]), []).append(int(name))
    found = list(children.get(os.getpid(), []))
    for pid in found:
        found.extend(children.get(pid, []))
    return found
