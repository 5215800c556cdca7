"""The prompt as text: nothing in it is a command to the CLI."""

from herald import durable
from herald.bus.limits import PROMPT

PREFIX = "Task:\n"
"""Goes before a text that begins with a sign: `/cost` would be a command of the CLI and not reach the agent."""

_VISIBLE_NUL = "\N{REPLACEMENT CHARACTER}"


def read(fd: int) -> str:
    """The prompt in a file; broken UTF-8 and NUL become replacement characters. Raises ValueError when too long."""
    return plain(durable.read_descriptor(fd, PROMPT, "the prompt").decode("utf-8", "replace"))


def plain(text: str) -> str:
    """The text so that the CLI takes all of it as words."""
    text = text.replace("\0", _VISIBLE_NUL)
    first = text.lstrip()[:1]
    return text if first.isalnum() else PREFIX + text
