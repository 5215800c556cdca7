"""Secrets are masked where text leaves for chat or journal, and nowhere else."""

import bisect
import math
import os
import re
from collections.abc import Iterable, Iterator

_SHAPES = re.compile(
    r"sk-ant-[A-Za-z0-9_-]{8,}"  # Anthropic keys and OAuth tokens
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}"  # GitHub
    r"|[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}"  # Discord bot tokens
    r"|-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_WEBHOOK_SHAPE = re.compile(r"https?://[^\s/\"'<>]+/(?:[^\s/\"'<>]+/){0,4}webhooks/\d+/([A-Za-z0-9_-]+)")
"""URLs of webhooks, whatever the host; the group is the token."""
_CREDENTIAL_VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
MASK = "[secret]"
_SHORTEST = 8
"""Shorter values would mask ordinary words."""
_SHORTEST_LINE = 32
"""Lines of a credential that has several, such as a key, are masked by themselves too; its last may be shorter."""
_LARGEST = 1 << 20

_OPEN = ("snapshot.json",)
"""Handed over as credentials are, and none."""

_CUT = "\u2026"
"""Ends a text that Herald cut, perhaps in the middle of a secret, and perhaps in a unit that does not know it."""

_WEBHOOK = re.compile(r"/webhooks/\d+/([^\s/?#]+)")

_Span = tuple[int, int]
"""Start and end in a text."""

_loaded: list[str] | None = None


def mask(text: str) -> str:
    """The text without any loaded credential, also one that is cut off, and without the shape of a known token.

    All are found in the original text: a loaded value that is part of a longer secret would, if it was replaced first,
    leave a rest that no longer has the shape.
    """
    known = _united(span for secret in _secrets() for span in _known(text, secret))
    done = 0
    pieces: list[str] = []
    for start, end in _united([*known, *_shaped(text, known)]):
        pieces += (text[done:start], MASK)
        done = end
    return "".join((*pieces, text[done:]))


def _united(spans: Iterable[_Span]) -> list[_Span]:
    """The spans in order, those that overlap as one."""
    united: list[_Span] = []
    for start, end in sorted(spans):
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def _known(text: str, secret: str) -> Iterator[_Span]:
    yield from _occurrences(text, secret)
    if _CUT in text and not secret.startswith("http"):  # of a webhook's URL the token is a value by itself
        yield from _beginnings(text, secret)


def _occurrences(text: str, secret: str) -> Iterator[_Span]:
    """Where the secret is; where it overlaps itself, the whole of it, lest a line of dashes makes millions of spans."""
    size = len(secret)
    start = text.find(secret)
    while start >= 0:
        last = start
        while (further := text.rfind(secret, last + 1, last + 2 * size - 1)) >= 0:
            last = further
        yield start, last + size
        start = text.find(secret, last + size)


def _beginnings(text: str, secret: str) -> Iterator[_Span]:
    """Where the text was cut within the secret."""
    start = text.find(secret[:_SHORTEST])
    while start >= 0:
        end = text.find(_CUT, start, start + len(secret) + 1)
        if end >= 0 and secret.startswith(text[start:end]):
            yield start, end
        start = text.find(secret[:_SHORTEST], start + 1)


def _shaped(text: str, known: list[_Span]) -> Iterator[_Span]:
    """What has the shape of a secret. The address of a webhook whose token is known is no secret without it."""
    for found in _SHAPES.finditer(text):
        yield found.span()
    for found in _WEBHOOK_SHAPE.finditer(text):
        if not _within(found.span(1), known):
            yield found.span()


def _within(span: _Span, united: list[_Span]) -> bool:
    at = bisect.bisect_right(united, (span[0], math.inf)) - 1
    return at >= 0 and united[at][1] >= span[1]


def learn(folder: str) -> None:
    """Mask what the files of this folder hold, too, as far as they can be read."""
    global _loaded
    _loaded = _sorted({*_secrets(), *_values(folder)})


def learn_value(value: str) -> None:
    """Mask this value from now on; of a webhook's URL also the token alone."""
    global _loaded
    value = value.strip()
    found = _WEBHOOK.search(value)
    _loaded = _sorted({*_secrets(), value, *((found[1],) if found else ())})


def _secrets() -> list[str]:
    global _loaded
    if _loaded is None:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        found = {os.environ.get(name, "") for name in _CREDENTIAL_VARIABLES}
        _loaded = _sorted(found | (_values(folder) if folder else set()))
    return _loaded


def _sorted(values: set[str]) -> list[str]:
    return sorted((value for value in values if len(value) >= _SHORTEST), key=len, reverse=True)


def _values(folder: str) -> set[str]:
    """The content of each file, and its long lines."""
    found: set[str] = set()
    try:
        files = [name for name in os.listdir(folder) if name not in _OPEN]
    except OSError:
        return found
    for name in files:
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                text = file.read(_LARGEST).strip()
        except OSError:
            continue  # a folder, or not for this user, who then can't give it away
        found.add(text)
        found.update(line for line in text.splitlines() if len(line) >= _SHORTEST_LINE)
    return found
