"""What an agent is told of its channel: the last messages, oldest first, each with its author."""

from collections.abc import Iterable

from herald.interfaces.worker import Quote
from herald_gateway.records import Line

MESSAGES = 20
CHARACTERS = 8000


def quotes_of(lines: Iterable[Line]) -> list[Quote]:
    """The newest lines (given newest first) that fit, oldest first; the newest one is cut if it alone does not."""
    quotes: list[Quote] = []
    room = CHARACTERS
    for line in lines:
        text = line.text
        if len(text) > room:
            if quotes:
                break
            text = f"{text[: room - 1]}…"
        room -= len(text)
        quotes.append(Quote(author=_author(line), text=text, at=line.at))
        if len(quotes) == MESSAGES:
            break
    return quotes[::-1]


def _author(line: Line) -> str:
    """A person is shown with the id, which nobody can choose; a post without: Herald or one of its agents."""
    return f"{line.name} ({line.author})" if line.author else line.name or "Herald"
