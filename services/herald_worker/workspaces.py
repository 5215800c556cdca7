"""What is known of workspaces: rows of `workspaces`, one for each that has been brought up to a commit."""

import sqlite3


def known(connection: sqlite3.Connection, name: str) -> str:
    """A commit that a workspace certainly has, with its history; empty: nothing is known of it."""
    row = connection.execute("SELECT base FROM workspaces WHERE name = ?", (name,)).fetchone()
    return "" if row is None else str(row["base"])


def note(connection: sqlite3.Connection, name: str, project: str, base: str) -> None:
    """A workspace has this commit."""
    connection.execute(
        "INSERT INTO workspaces (name, project, base) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET project = excluded.project, base = excluded.base",
        (name, project, base),
    )


def forget(connection: sqlite3.Connection, name: str) -> None:
    """A workspace may lack anything; the next start finds out, and hands over what it needs."""
    connection.execute("DELETE FROM workspaces WHERE name = ?", (name,))
