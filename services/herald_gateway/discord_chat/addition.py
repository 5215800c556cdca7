"""What is known of a project that is being added: one row of `additions`, on the disk before anything is made."""

import json
import sqlite3
import uuid
from typing import NamedTuple

from herald.clock import now


class Addition(NamedTuple):
    """`id` makes the key of its agent's first task; `asked` is the message that asked for it last. `existing`: the
    channel was there before; `channel` is empty while there is none. `finished`: everything was done."""

    name: str
    id: str
    asked: str
    url: str
    agent: str
    guild: str
    existing: bool
    channel: str
    finished: bool = False


def load(connection: sqlite3.Connection, name: str) -> Addition | None:
    """What is known of a project of this name."""
    row = connection.execute("SELECT state FROM additions WHERE name = ?", (name,)).fetchone()
    return None if row is None else Addition(**json.loads(row["state"]))


def save(connection: sqlite3.Connection, addition: Addition) -> None:
    """Write it down."""
    connection.execute(
        "INSERT INTO additions (name, state, at) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET state = excluded.state, at = excluded.at",
        (addition.name, json.dumps(addition._asdict()), now()),
    )


def new_id() -> str:
    """One for each time that a project of a name is added."""
    return uuid.uuid4().hex
