"""The keeper of one started service: a fork between the inetd and the service's main process.

It does what a control group does under systemd with KillMode=mixed: signals go to the main process, and when that
has ended everything it left behind is killed, however it has detached itself. The keeper ends only when nothing is
left, so its end means what the end of a unit means. It has a session of its own, so that killing the process group
of the command or of the inetd leaves it alive to clean up.
"""

import contextlib
import fcntl
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from herald_try import processes

KILL = signal.SIGUSR1
"""Tells a keeper to kill everything now; it comes by itself when the inetd dies."""

_FORWARDED = (signal.SIGTERM, signal.SIGABRT)
_AWAITED = (signal.SIGCHLD, KILL, *_FORWARDED)
_NOT_EXECUTED = 203  # systemd's EXIT_EXEC


class Main(NamedTuple):
    """How the main process is started. `listening` become the descriptors 3 and up."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    stdin: int
    output: int
    listening: Sequence[int]
    listening_names: Sequence[str]
    umask: int
    cores: bool


def start(main: Main, kept: Sequence[int]) -> tuple[int, int]:
    """Fork a keeper that starts `main`; returns the numbers of both. The keeper holds `kept` open as long as it lives.

    Raises OSError when it cannot be started.
    """
    inetd = os.getpid()
    reader, writer = os.pipe()
    try:
        keeper = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if keeper == 0:
        try:
            _keep(main, kept, inetd, writer)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as report:
        number = report.read()
    return keeper, int(number or 0)


def _keep(main: Main, kept: Sequence[int], inetd: int, report: int) -> NoReturn:
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, _AWAITED)
    os.setsid()
    processes.adopt_orphans()
    processes.die_with(inetd, KILL)
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become(main, keeper)
        finally:
            os._exit(_NOT_EXECUTED)
    os.write(report, b"%d" % pid)
    _hold_only(kept)
    code = _wait_for(pid)
    processes.end_children()
    os._exit(code if code >= 0 else 128 - code)


def _wait_for(main: int) -> int:
    """The exit code of the main process (negative: the signal); whatever else ends meanwhile is reaped."""
    while True:
        received = signal.sigwait(_AWAITED)
        if received == KILL:
            os.kill(main, signal.SIGKILL)
        elif received in _FORWARDED:
            os.kill(main, received)
        for pid, code in processes.reap():
            if pid == main:
                return code


def _hold_only(kept: Sequence[int]) -> None:
    """Close all but `kept`: a copy of somebody's lock or connection here would outlive its owner."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd not in kept:
            with contextlib.suppress(OSError):  # the one that listed the folder is gone already
                os.close(fd)


def _become(main: Main, keeper: int) -> NoReturn:
    processes.die_with(keeper, signal.SIGKILL)
    os.setsid()
    sources = [main.stdin, main.output, main.output, *main.listening]
    for target, source in enumerate([_moved_up(fd) for fd in sources]):
        os.dup2(source, target)
    os.chdir("/")
    os.umask(main.umask)
    if not main.cores:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    environment = dict(main.environment)
    if main.listening:
        # The number must be that of the process that executes the service: nobody else may take the sockets.
        environment["LISTEN_PID"] = str(os.getpid())
        environment["LISTEN_FDS"] = str(len(main.listening))
        environment["LISTEN_FDNAMES"] = ":".join(main.listening_names)
    if "WATCHDOG_USEC" in environment:
        environment["WATCHDOG_PID"] = str(os.getpid())
    for each in (*_AWAITED, signal.SIGINT, signal.SIGHUP, signal.SIGXFSZ):
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execve(main.arguments[0], list(main.arguments), environment)
    except OSError as error:
        os.write(2, f"cannot execute {main.arguments[0]}: {error.strerror}\n".encode())
        os._exit(_NOT_EXECUTED)


def _moved_up(fd: int) -> int:
    """A copy out of reach of the low numbers, so that laying out one descriptor overwrites no other."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, os.sysconf("SC_OPEN_MAX") // 2)
