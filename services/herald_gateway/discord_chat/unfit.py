"""Which files are not passed on to an agent, by name and by what is in them; and names that harm nobody."""

import re

from herald.attachments import is_safe
from herald_gateway.rendering import harmless

_HEAD = 512
_LONGEST_NAME = 100


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ARCHIVES = _words(
    "zip tar gz tgz bz2 tbz xz txz zst lz lz4 lzma 7z rar cab iso dmg jar war ear apk ipa deb rpm whl egg cpio ar arj"
    " ace z crx xpi vsix nupkg gem img vhd vmdk qcow2"
)
_PROGRAMS = _words(
    "exe dll com scr msi msix bat cmd ps1 psm1 vbs vbe jse wsf wsh hta cpl pif lnk reg app bin run elf so dylib o"
    " out sys drv appimage class pyc pyo wasm sh bash zsh fish csh ksh command desktop"
)
"""Both by the last part of the name."""

_MAGIC = (
    (b"PK\x03\x04", "an archive"),
    (b"PK\x05\x06", "an archive"),
    (b"\x1f\x8b", "an archive"),
    (b"\x1f\x9d", "an archive"),
    (b"BZh", "an archive"),
    (b"\xfd7zXZ\x00", "an archive"),
    (b"7z\xbc\xaf\x27\x1c", "an archive"),
    (b"Rar!\x1a\x07", "an archive"),
    (b"\x28\xb5\x2f\xfd", "an archive"),
    (b"\x04\x22\x4d\x18", "an archive"),
    (b"LZIP", "an archive"),
    (b"MSCF", "an archive"),
    (b"!<arch>\n", "an archive"),
    (b"\xed\xab\xee\xdb", "an archive"),
    (b"070701", "an archive"),
    (b"070707", "an archive"),
    (b"\x7fELF", "an executable"),
    (b"MZ", "an executable"),
    (b"\xfe\xed\xfa\xce", "an executable"),
    (b"\xfe\xed\xfa\xcf", "an executable"),
    (b"\xce\xfa\xed\xfe", "an executable"),
    (b"\xcf\xfa\xed\xfe", "an executable"),
    (b"\xca\xfe\xba\xbe", "an executable"),
    (b"\x00asm", "an executable"),
    (b"#!", "an executable"),
)
_TAR_AT, _TAR = 257, b"ustar"


class Unfit(Exception):
    """This file is not passed on; the message says why."""


def check_name(name: str) -> None:
    """Whether a file of this name is passed on. Raises Unfit."""
    _, dot, last = harmless(name).lower().rstrip(". ").rpartition(".")
    if dot and last in _ARCHIVES:
        raise Unfit("archives are not passed on")
    if dot and last in _PROGRAMS:
        raise Unfit("executables are not passed on")


def check_content(path: str) -> None:
    """Whether a file with this content is passed on. Raises Unfit."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    for magic, what in _MAGIC:
        if head.startswith(magic):
            raise Unfit(f"it is {what}, whatever its name says")
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        raise Unfit("it is an archive, whatever its name says")


def safe_name(name: str, number: int, taken: set[str]) -> str:
    """A name that can stand in a folder and in a line of text, and is no other file's."""
    stem, dot, ending = re.sub(r"[^\w.+ -]+", "-", name).strip(" .-").rpartition(".")
    if not dot:
        stem, ending = ending, ""
    ending = f".{ending[:10]}" if ending else ""
    stem = stem.lstrip(".-")[:_LONGEST_NAME].strip() or f"file-{number + 1}"
    made, count = f"{stem}{ending}", 1
    while made in taken or not is_safe(made):
        count += 1
        made = f"{stem}-{count}{ending}" if is_safe(f"{stem}{ending}") else f"file-{number + count}"
    return made
