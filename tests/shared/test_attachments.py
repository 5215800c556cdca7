"""Attachments on their way: a few plain files, and nothing else that a tar can hold."""

import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from herald.attachments import LARGEST, MOST, Attachment, is_safe, read, write
from herald.errors import Invalid


@pytest.fixture
def fd() -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        yield file.fileno()


def pack(fd: int, add: Callable[[tarfile.TarFile], object], mode: str = "w") -> None:
    with open(os.dup(fd), "wb") as file, tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        add(archive)


def plain(archive: tarfile.TarFile, name: str, data: bytes = b"x", **fields: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(data))


def test_what_is_written_is_read_again_from_wherever_the_descriptor_stands(fd: int) -> None:
    given = [Attachment("a.txt", b"one"), Attachment("Bild höher.png", b"\0" * 5000), Attachment("x" * 200, b"")]
    with open(os.dup(fd), "wb") as file:
        assert write(iter(given), file) == 3
    assert list(read(fd)) == given
    assert list(read(fd)) == given


def test_an_empty_file_holds_none(fd: int) -> None:
    assert list(read(fd)) == []


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".bashrc", "-rf", "a/b", "/etc/passwd", "../x", "a\nb", "a\x1b[2Jb", "a\u202eb", " a", "x" * 256],
)
def test_a_name_that_leads_elsewhere_or_hides_something_is_none(fd: int, name: str) -> None:
    assert not is_safe(name)
    if name.strip("/"):
        pack(fd, lambda archive: plain(archive, name))
        with pytest.raises(Invalid, match="cannot be the name of an attachment"):
            list(read(fd))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.CONTTYPE]
)
def test_whatever_is_no_regular_file_is_refused(fd: int, kind: bytes) -> None:
    pack(fd, lambda archive: plain(archive, "a", b"", type=kind, linkname="/etc/passwd"))
    with pytest.raises(Invalid, match="no regular file"):
        list(read(fd))


def test_too_many_too_large_and_twice_the_same_name_are_refused(fd: int) -> None:
    pack(fd, lambda archive: [plain(archive, f"{n}.txt") for n in range(MOST + 1)])
    with pytest.raises(Invalid, match="more than 10"):
        list(read(fd))
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    pack(fd, lambda archive: [plain(archive, "a"), plain(archive, "a")])
    with pytest.raises(Invalid, match="two attachments"):
        list(read(fd))


def test_ten_of_ten_megabytes_are_taken_and_a_byte_more_is_not(fd: int) -> None:
    pack(fd, lambda archive: [plain(archive, str(n), bytes(LARGEST)) for n in range(MOST)])
    assert [len(each.data) for each in read(fd)] == [LARGEST] * MOST
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    pack(fd, lambda archive: plain(archive, "a", bytes(LARGEST + 1)))
    with pytest.raises(Invalid, match="more than 10 MB"):
        list(read(fd))


@pytest.mark.parametrize("damage", ["noise", "cut", "compressed", "enormous"])
def test_what_is_no_whole_tar_is_refused(fd: int, damage: str) -> None:
    if damage == "noise":
        os.write(fd, os.urandom(3000))
    elif damage == "compressed":
        pack(fd, lambda archive: plain(archive, "a"), "w:gz")
    else:
        pack(fd, lambda archive: plain(archive, "a", bytes(5000)))
        os.ftruncate(fd, 2000 if damage == "cut" else 1 << 30)
    with pytest.raises(Invalid):
        list(read(fd))


def test_reading_is_lean_where_there_is_nothing_to_read(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = (
        "import os, sys; from herald import attachments; list(attachments.read(0)); print('tarfile' in sys.modules)"
    )
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open() as empty:
        done = subprocess.run([sys.executable, "-c", script], stdin=empty, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
