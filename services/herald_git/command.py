"""git as a process: clean environment, a deadline, and an end that takes its children along."""

import os
import signal
import subprocess
from typing import NamedTuple

from herald import names
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
    stdout: int = subprocess.PIPE,
    inherited: tuple[int, ...] = (),
) -> Outcome:
    """Run git to its end. Raises Unavailable when it takes longer than `seconds`; then nothing of it is left."""
    try:
        process = subprocess.Popen(
            ["git", *arguments],
            env=environment,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            pass_fds=inherited,
            start_new_session=True,  # a group to kill, and no terminal that ssh could ask at
        )
    except FileNotFoundError as error:
        raise Failed("git is not installed; `apt install git` provides it") from error
    try:
        out, words = process.communicate(stdin or None, timeout=max(0.1, seconds))
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"git {_verb(arguments)} had no end within {seconds:.0f} s") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return Outcome(process.returncode, out or b"", words.decode(errors="replace"))


def _verb(arguments: list[str]) -> str:
    return next((each for each in arguments if not each.startswith("-")), "")
