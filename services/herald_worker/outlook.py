"""What is known before a run about the push of what it will make."""

import hashlib
import sqlite3

from herald import clock
from herald.database import Database
from herald.errors import Failed
from herald.interfaces.git import Fetched
from herald.snapshot import Project
from herald_worker import posts


async def tell(database: Database, project: Project, fetched: Fetched) -> None:
    """Post once what will keep the work from being pushed. Raises Failed where none of it could ever get there."""
    blocking = fetched["in_the_way"]
    if blocking:
        raise Failed(
            f"the remote has a branch {blocking}, so that no branch {project.branch_prefix}-... can be made there; set"
            f" git.branch_prefix to a name that does not begin with {blocking}/, or remove that branch"
        )
    told = await database.read(lambda connection: _told(connection, project))
    if told != project.push_problem:
        await database.write(lambda connection: _note(connection, project))
    if project.push_problem:
        since = await database.read(lambda connection: _since(connection, project))
        problem = (
            f"{project.name} cannot be pushed: {project.push_problem}. Tasks run, and their commits wait as cards."
        )
        await post_once(database, project, problem, since)
    elif fetched["warning"]:
        await post_once(database, project, fetched["warning"], fetched["warning_since"])


def _told(connection: sqlite3.Connection, project: Project) -> str:
    """Why the project could not be pushed when that was looked at last; empty if it could."""
    row = connection.execute("SELECT problem FROM push_problems WHERE project = ?", (project.name,)).fetchone()
    return "" if row is None else str(row["problem"])


def _note(connection: sqlite3.Connection, project: Project) -> None:
    connection.execute("DELETE FROM push_problems WHERE project = ?", (project.name,))
    if project.push_problem:
        values = (project.name, project.push_problem, clock.now())
        connection.execute("INSERT INTO push_problems VALUES (?, ?, ?)", values)


def _since(connection: sqlite3.Connection, project: Project) -> str:
    row = connection.execute("SELECT since FROM push_problems WHERE project = ?", (project.name,)).fetchone()
    return str(row["since"])


async def post_once(database: Database, project: Project, text: str, since: str = "") -> None:
    """Post a warning, once for as long as it says the same: the gateway shows a post of the same key once."""
    digest = hashlib.sha256(f"{text}\n{since}".encode()).hexdigest()[:16]
    post = posts.NewPost(f"outlook-{project.name}-{digest}", project.name, "notice", f"⚠️ {text}")

    def write(connection: sqlite3.Connection) -> None:
        posts.add(connection, post)

    await database.write(write)
