"""The service manager's wish that this unit ends, as something that can be polled."""

import os
import select
import signal


class StopSignal:
    """SIGTERM; SIGINT, which a terminal sends, means the same."""

    def __init__(self) -> None:
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # what counts is the byte in the pipe

    @property
    def received(self) -> bool:
        """Whether a signal came."""
        return bool(select.select([self._read], [], [], 0)[0])

    def fileno(self) -> int:
        """Readable once a signal came; never read empty, so that it stays so."""
        return self._read
