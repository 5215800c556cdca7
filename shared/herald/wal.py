"""SQLite's write-ahead log as a file: what should be in it, and what can still be read of a damaged one.

SQLite takes a log only up to the first frame whose checksum is wrong and drops the rest without a word. The checksum of
a frame goes on from the one before it, so each can be checked by itself.
"""

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = 32
_FRAME_HEADER = 24
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""To the byte order of the words that are summed."""

Sums = tuple[int, int]


class _Log(NamedTuple):
    order: str
    page_size: int
    salts: bytes
    sums: Sums


class _Frame(NamedTuple):
    head: bytes
    page: bytes

    @property
    def sums(self) -> Sums:
        first, second = struct.unpack(">II", self.head[16:24])
        return first, second


def committed_frames(path: str) -> int:
    """The number of frames up to the last commit of this log, whether they are intact or not; 0 without a log.

    Raises ValueError when the log has no readable start.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_HEADER)
            if not head:
                return 0
            log = _parse(head)
            whole = (os.fstat(file.fileno()).st_size - _HEADER) // (_FRAME_HEADER + log.page_size)
            count = found = 0
            for _ in range(whole):
                start = file.read(_FRAME_HEADER)
                if start[8:16] == log.salts:
                    count += 1
                    if start[4:8] != bytes(4):
                        found = count
                file.seek(log.page_size, os.SEEK_CUR)
            return found
    except FileNotFoundError:
        return 0


def mend(path: str) -> None:
    """Write a log anew without its damaged frames, so that SQLite reads all others. Raises ValueError and OSError."""
    with open(path, "rb") as file:
        data = file.read()
    log = _parse(data[:_HEADER])
    sums = log.sums
    parts = [data[:_HEADER]]
    for frame in _intact(log, data):
        sums = _add(log.order, frame.head[:8] + frame.page, sums)
        parts += [frame.head[:16], struct.pack(">II", *sums), frame.page]
    with open(path, "wb") as file:
        file.write(b"".join(parts))


def _parse(head: bytes) -> _Log:
    if len(head) < _HEADER:
        raise ValueError("the log has no whole header")
    magic, _version, page_size, _sequence = struct.unpack(">4I", head[:16])
    order = _MAGIC.get(magic)
    if order is None or page_size not in {1 << bits for bits in range(9, 17)}:
        raise ValueError("the header of the log is damaged")
    sums = _add(order, head[:24], (0, 0))
    if struct.pack(">II", *sums) != head[24:32]:
        raise ValueError("the header of the log is damaged")
    return _Log(order, page_size, head[16:24], sums)


def _intact(log: _Log, data: bytes) -> Iterator[_Frame]:
    """The frames of this log whose checksum is right, given what the frame before them says of itself."""
    before = log.sums
    size = _FRAME_HEADER + log.page_size
    for start in range(_HEADER, len(data) - size + 1, size):
        frame = _Frame(data[start : start + _FRAME_HEADER], data[start + _FRAME_HEADER : start + size])
        right = _add(log.order, frame.head[:8] + frame.page, before) == frame.sums
        if right and frame.head[8:16] == log.salts:
            yield frame
        before = frame.sums


def _add(order: str, data: bytes, sums: Sums) -> Sums:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for left, right in zip(words[::2], words[1::2], strict=True):
        first = (first + left + second) & 0xFFFFFFFF
        second = (second + right + first) & 0xFFFFFFFF
    return first, second
