"""git as a confined child: bounded memory, time and output, because what it reads was made by an agent.

It only ever works on repositories of the worker, never inside a folder that an agent can write.
"""

import asyncio
import contextlib
import os
import signal
from typing import NamedTuple

from herald.errors import Failed

SECONDS = 120.0
_MEMORY_KIB = 1 << 20
HISTORY_SECONDS = 900.0
"""For the remote's history as a whole: a million commits are as much for git as for a clone of them."""
_HISTORY_MEMORY_KIB = 4 << 20
_OUTPUT = 16 << 20
_WORDS = 64 << 10
_CHUNK = 1 << 16

# By the shell, because a limit set between fork and exec would need Python code in a child of a threaded process.
# What git makes is for the group: herald-git@ reads the objects, and the folder above lets that group in alone. Not by
# core.sharedRepository, which sets the group bit of folders, and that is forbidden to the unit.
_LIMITED = 'umask 0027 && ulimit -v "$0" && exec git "$@"'

_ENVIRONMENT = {
    "LC_ALL": "C",  # the words of git are read
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # the worker talks to no remote
    "MALLOC_ARENA_MAX": "1",  # arenas of threads would be counted as memory
}


class Outcome(NamedTuple):
    """How git ended. `words` is the beginning of what it said on stderr."""

    code: int
    out: bytes
    words: str


class TooLong(Failed):
    """git had no end within its time."""


class TooMuch(Failed):
    """git printed more than anybody could read."""


async def run(
    *arguments: str,
    variables: dict[str, str] | None = None,
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.PIPE,
    history: bool = False,
) -> Outcome:
    """Run git to its end; `history`: on what came from the remote, which may be large.

    Raises TooLong and TooMuch; then, or when cancelled, nothing of it is left running.
    """
    seconds, memory = (HISTORY_SECONDS, _HISTORY_MEMORY_KIB) if history else (SECONDS, _MEMORY_KIB)
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", _LIMITED, str(memory), *arguments),
        env={"PATH": os.environ.get("PATH", os.defpath)} | _ENVIRONMENT | (variables or {}),
        stdin=stdin,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            out, words, code = await asyncio.gather(
                _all_bytes(process.stdout), _first_bytes(process.stderr), process.wait()
            )
    except TimeoutError as error:
        raise TooLong(f"git took longer than {seconds:.0f} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return Outcome(code, out, words.decode(errors="replace"))


async def _all_bytes(stream: asyncio.StreamReader | None) -> bytes:
    data = bytearray()
    if stream is None:
        return b""  # it goes to a file
    while part := await stream.read(_CHUNK):
        data += part
        if len(data) > _OUTPUT:
            raise TooMuch("the change is too large to be shown; split it into smaller ones")
    return bytes(data)


async def _first_bytes(stream: asyncio.StreamReader | None) -> bytes:
    """The first bytes; the rest is read too, so that git does not wait for a reader."""
    assert stream is not None
    data = bytearray()
    while part := await stream.read(_CHUNK):
        data += part[: _WORDS - len(data)]
    return bytes(data)
