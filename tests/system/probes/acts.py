"""What probes are made of; each raises OSError when it does not get through, and leaves nothing behind."""

import contextlib
import ctypes
import errno
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Facts = dict[str, Any]
Act = Callable[[Facts], object]

NEW_MOUNTS, NEW_USER = 0x20000, 0x10000000
_OWN = {"homes", "workspaces", "kept", "demo"}
"""Names by which a run sees the way to what is its own."""

libc = ctypes.CDLL(None, use_errno=True)


class Refused(OSError):
    """What was tried did not work."""


def call(name: str, *arguments: Any) -> int:
    answer = int(getattr(libc, name)(*arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
    return answer


def command(*words: str, env: dict[str, str] | None = None, cwd: str | None = None) -> str:
    """What a command prints; it has failed when it says so or prints nothing where there should be something."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
        env={**os.environ, **(env or {})}, cwd=cwd,
    )  # fmt: skip
    if done.returncode != 0:
        raise Refused(f"exit {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def in_child(act: Callable[[], object]) -> None:
    """Do something that changes a process for good."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = b"died"
        try:
            act()
            said = b""
        except OSError as error:
            said = str(error).encode()
        finally:
            os.write(write, said)
            os._exit(bool(said))
    os.close(write)
    with open(read, "rb") as file:
        said = file.read()
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise Refused(said.decode())


def read(path: str) -> None:
    """A file must have something in it, a folder more than what is the run's own."""
    if stat.S_ISDIR(os.stat(path).st_mode):
        found: bool | bytes = bool({*os.listdir(path)} - _OWN)
    else:
        found = Path(path).read_bytes()
    if not found:
        raise Refused(f"{path} is empty")


def create(folder: str) -> None:
    path = os.path.join(folder, f"probe-{os.getpid()}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)


def append(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def truncate(path: str) -> None:
    os.truncate(path, os.stat(path).st_size)


def touch(path: str) -> None:
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_mode(path: str) -> None:
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))


def move_away(path: str) -> None:
    os.rename(path, f"{path}.moved")
    os.rename(f"{path}.moved", path)


def link_here(path: str) -> None:
    """To where a run may write; one of both is on the same file system."""
    refusal = None
    for folder in (os.environ["HOME"], os.getcwd()):
        linked = os.path.join(folder, f"linked-{os.getpid()}")
        try:
            os.link(path, linked)
        except OSError as error:
            refusal = refusal if refusal and error.errno == errno.EXDEV else error
        else:
            os.unlink(linked)
            return
    raise refusal or Refused(path)


def connect(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(address)


@contextlib.contextmanager
def own_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("HOME")) as folder:
        path = os.path.join(folder, "file")
        Path(path).write_text("x")
        yield path
