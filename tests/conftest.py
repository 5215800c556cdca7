"""What holds for every test: it leaves nothing behind."""

import asyncio
import contextlib
import ctypes
import os
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 5.0
"""Seconds for what is ending already."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that nothing is waited for at the end: the machines, then whole courses."""
    items.sort(key=lambda item: ("system" not in item.path.parts, "test_repositories" not in item.path.name))


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for all temporary files of this session, so that leftovers are told from those of others.

    Its path is short, because the path of a socket has at most 107 bytes.
    """
    tmp_path_factory.getbasetemp()  # stays where pytest keeps it
    before = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="ht", dir="/tmp", ignore_cleanup_errors=True) as folder, _tempdir(folder):
        Path(folder).chmod(0o711)  # tests with several users meet in it
        yield Path(folder)
    tempfile.tempdir = before


@contextlib.contextmanager
def _tempdir(folder: str) -> Iterator[None]:
    before = os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    yield
    if before is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before


@pytest.fixture(scope="session", autouse=True)
def adopt_orphans() -> None:
    """What a killed process leaves behind becomes a child of this one, where it is seen."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, temporary_files: Path) -> Iterator[None]:
    """Fails a test that leaves a process, a thread, a task or a socket file."""
    processes = set(_processes())
    threads = set(threading.enumerate())
    folders = [temporary_files]
    if "tmp_path" in request.fixturenames:
        folders.append(request.getfixturevalue("tmp_path"))
    yield
    until = time.monotonic() + _PATIENCE
    while left := _left(processes, threads, folders):
        if time.monotonic() > until:
            _kill(processes)
            pytest.fail("left behind: " + "; ".join(left))
        time.sleep(0.01)


def _left(processes: set[psutil.Process], threads: set[threading.Thread], folders: list[Path]) -> list[str]:
    left = [f"process {_command(each)}" for each in _processes() if each not in processes]
    left += [f"thread {each.name}" for each in threading.enumerate() if each not in threads and _must_end(each)]
    left += [f"task {task!r}" for task in _tasks() if not task.done()]
    left += [f"socket {path}" for folder in folders for path in _sockets(folder)]
    return left


def _processes() -> list[psutil.Process]:
    """All living descendants; dead ones that nobody waits for are buried."""
    living = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                living += [] if _is_of_a_machine(process) else [process]
            elif process.ppid() == os.getpid():
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
    return living


def _is_of_a_machine(process: psutil.Process) -> bool:
    """Whether it is what a booted machine runs, or runs it: that is ended as a whole, by the fixture that booted it."""
    with contextlib.suppress(OSError, psutil.AccessDenied):
        other = os.readlink(f"/proc/{process.pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
        return other or process.name() == "unshare"  # systemd-nspawn is below it
    return False


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())[:200]}"
    return str(process.pid)


def _kill(known: set[psutil.Process]) -> None:
    for process in _processes():
        if process not in known:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _must_end(thread: threading.Thread) -> bool:
    """Daemon threads may wait on for what does not come; those of a database may not."""
    return not thread.daemon or thread.name.startswith("sqlite ")


def _tasks() -> list["asyncio.Task[object]"]:
    """Every task of any loop. The set has another name in each of the versions that Herald runs on."""
    for name in ("_scheduled_tasks", "_all_tasks"):
        found = getattr(asyncio.tasks, name, None)
        if found is not None:
            return list(found)
    return []


def _sockets(folder: Path) -> list[str]:
    """Socket files; what a killed Claude CLI left in its run's temporary folder goes with the project's next run."""
    found = []
    for parent, _, names in os.walk(folder):
        if os.path.basename(parent) == "cc-socks":
            continue
        for name in names:
            path = os.path.join(parent, name)
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    found.append(path)
    return found
