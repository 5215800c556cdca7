"""How text is made fit for chat: no secrets, no control characters, short as a block, long as a file."""

import unicodedata
from typing import NamedTuple

from herald.masking import mask

BLOCK_LIMIT = 1900
"""From this many characters on, an answer is a file."""

KEPT = 8000
"""Characters of a post that are kept as history for agents."""

_FENCE = "```"
_HARMLESS_FENCE = "``\u02cb"
"""The third mark is a letter that looks like one: the text keeps its length and can't end the block."""


class Rendered(NamedTuple):
    """A post as people see it: `text`, and `file` when the content is too long. `plain` is the start of the content."""

    text: str
    file: bytes | None
    plain: str


def render_block(content: str, lead: str, file_name: str) -> Rendered:
    """An answer: a code block, or a file with a line that leads to it. `lead` is said before either."""
    content = content.rstrip()
    masked = mask(content)
    head = f"{mask(harmless(lead))}\n" if lead else ""
    if len(content) < BLOCK_LIMIT:
        shown = mask(harmless(masked)) or "(no output)"
        fenced = shown.replace(_FENCE, _HARMLESS_FENCE)
        return Rendered(f"{head}{_FENCE}\n{fenced}\n{_FENCE}", None, shown)
    line = f"{len(content):,} characters, in the file {file_name}."
    return Rendered(f"{head}{line}", f"{masked}\n".encode(), harmless(masked[:KEPT]))


def render_text(text: str) -> Rendered:
    """A card, a notice or a reply: as it is."""
    shown = mask(harmless(text))
    return Rendered(shown, None, shown[:KEPT])


def render_line(text: str, limit: int = 300) -> str:
    """One line, cut at `limit` characters: progress, replies that quote."""
    line = mask(" ".join(mask(harmless(text)).split()))  # twice: a secret may have line ends, or be made by joining
    return line if len(line) <= limit else line[: limit - 1] + "…"


def well_formed(text: str) -> str:
    """The text with half surrogate pairs, which JSON can carry and UTF-8 can't, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def harmless(text: str) -> str:
    """The text without anything that steers a terminal or hides or reorders what is read.

    Control characters become their pictures, format characters (bidirectional overrides, zero-width ones) vanish;
    line ends and tabs stay. It never grows.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return text.replace("\r\n", "\n").translate(_Harmless())


class _Harmless(dict[int, str]):
    """The translation table, filled in as characters are met."""

    def __missing__(self, code: int) -> str:
        self[code] = shown = _picture(code)
        return shown


def _picture(code: int) -> str:
    character = chr(code)
    if character in "\n\t":
        return character
    match unicodedata.category(character):
        case "Cf":
            return ""
        case "Cc" if code < 0x20:
            return "\n" if character == "\r" else chr(0x2400 + code)
        case "Cc":
            return "\u2421" if code == 0x7F else "\ufffd"
        case "Zl" | "Zp":
            return "\n"
        case "Cs":
            return "\ufffd"
        case _:
            return character
