"""What services write to stderr, line by line under their names, on the stderr of the command.

Nothing here waits: a reader of stderr that stands still must not stop the inetd, so lines are kept until stderr takes
them, and beyond a limit they are counted instead.
"""

import contextlib
import os
import re
import select
import selectors
import time

_KEPT = 4 << 20
"""Bytes that are kept for a slow reader."""

_AT_ONCE = select.PIPE_BUF
"""Bytes that a pipe reported as writable takes without waiting."""

_LINE = 64 << 10
_PRIORITY = re.compile(rb"^<[0-7]>")


class Output:
    """The stderr of the command."""

    def __init__(self, selector: selectors.BaseSelector, fd: int = 2) -> None:
        self._selector = selector
        self._fd = fd
        self._waiting = bytearray()
        self._dropped = 0
        self._held = False
        self._watched = False
        self._broken = False

    def line(self, name: str, text: str | bytes) -> None:
        """Write one line under a name."""
        data = text.encode(errors="replace") if isinstance(text, str) else text
        line = name.encode() + b": " + _PRIORITY.sub(b"", data) + b"\n"
        if self._broken:
            return
        if len(self._waiting) + len(line) > _KEPT:
            self._dropped += 1
            return
        self._waiting += line
        self._write()

    def hold(self, until: int) -> None:
        """Keep all lines back until the other end of this pipe is closed."""
        self._held = True

        def release() -> None:
            self._selector.unregister(until)
            os.close(until)
            self._held = False
            self._write()

        self._selector.register(until, selectors.EVENT_READ, release)

    def _write(self) -> None:
        if self._held:
            return
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while self._waiting and not self._broken:
            events = poll.poll(0)
            if not events:
                break
            try:
                del self._waiting[: os.write(self._fd, self._waiting[:_AT_ONCE])]
            except OSError:  # nobody reads any more: the work goes on
                self._broken = True
                self._waiting.clear()
        if self._dropped and not self._waiting:
            self._waiting += b"inetd: %d lines were left out, because stderr was not read\n" % self._dropped
            self._dropped = 0
        self._watch(bool(self._waiting))

    def _watch(self, wanted: bool) -> None:
        if wanted and not self._watched:
            self._selector.register(self._fd, selectors.EVENT_WRITE, self._write)
        elif self._watched and not wanted:
            self._selector.unregister(self._fd)
        self._watched = wanted

    def flush(self, seconds: float) -> None:
        """Give a slow reader a last chance."""
        self._held = False
        until = time.monotonic() + seconds
        while self._waiting and time.monotonic() < until:
            self._write()
            time.sleep(0.01)


class Lines:
    """A pipe for the output of one service; what comes out of it is written line by line."""

    def __init__(self, selector: selectors.BaseSelector, output: Output, name: str) -> None:
        self._selector = selector
        self._output = output
        self._name = name
        self._rest = b""
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        selector.register(self._reader, selectors.EVENT_READ, self._read)

    def started(self) -> None:
        """The service has the writing end; this process needs it no more."""
        os.close(self.writer)
        self.writer = -1

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._reader, 1 << 16)
            if not data:
                self._selector.unregister(self._reader)
            self._take(data)

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._output.line(self._name, line)

    def close(self) -> None:
        """Write what is left; for when the last process of the service is gone."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, 1 << 16):
                self._take(data)
        if self._rest:
            self._output.line(self._name, self._rest)
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._reader)
        os.close(self._reader)
        if self.writer >= 0:
            os.close(self.writer)
