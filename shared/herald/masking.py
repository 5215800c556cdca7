"""Secrets are masked where text leaves for chat or journal, and nowhere else."""

import itertools
import os
import re

_SHAPES = re.compile(
    r"sk-ant-[A-Za-z0-9_-]{8,}"  # Anthropic keys and OAuth tokens
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}"  # GitHub
    r"|[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}"  # Discord bot tokens
    r"|https?://[^\s/\"'<>]+/(?:[^\s/\"'<>]+/){0,4}webhooks/\d+/[A-Za-z0-9_-]+"  # webhook URLs, whatever the host
    r"|-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
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

_loaded: list[str] | None = None


def mask(text: str) -> str:
    """The text without any loaded credential, also one that is cut off, and without the shape of a known token."""
    for secret in _secrets():
        if secret in text:
            text = text.replace(secret, MASK)
        if _CUT in text and not secret.startswith("http"):  # of a webhook's URL the token is a value by itself
            text = _without_beginning(text, secret)
    return _SHAPES.sub(MASK, text)


def _without_beginning(text: str, secret: str) -> str:
    """The text without a beginning of the secret at which the text was cut."""
    start = text.find(secret[:_SHORTEST])
    while start >= 0:
        pairs = zip(text[start : start + len(secret)], secret, strict=False)
        end = start + sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        if text.startswith(_CUT, end):
            text = f"{text[:start]}{MASK}{text[end:]}"
        start = text.find(secret[:_SHORTEST], start + 1)
    return text


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
