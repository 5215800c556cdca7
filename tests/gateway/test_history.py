import sqlite3
from collections.abc import Iterator

import pytest

from herald_gateway import records, schema
from herald_gateway.history import CHARACTERS, MESSAGES, quotes_of
from herald_gateway.records import Line, NewMessage, NewPost, Recorded


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    for script in schema.MIGRATIONS:
        made.executescript(script)
    yield made
    made.close()


def said(connection: sqlite3.Connection, text: str, *, project: str = "demo", refusal: str = "") -> Recorded:
    seq = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
    message = NewMessage(f"m{seq}", project, "unix:ada", "Ada", text, "2026", "task", project, refusal)
    return records.record(connection, message)


def posted(connection: sqlite3.Connection, text: str, key: str, revision: int = 0, project: str = "demo") -> None:
    post = NewPost(key, revision, project, "answer", "Demo", f"```{text}```", text, "", "", False, "2026")
    records.log_post(connection, post)


def history(connection: sqlite3.Connection, message: Recorded) -> list[tuple[str, str]]:
    lines = records.history_before(connection, "demo", message, MESSAGES)
    return [(quote["author"], quote["text"]) for quote in quotes_of(lines)]


def test_messages_and_posts_oldest_first_with_their_authors(connection: sqlite3.Connection) -> None:
    said(connection, "one")
    posted(connection, "two", "p1")
    said(connection, "three")
    said(connection, "elsewhere", project="other")
    posted(connection, "elsewhere", "p2", project="other")
    message = said(connection, "now")
    posted(connection, "later", "p3")
    said(connection, "later")

    assert history(connection, message) == [("Ada (unix:ada)", "one"), ("Demo", "two"), ("Ada (unix:ada)", "three")]


def test_an_edited_post_counts_once_as_it_was_when_the_message_came(connection: sqlite3.Connection) -> None:
    posted(connection, "first", "p1")
    posted(connection, "second", "p1", 1)
    message = said(connection, "now")
    posted(connection, "third", "p1", 2)

    assert history(connection, message) == [("Demo", "second")]


def test_what_was_refused_does_not_reach_an_agent(connection: sqlite3.Connection) -> None:
    said(connection, "delete everything", refusal="no")

    assert history(connection, said(connection, "now")) == []


def line(text: str) -> Line:
    return Line((0, 0, 0), "unix:ada", "Ada", text, "2026")


def test_at_most_twenty_messages() -> None:
    quotes = quotes_of(line(str(number)) for number in range(30))

    assert [quote["text"] for quote in quotes] == [str(number) for number in range(19, -1, -1)]


def test_at_most_eight_thousand_characters() -> None:
    assert [len(quote["text"]) for quote in quotes_of([line("x" * 5000), line("y" * 2000), line("z" * 1001)])] == [
        2000,
        5000,
    ]
    (cut,) = quotes_of([line("x" * 9000), line("y")])
    assert len(cut["text"]) == CHARACTERS
