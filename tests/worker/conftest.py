"""A worker's database in a real file."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from herald_worker.schema import MIGRATIONS


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An open database of the newest schema; what a test does is one transaction after the other."""
    connection = sqlite3.connect(tmp_path / "worker.sqlite", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA foreign_keys=ON")
    for script in MIGRATIONS:
        connection.executescript(script)
    yield connection
    connection.close()
