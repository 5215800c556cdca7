"""Names of the branches that Herald made, when `git.branch_prefix` has changed since."""

import re
import sqlite3

_STAMP = re.compile(r"-(\d{8}-\d{6}(?:-\d+)?)$")
_MOST = 5000


def is_below(prefix: str, branch: str) -> bool:
    """Whether a branch is one that is pushed."""
    return branch.startswith(f"{prefix}-")


def below(prefix: str, branch: str) -> str:
    """The name under which a branch is proposed: its own, or one below the prefix of now."""
    if is_below(prefix, branch):
        return branch
    stamp = _STAMP.search(branch)
    return f"{prefix}-{stamp[1] if stamp else re.sub('[^A-Za-z0-9]+', '-', branch).strip('-')}"


def of_before(connection: sqlite3.Connection, project: str, prefix: str) -> list[str]:
    """Branches that tasks and cards of a project named and that are not below its prefix, the newest first."""
    rows = connection.execute(
        "SELECT branch FROM (SELECT branch, created_at FROM tasks WHERE project = ? AND branch <> ''"
        " UNION ALL SELECT branch, created_at FROM proposals WHERE project = ?)"
        " GROUP BY branch ORDER BY MAX(created_at) DESC LIMIT ?",
        (project, project, _MOST),
    )
    return [row["branch"] for row in rows if not is_below(prefix, row["branch"])]
