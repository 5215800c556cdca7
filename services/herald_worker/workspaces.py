"""What is known of workspaces: rows of `workspaces`, one for each that has been brought up to a commit."""

import sqlite3

from herald.snapshot import Project


def known(connection: sqlite3.Connection, name: str, project: Project) -> str:
    """A commit that a workspace certainly has, with its history; empty: nothing is known of it.

    What the project's folder had says nothing of an own clone, nor the other way round.
    """
    row = connection.execute(
        "SELECT base FROM workspaces WHERE name = ? AND mode = ?", (name, project.workspace)
    ).fetchone()
    return "" if row is None else str(row["base"])


def note(connection: sqlite3.Connection, name: str, project: Project, base: str) -> None:
    """A workspace has this commit."""
    connection.execute(
        "INSERT INTO workspaces (name, project, mode, base) VALUES (?, ?, ?, ?) ON CONFLICT (name)"
        " DO UPDATE SET project = excluded.project, mode = excluded.mode, base = excluded.base",
        (name, project.name, project.workspace, base),
    )


def forget(connection: sqlite3.Connection, name: str) -> None:
    """A workspace may lack anything; the next start finds out, and hands over what it needs."""
    connection.execute("DELETE FROM workspaces WHERE name = ?", (name,))


def is_in_use(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a task is going in a workspace."""
    row = connection.execute(
        "SELECT 1 FROM tasks WHERE workspace = ? AND state IN ('starting', 'running') LIMIT 1", (name,)
    ).fetchone()
    return row is not None
