"""What a post looks like in Discord: content, embed, buttons, files, all within Discord's limits.

A text that was made by others must show as the text that it is: no link that hides where it leads, nobody
mentioned, nothing hidden. What is in a code block needs no more for that.
"""

import os
import re
from typing import Any, NamedTuple

from herald.masking import mask
from herald_gateway.deliveries import Due

LONGEST = 1900
"""Characters of a content from which on it is a file."""

UPLOAD_LIMIT = 10 << 20
"""Bytes that Discord takes in a file where nothing better is known."""

LATE = "late:"
"""Begins the key of a question about a late message; the message's id follows."""

_CONTENT, _EMBED, _NAME = 2000, 4096, 80
_FIRST_LINE = 300
_REDUCED = 1 << 20
_FENCE, _HARMLESS_FENCE = "```", "``\u02cb"
_LINK = re.compile(r"\[(?=[^\]\n]*\]\()")
_MENTION = re.compile(r"<(?=@|#|/[\w -]+:\d|id:|t:|a?:\w+:\d)")
_CHANNEL = re.compile(r"\\(<#\d{1,20}>)")
"""A channel that Herald itself names can be clicked on; it calls nobody."""

_HIDDEN = re.compile(r"\|\|")
_LAYOUT = re.compile(r"^(\s*)(?=#{1,3} |-# |>)", re.MULTILINE)
_NOT_A_NAME = re.compile(r"(dis)(?=cord)|(cly)(?=de)", re.IGNORECASE)

_LABELS = {
    "reset": ("Reset…", 2),
    "reset --yes": ("Reset", 4),
    "stash": ("Stash changes", 2),
    "own": ("Use an own clone", 2),
}
"""What the buttons of commands are called, and their style; a command without a label gets none."""

Json = dict[str, Any]


class File(NamedTuple):
    """A file to attach: on the disk, or `data`. `size` is that of what is sent."""

    name: str
    size: int
    path: str = ""
    data: bytes = b""


class Form(NamedTuple):
    """A post as a message."""

    content: str
    embed: str = ""
    buttons: tuple[Json, ...] = ()
    files: tuple[File, ...] = ()

    def body(self, *, edits: bool = False) -> Json:
        """What Discord is sent. An edit replaces everything that was there."""
        body: Json = {"content": self.content, "allowed_mentions": {"parse": []}}
        if self.embed or edits:
            body["embeds"] = [{"type": "rich", "description": self.embed}] if self.embed else []
        if self.buttons or edits:
            body["components"] = [{"type": 1, "components": list(self.buttons)}] if self.buttons else []
        if self.files or edits:
            body["attachments"] = [{"id": number, "filename": each.name} for number, each in enumerate(self.files)]
        return body

    def named(self, name: str) -> "Form":
        """The same, said by Herald for somebody else, as far as there is room for the name."""
        bold = re.sub(r"([\\*_~`|<>\[\]])", r"\\\1", name)
        room = _CONTENT - len(self.content) - len("****\n")
        return self._replace(content=f"**{bold}**\n{self.content}") if bold and len(bold) <= room else self


def form_of(due: Due, reduced: int, limit: int = UPLOAD_LIMIT) -> Form | None:
    """The message of a post. `reduced` counts how often Discord did not take it: None when nothing is left to try."""
    match reduced:
        case 0:
            return _whole(due, limit)
        case 1:
            text = "Discord did not take this as it was; here it is as a file."
            attached = (_attached(due, _REDUCED),) if due.file else (_inline("post.txt", due.text),)
            return Form(text, files=tuple(filter(None, attached)))
        case 2:
            return Form(f"Post {due.post} cannot be shown in Discord; `heraldctl posts` has it.")
        case _:
            return None


def plain(text: str) -> str:
    """The text, so that Discord shows it as it is."""
    text = _LINK.sub(r"\\[", _MENTION.sub(r"\\<", text.replace(_FENCE, _HARMLESS_FENCE)))
    return _LAYOUT.sub(r"\1\\", _HIDDEN.sub(r"\\|\\|", text))


def code(text: str) -> str:
    """One line as code."""
    shown = " ".join(text.replace("`", "\u02cb").split())
    return f"`{shown}`" if shown else ""


def username(name: str) -> str:
    """A name under which a webhook may post: 1 to 80 characters, and without two words that Discord reserves."""
    short = _NOT_A_NAME.sub(lambda found: f"{found[0]}-", " ".join(name.split()))[:_NAME].strip()
    return short if short.lower() not in ("", "everyone", "here") else "Herald agent"


def button(label: str, custom_id: str, style: int) -> Json:
    """A button; style 2 is grey, 3 green, 4 red."""
    return {"type": 2, "style": style, "label": label, "custom_id": custom_id}


def _whole(due: Due, limit: int) -> Form:
    text = mask(due.text)
    if due.kind == "card":
        return _card(due, text)
    attached = _attached(due, limit)
    files = (attached,) if attached else ()
    if due.file and not attached:
        text += "\n(the file is gone: it was removed by hand)"
    head, block = _split(text)
    shown = plain(head)
    content = (shown if due.kind == "answer" else _CHANNEL.sub(r"\1", shown)) + block
    longest = _CONTENT if block else LONGEST
    if len(content) <= longest:
        # Of what is no card, only the question about a late message can be voted on; its key is `late:` and an id.
        buttons = (button("Do it now", f"herald:{due.key}", 3),) if due.votable else ()
        return Form(content or "(empty)", buttons=buttons + _actions(due), files=files)
    first, _, _ = text.partition("\n")
    lead = plain(_cut(first if not first.startswith(_FENCE) else "The text is in the file.", _FIRST_LINE))
    return Form(lead, buttons=_actions(due), files=(_inline("reply.txt", text), *files))


def _card(due: Due, text: str) -> Form:
    """The first line as content; the rest, and what became of a settled card, as embed."""
    first, _, rest = text.partition("\n")
    shown = rest.strip("\n") or (first if due.revision else "")
    buttons = _actions(due)
    if due.votable and due.proposal:
        buttons = (
            button("Push", f"herald:vote:{due.proposal}:approve", 3),
            button("Discard", f"herald:vote:{due.proposal}:reject", 4),
        )
    return Form(_cut(plain(first), LONGEST), _cut(plain(shown), _EMBED), buttons)


def _actions(due: Due) -> tuple[Json, ...]:
    """A button for each command that a post offers."""
    known = ((each, _LABELS.get(_label_key(each))) for each in due.actions.splitlines())
    return tuple(
        button(label, f"herald:do:{each}", style) for each, found in known if found for label, style in [found]
    )


def _label_key(action: str) -> str:
    """The command, and whether it is confirmed."""
    words = action.split()
    return " ".join((*words[:1], *(each for each in words if each.startswith("--"))))


def _question(due: Due) -> tuple[Json, ...]:
    """The button under a question about a message that was found late."""
    late = due.key.removeprefix(LATE)
    return (button("Do it now", f"herald:late:{late}", 3),) if due.votable and late != due.key else ()


def _split(text: str) -> tuple[str, str]:
    """A text and the code block that it ends with; nothing inside a block that Herald made can end it."""
    if text.endswith(f"\n{_FENCE}"):
        start = text.rfind(f"{_FENCE}\n", 0, -len(_FENCE) - 1)
        if start == 0 or (start > 0 and text[start - 1] == "\n"):
            return text[:start], text[start:]
    return text, ""


def _cut(text: str, most: int) -> str:
    """At most so many characters, cut at the end of a line if that loses little."""
    if len(text) <= most:
        return text
    kept = text[: most - 2]
    line = kept.rfind("\n", most // 2)
    return f"{kept[:line]}\n…" if line > 0 else f"{kept.rstrip(chr(92))}…"


def _inline(name: str, text: str) -> File:
    data = f"{text}\n".encode()
    return File(name, len(data), data=data)


def _attached(due: Due, limit: int) -> File | None:
    """The file of a post, cut at what Discord takes. None when there is none."""
    if not due.file:
        return None
    name = os.path.basename(due.file)
    try:
        size = os.stat(due.file).st_size
        if size <= limit:
            return File(name, size, path=due.file)
        note = (
            f"\n[cut here: Discord takes {limit >> 20} MB, this has {size:,} bytes; the whole is kept on the server]\n"
        )
        with open(due.file, "rb") as file:
            kept = file.read(limit - 1024).decode(errors="ignore")
    except OSError:
        return None
    data = (kept + note).encode()
    return File(name, len(data), data=data)
