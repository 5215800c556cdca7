"""Files that came with a message, as a tar on their way from the chat to the agent.

Lean: `tarfile` is loaded when there is something to read. Every part checks what it is handed.
"""

import io
import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, NamedTuple

from herald.errors import Invalid

if TYPE_CHECKING:
    import tarfile

MOST = 10
LARGEST = 10 << 20
"""Bytes of one file."""

_LONGEST_NAME = 255
"""Bytes of a name, as file systems have it."""

_MOST_BYTES = MOST * (LARGEST + (64 << 10))
"""Of the tar: the files, and more than their headers need."""


class Attachment(NamedTuple):
    """One file. `name` is one that can stand in a folder and in a line of text."""

    name: str
    data: bytes


def is_safe(name: str) -> bool:
    """Whether a file may have this name: one part of a path, visible, without control or format characters."""
    plain = name.isprintable() and name == name.strip() and "/" not in name and not name.startswith((".", "-"))
    return plain and 0 < len(name.encode("utf-8", "replace")) <= _LONGEST_NAME


def read(fd: int) -> Iterator[Attachment]:
    """The files in a tar, none if it is empty. Raises Invalid when it holds anything but a few plain files."""
    size = os.fstat(fd).st_size
    if not size:
        return
    if size > _MOST_BYTES:
        raise Invalid(f"attachments may have {LARGEST >> 20} MB each and be {MOST} at most")
    import tarfile

    names: set[str] = set()
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        with open(fd, "rb", closefd=False) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                _check(member, names)
                names.add(member.name)
                content = archive.extractfile(member)
                data = content.read() if content is not None else b""
                if len(data) != member.size:
                    raise Invalid(f"the attachment {member.name!r} is cut off")
                yield Attachment(member.name, data)
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise Invalid(f"the attachments are not a tar that can be read: {error}") from error


def write(attachments: Iterator[Attachment], file: IO[bytes]) -> int:
    """Write them as a tar; returns how many there were."""
    import tarfile

    count = 0
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for count, attachment in enumerate(attachments, 1):  # noqa: B007 - it is returned
            member = tarfile.TarInfo(attachment.name)
            member.size, member.mode = len(attachment.data), 0o444
            archive.addfile(member, io.BytesIO(attachment.data))
    return count


def _check(member: "tarfile.TarInfo", names: set[str]) -> None:
    import tarfile

    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise Invalid(f"the attachment {member.name!r} is no regular file")
    if not is_safe(member.name):
        raise Invalid(f"{member.name!r} cannot be the name of an attachment")
    if member.name in names:
        raise Invalid(f"two attachments have the name {member.name!r}")
    if member.size > LARGEST:
        raise Invalid(f"the attachment {member.name!r} has more than {LARGEST >> 20} MB")
    if len(names) == MOST:
        raise Invalid(f"there are more than {MOST} attachments")
