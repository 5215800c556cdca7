"""Posts that Discord does not have yet, and where those are that it has. Functions of an open connection.

The lane of a post names its destination, so that posts of one destination go out one after the other: `project:NAME`
is the channel that the project has when the post goes out, `` the system channel, a number a thread or the place
where something was asked. The thread of a task has the id of the message that it was made from.
"""

import json
import sqlite3
from typing import NamedTuple

from herald.snapshot import Snapshot
from herald_gateway.chat import Origin
from herald_gateway.records import NewPost

SYSTEM = ""
_PROJECT = "project:"


class Due(NamedTuple):
    """A post that Discord does not have yet. `begun`: it may have been sent; `AFTER` or `AFTER WEBHOOK`."""

    post: int
    lane: str
    begun: str
    key: str
    revision: int
    project: str
    kind: str
    identity: str
    text: str
    file: str
    answers: str
    task: str
    ends: str
    proposal: str
    votable: bool
    actions: str


class Sent(NamedTuple):
    """Where a post is in Discord. `webhook` is the one that it went through, empty for the bot's own."""

    key: str
    revision: int
    channel: str
    message: str
    webhook: str
    task: str
    proposal: str
    votable: bool


_DUE = (
    "deliveries.post, deliveries.channel, deliveries.begun, key, revision, project, kind, identity, text, file,"
    " answers, task, ends, proposal, votable, actions"
)


def add(connection: sqlite3.Connection, post: NewPost, snapshot: Snapshot) -> None:
    """Note a post that was just logged as one that Discord must get."""
    connection.execute(
        "INSERT INTO deliveries (post, channel) SELECT id, ? FROM posts WHERE key = ? AND revision = ?",
        (lane_of(connection, post, snapshot), post.key, post.revision),
    )


def lane_of(connection: sqlite3.Connection, post: NewPost, snapshot: Snapshot) -> str:
    """The lane of a post: that of an earlier revision which waits, else where what it answers was said, else its
    project's."""
    waits = connection.execute(
        "SELECT channel FROM deliveries JOIN posts ON posts.id = deliveries.post WHERE key = ? LIMIT 1", (post.key,)
    ).fetchone()
    if waits is not None:
        return str(waits["channel"])
    home = home_of(post.project)
    asked = _asked(connection, post.answers)
    if asked is None:
        return home
    origin, kind, project_of_place, refused = asked
    project = snapshot.projects.get(post.project)
    if project is not None and project.channel:
        if origin.parent == project.channel:
            return origin.channel
        if origin.channel == project.channel:
            told = kind == "task" or (kind == "command" and bool(post.task) and post.kind != "reply")
            own = project.threads == "task" and told and not refused and bool(origin.message)
            return origin.message if own else home
    if post.kind == "reply" or post.project == project_of_place:
        return _lane_of_channel(origin.channel, snapshot)
    return home


def home_of(project: str) -> str:
    """The lane of what a project has to say on its own."""
    return f"{_PROJECT}{project}" if project else SYSTEM


def channel_of(lane: str, snapshot: Snapshot) -> str:
    """The channel that a lane leads to now; empty if there is none."""
    if lane.isdecimal():
        return lane
    project = snapshot.projects.get(lane.removeprefix(_PROJECT)) if lane else None
    return (project.channel if project else "") or snapshot.discord.system_channel


def thread_to_make(connection: sqlite3.Connection, lane: str) -> tuple[str, str] | None:
    """The channel and the text of the message that a lane's thread is made from; None when it is there by itself."""
    row = connection.execute("SELECT text, origin FROM messages WHERE key = ?", (f"discord:{lane}",)).fetchone()
    if row is None or not row["origin"]:
        return None
    origin = _origin_of(row["origin"])
    return (origin.channel, str(row["text"])) if origin.channel != lane else None


def lanes(connection: sqlite3.Connection) -> list[str]:
    """Lanes in which a post waits."""
    return [str(lane) for (lane,) in connection.execute("SELECT DISTINCT channel FROM deliveries")]


def backlog(connection: sqlite3.Connection) -> int:
    """How many posts Discord does not have yet."""
    return int(connection.execute("SELECT count(*) FROM deliveries").fetchone()[0])


def next_due(connection: sqlite3.Connection, lane: str) -> Due | None:
    """The oldest post of a lane."""
    row = connection.execute(
        f"SELECT {_DUE} FROM deliveries JOIN posts ON posts.id = deliveries.post"
        " WHERE deliveries.channel = ? ORDER BY deliveries.post LIMIT 1",
        (lane,),
    ).fetchone()
    return Due(*row)._replace(votable=bool(row["votable"])) if row else None


def begun_of(connection: sqlite3.Connection, post: int) -> str:
    """Since when a post may have been sent; empty when it was not."""
    row = connection.execute("SELECT begun FROM deliveries WHERE post = ?", (post,)).fetchone()
    return str(row["begun"]) if row else ""


def begin(connection: sqlite3.Connection, post: int, begun: str) -> None:
    """From now on the post may have been sent."""
    connection.execute("UPDATE deliveries SET begun = ? WHERE post = ?", (begun, post))


def finish(connection: sqlite3.Connection, due: Due, sent: Sent) -> None:
    """Discord has the post: where it is is written together with the end of its delivery."""
    connection.execute(
        "INSERT INTO sent (key, revision, channel, message, webhook, task, proposal, votable)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET revision = excluded.revision,"
        " channel = excluded.channel, webhook = excluded.webhook, votable = excluded.votable,"
        " marked = marked AND message = excluded.message, message = excluded.message",
        sent,
    )
    drop(connection, due)


def drop(connection: sqlite3.Connection, due: Due) -> None:
    """End a delivery, and with it the progress of a task that the post ends."""
    connection.execute("DELETE FROM deliveries WHERE post = ?", (due.post,))
    if due.task and due.ends:
        connection.execute(
            "INSERT INTO progress (task, project, channel, message, webhook, answers, begun, ended, ends)"
            " VALUES (?, ?, '', '', '', '', '', 2, ?) ON CONFLICT (task)"
            " DO UPDATE SET ended = max(ended, iif(begun = '', 2, 1)), ends = excluded.ends",
            (due.task, due.project, due.ends),
        )


def sent_of(connection: sqlite3.Connection, key: str) -> Sent | None:
    """Where a post is."""
    row = connection.execute(f"SELECT {', '.join(Sent._fields)} FROM sent WHERE key = ?", (key,)).fetchone()
    return Sent(*row)._replace(votable=bool(row["votable"])) if row else None


def unmarked(connection: sqlite3.Connection) -> list[Sent]:
    """Cards that can be voted on and do not have the reactions for it yet."""
    rows = connection.execute(f"SELECT {', '.join(Sent._fields)} FROM sent WHERE votable AND NOT marked")
    return [Sent(*row) for row in rows]


def mark(connection: sqlite3.Connection, key: str) -> None:
    """A card has its reactions, or can't have them."""
    connection.execute("UPDATE sent SET marked = 1 WHERE key = ?", (key,))


def is_known(connection: sqlite3.Connection, message: str) -> bool:
    """Whether a message of Discord is a post, or progress, that was recorded as sent."""
    found = connection.execute(
        "SELECT 1 FROM sent WHERE message = ?1 UNION ALL SELECT 1 FROM progress WHERE message = ?1 LIMIT 1", (message,)
    )
    return found.fetchone() is not None


def _asked(connection: sqlite3.Connection, key: str) -> tuple[Origin, str, str, bool] | None:
    """Where a message was said, what it was taken for, the project of that place, and whether it was refused."""
    if not key:
        return None
    row = connection.execute("SELECT project, kind, refusal, origin FROM messages WHERE key = ?", (key,)).fetchone()
    if row is None or not row["origin"]:
        return None
    return _origin_of(row["origin"]), str(row["kind"]), str(row["project"]), bool(row["refusal"])


def _origin_of(written: str) -> Origin:
    return Origin(*json.loads(written))


def _lane_of_channel(channel: str, snapshot: Snapshot) -> str:
    """The lane of a place: a project's channel and the system channel have theirs by name."""
    for project in snapshot.projects.values():
        if project.channel == channel:
            return f"{_PROJECT}{project.name}"
    return SYSTEM if channel == snapshot.discord.system_channel else channel
