"""The skeleton of every long-running service.

A service declares what it serves, the tasks it owns and how its duty is checked; everything else is here: command
line, sockets from the service manager, readiness, watchdog, signals, the journal of libraries, the exit.
"""

import asyncio
import contextlib
import fcntl
import importlib
import inspect
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from herald import __version__, journal, names, notify
from herald.bus.server import Server
from herald.database import Database
from herald.errors import HeraldError, Unavailable
from herald.interfaces.interface import Interface

_FIRST_PASSED = 3
_STATUS_EVERY = 10.0
_STATUS_REST = 0.5
"""Seconds between a change and the look at the duty that it causes, in which further changes may come."""
Duty = Callable[[], Awaitable[str]]


class Stop(BaseException):
    """Ends the service: raised into its task group once stopping begins."""


class Service:
    """What a running service has in its hands."""

    def __init__(self, name: str, *, once: bool) -> None:
        self.name = name
        self.once = once
        self.stopping = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._servers: list[Server] = []
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._duty: Duty | None = None
        self._changed = asyncio.Event()
        self._reload: Callable[[], Awaitable[None]] | None = None
        self._watchdog = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6

    @property
    def state(self) -> str:
        """The folder in which this service alone writes; made when it is missing. Raises Unavailable."""
        folder = names.state_folder(self.name)
        try:
            os.makedirs(folder, mode=0o750, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"{folder} cannot be made: {error.strerror}; the state folder must be writable"
            ) from error
        return folder

    async def database(self, file: str, migrations: Sequence[str]) -> Database:
        """Open a database of this service; closed when the service ends. Raises Unavailable."""
        database = Database(os.path.join(self.state, file), migrations)
        await database.open()
        self._closers.append(database.close)
        return database

    def serve(self, interface: type[Interface], implementation: Interface) -> None:
        """Serve an interface on the socket that the service manager handed over, and tell it that this is ready."""
        server = Server(interface, implementation, _report)
        server.listen(_passed_socket(self.name))
        self._servers.append(server)
        notify.ready()

    def task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Own a task: when it dies the service dies with it and is started again."""
        assert self._tasks is not None
        return self._tasks.create_task(work, name=name)

    def duty(self, check: Duty) -> None:
        """How to find out whether the duty can be done: `check` returns the STATUS line, or does not return.

        The watchdog is fed only when it returns in time.
        """
        self._duty = check

    def changed(self) -> None:
        """What the STATUS line says may have changed: it is written anew soon."""
        self._changed.set()

    def on_reload(self, callback: Callable[[], Awaitable[None]]) -> None:
        """What SIGHUP does."""
        self._reload = callback

    async def run(self, main: "Main") -> None:
        """Run until SIGTERM, or until a task dies."""
        self._lock_state()
        self._heed_signals(asyncio.get_running_loop())
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                await main(self)
                tasks.create_task(self._feed_watchdog(), name="watchdog")
                await self.stopping.wait()
                notify.stopping()
                raise Stop
        except BaseExceptionGroup as group:
            _rest_after_stop(group)
        except Stop:
            pass
        finally:
            for server in self._servers:
                server.close()
            for close in reversed(self._closers):
                await close()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)

    def _heed_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """Not by the loop's own handlers, which end with it: a second SIGTERM would then kill, just before the end."""

        def heed(number: int, act: Callable[[], None]) -> None:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))

        heed(signal.SIGTERM, self.stopping.set)
        heed(signal.SIGINT, self.stopping.set)
        heed(signal.SIGHUP, self._hang_up)

    def _lock_state(self) -> None:
        """One process of a service for each state folder. Raises Unavailable; the lock ends with the process."""
        path = os.path.join(self.state, "lock")
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"another herald-{self.name} runs on {self.state}; stop it first") from error
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}; the state folder must be writable") from error

    def _hang_up(self) -> None:
        if self._reload is not None and self._tasks is not None and not self.stopping.is_set():
            self._tasks.create_task(self._reload_once(self._reload), name="reload")

    async def _reload_once(self, reload: Callable[[], Awaitable[None]]) -> None:
        notify.reloading()
        try:
            await reload()
        except HeraldError as error:
            journal.error(f"reload: {error.message}")
        finally:
            notify.ready()

    async def _feed_watchdog(self) -> None:
        interval = min(self._watchdog / 3, _STATUS_EVERY) if self._watchdog else _STATUS_EVERY
        while not self.stopping.is_set():
            if self._duty is not None:
                try:
                    async with asyncio.timeout(interval * 2):
                        line = await self._duty()
                except (HeraldError, TimeoutError) as error:
                    notify.status(f"cannot do its duty: {error}")
                    journal.error(f"cannot do its duty: {error or 'no answer in time'}")
                else:
                    notify.status(line)
                    notify.watchdog()
            await self._rest(interval)

    async def _rest(self, seconds: float) -> None:
        """Until it is time for the next look at the duty: after this time, or soon after something has changed."""
        waiting = [asyncio.create_task(event.wait(), name="rest") for event in (self.stopping, self._changed)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        if self._changed.is_set():
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STATUS_REST):
                    await self.stopping.wait()


Main = Callable[[Service], Awaitable[None]]


def run(name: str, main: str | Main, doc: str, *, can_once: bool = False) -> None:
    """The start file's one call: parse, run, exit. `doc` is the start file's man page, shown by --help.

    Exit status 0 after SIGTERM, 1 after a failure that a restart may cure, 2 for wrong use.
    """
    once = _wants_once(name, doc, can_once=can_once) if sys.argv[1:] else False
    logging.basicConfig(level=logging.WARNING, handlers=[_ToJournal()])
    if isinstance(main, str):
        module, _, function = main.partition(":")
        main = getattr(importlib.import_module(module), function)
    assert not isinstance(main, str)
    try:
        asyncio.run(Service(name, once=once).run(main))
    except HeraldError as error:
        journal.error(f"{name} cannot run: {error.message}")
        notify.status(error.message)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the boundary of the process: told where the operator looks, masked
        _report(error)
        sys.exit(1)


def _wants_once(name: str, doc: str, *, can_once: bool) -> bool:
    """Read the command line. A unit has none, hence the import here: it would be 0.6 MB for nothing."""
    import argparse

    parser = argparse.ArgumentParser(
        prog=f"herald-{name}", description=inspect.cleandoc(doc), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    if can_once:
        parser.add_argument("--once", action="store_true", help="do what is due, then exit")
    arguments = parser.parse_args()
    return can_once and bool(arguments.once)


def _passed_socket(name: str) -> socket.socket:
    """The listening socket from the service manager (LISTEN_FDS). Raises Unavailable when there is none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or int(os.environ.get("LISTEN_FDS", "0")) < 1:
        raise Unavailable(
            f"no socket was handed over; start herald-{name} through its unit, or all of Herald by `./install.sh try`"
        )
    listening = socket.socket(fileno=_FIRST_PASSED)
    os.set_inheritable(_FIRST_PASSED, False)
    return listening


def _report(error: BaseException) -> None:
    journal.error("an internal error\n" + "".join(traceback.format_exception(error)))


def _rest_after_stop(group: BaseExceptionGroup[BaseException]) -> None:
    """Raise what is left when the ordinary stop is taken out: the first HeraldError, else the whole group."""
    _, rest = group.split(Stop)
    if rest is None:
        return
    known = rest.subgroup(HeraldError)
    while isinstance(known, BaseExceptionGroup):
        first = known.exceptions[0]
        if isinstance(first, HeraldError):
            raise first
        known = first
    raise rest


class _ToJournal(logging.Handler):
    """Libraries log through `logging`; their lines go where Herald's own go."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info))
        write = journal.error if record.levelno >= logging.ERROR else journal.warning
        write(text, library=record.name)
