"""The try command as a person uses it: lines in, posts out, an exit code, and nothing left behind."""

import contextlib
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pytest

from tests.support.processes import arguments, marked

_PATIENCE = 60.0


def program() -> str:
    """The installed command; skips the test where it is not installed."""
    path = Path(sys.executable).with_name("herald-try")
    if not path.exists():
        pytest.skip("herald-try is not installed beside this Python: `./install.sh test` installs it")
    return str(path)


def processes_of(state: Path) -> dict[int, list[str]]:
    """Every living process that has to do with a state folder, and its arguments."""
    return {pid: arguments(pid) for pid in marked(str(state)) if pid != os.getpid()}


class Try:
    """One start of the command over a state folder."""

    def __init__(self, state: Path, *options: str | Path, **environment: str) -> None:
        self.state = state
        plain = {"PATH": os.environ["PATH"], "HOME": str(state.parent)}
        self.process = subprocess.Popen(
            [program(), "--state", str(state), *map(str, options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**plain, **environment},
            cwd="/",
            text=True,
            start_new_session=True,
        )
        self.posts: list[str] = []
        self.stderr: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.posts), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        with contextlib.suppress(ValueError):
            for line in stream:
                lines.append(line.rstrip("\n"))
                self._lines.put(line)

    def say(self, text: str) -> None:
        """One line of stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def wait_for(self, text: str) -> str:
        """The first line, on stdout or stderr, that holds a text."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            for line in [*self.posts, *self.stderr]:
                if text in line:
                    return line
            assert self.process.poll() is None or any(reader.is_alive() for reader in self._readers), self.told()
            with contextlib.suppress(queue.Empty):
                self._lines.get(timeout=0.1)
        raise AssertionError(f"no line with {text!r}\n{self.told()}")

    def told(self) -> str:
        """All output, for a failure's report."""
        return "\n".join(["--- stdout", *self.posts, "--- stderr", *self.stderr])

    def finish(self) -> int:
        """End the input; the exit code when everything is gone."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.ended()

    def ended(self) -> int:
        """The exit code, when every process is gone and all output is read."""
        try:
            code = self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.told()}") from None
        for reader in self._readers:
            reader.join(_PATIENCE)
        until = time.monotonic() + _PATIENCE
        while left := processes_of(self.state):
            assert time.monotonic() < until, f"left behind: {left}\n{self.told()}"
            time.sleep(0.02)
        return code

    def heraldctl(self, *arguments: str) -> str:
        """What heraldctl says, by the command line that the try command printed."""
        command = self.wait_for("heraldctl: ").removeprefix("heraldctl: ")
        done = subprocess.run(
            ["sh", "-c", f"{command} {shlex.join(arguments)}"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def process_named(self, word: str) -> int:
        """The process whose arguments hold a word."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            for pid, words in processes_of(self.state).items():
                if any(word in each for each in words):
                    return pid
            time.sleep(0.02)
        raise AssertionError(f"no process with {word} in its arguments")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        refused = self.process.poll() == 3  # then it started nothing, and the state folder may be somebody else's
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        until = time.monotonic() + (0 if refused else 5)
        while processes_of(self.state) and time.monotonic() < until:
            time.sleep(0.02)
        for pid in () if refused else processes_of(self.state):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for reader in self._readers:
            reader.join(5)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def run(state: Path, *lines: str, options: tuple[str | Path, ...] = (), **environment: str) -> tuple[int, Try]:
    """One whole life of the command over these lines."""
    with Try(state, *options, **environment) as attempt:
        for line in lines:
            attempt.say(line)
        return attempt.finish(), attempt
