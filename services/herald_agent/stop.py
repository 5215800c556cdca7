"""The service manager's wish that this unit ends, as something that can be polled."""

import os
import signal


class Stopped(Exception):
    """The service manager wants this unit to end."""


class StopSignal:
    """SIGTERM; SIGINT, which a terminal sends, means the same."""

    def __init__(self) -> None:
        self.received = False
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: object) -> None:
        self.received = True

    def fileno(self) -> int:
        """Readable once a signal came; never read empty, so that it stays so."""
        return self._read
