"""The prompt as text: nothing in it is a command to the CLI."""

import json

from herald import durable
from herald.bus.limits import PROMPT
from herald_agent.attachments import Unpacked

PREFIX = "Task:\n"
"""Goes before a text that begins with a sign: `/cost` would be a command of the CLI and not reach the agent."""

FURTHER = "While you work, a further message came from "
"""Begins a message to an agent at work."""

_QUOTE = "> "
_LONGEST_NAME = 80
_VISIBLE_NUL = "\N{REPLACEMENT CHARACTER}"


def read(fd: int) -> str:
    """The prompt in a file; broken UTF-8 and NUL become replacement characters. Raises ValueError when too long."""
    return plain(durable.read_descriptor(fd, PROMPT, "the prompt").decode("utf-8", "replace"))


def plain(text: str) -> str:
    """The text so that the CLI takes all of it as words."""
    text = text.replace("\0", _VISIBLE_NUL)
    first = text.lstrip()[:1]
    return text if first.isalnum() else PREFIX + text


def with_files(words: str, files: list[Unpacked]) -> str:
    """The prompt after a list of the files that came with the message. No name can break its line."""
    if not files:
        return words
    lines = [f"- {json.dumps(each.path, ensure_ascii=False)}, {each.size:,} bytes" for each in files]
    return "\n".join(["Files came with the message below. You can read them, not change them:", *lines, "", words])


def further(name: str, author: str, text: str) -> str:
    """A message to an agent at work. Each of its lines is quoted, so that none can pass as Herald's."""
    quoted = [_QUOTE + line for line in text.replace("\0", _VISIBLE_NUL).splitlines()]
    said = f"{FURTHER}{_one_line(name)} ({_one_line(author)}), quoted. Take it into account:"
    return "\n".join([said, *quoted])


def _one_line(text: str) -> str:
    return " ".join(text.replace("\0", _VISIBLE_NUL).split())[:_LONGEST_NAME]
