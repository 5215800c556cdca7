"""What the compose command says: its end, in the caller's file while it is being said."""

import os

_WINDOW = 256 << 10
"""Bytes that are kept; more than anybody reads, so that no secret is cut in half where it is shown."""


class Said:
    """The file holds the last of it, twice the window at most."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._kept = bytearray()
        self._written = 0

    def add(self, data: bytes) -> None:
        """Keep what was said. A full disk does not end what is being done."""
        self._kept += data
        try:
            if len(self._kept) > 2 * _WINDOW:
                del self._kept[:-_WINDOW]
                os.ftruncate(self._fd, 0)
                self._written = 0
            self._written += os.pwrite(self._fd, self._kept[self._written :], self._written)
        except OSError:
            pass

    def __contains__(self, words: str) -> bool:
        return words.encode() in self._kept
