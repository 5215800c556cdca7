"""Secrets are masked where text leaves for chat or journal, and nowhere else."""

import os
import re

_SHAPES = re.compile(
    r"sk-ant-[A-Za-z0-9_-]{8,}"  # Anthropic keys and OAuth tokens
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}"  # GitHub
    r"|[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}"  # Discord bot tokens
    r"|https://(?:[a-z]+\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/[A-Za-z0-9_-]+"  # Discord webhook URLs
    r"|-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_CREDENTIAL_VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
MASK = "[secret]"
_SHORTEST = 8
"""Shorter values would mask ordinary words."""
_SHORTEST_LINE = 32
"""Lines of a credential that has several, such as a key, are masked by themselves too; its last may be shorter."""

_loaded: list[str] | None = None


def mask(text: str) -> str:
    """The text without any loaded credential and without anything that has the shape of a known token."""
    for secret in _secrets():
        if secret in text:
            text = text.replace(secret, MASK)
    return _SHAPES.sub(MASK, text)


def _secrets() -> list[str]:
    global _loaded
    if _loaded is None:
        found = {os.environ.get(name, "") for name in _CREDENTIAL_VARIABLES}
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder and os.path.isdir(folder):
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    text = file.read().strip()
                found.add(text)
                found.update(line for line in text.splitlines() if len(line) >= _SHORTEST_LINE)
        _loaded = sorted((secret for secret in found if len(secret) >= _SHORTEST), key=len, reverse=True)
    return _loaded
