"""The gateway's database: what people said, and the log of posts. Functions of an open connection.

A message is `recorded`, `begun` when something that must not be done twice is about to be done, and `done` when
it was acted on. Posts are never changed: an edit is a row of its own with the same key and a higher revision, so
the row id is a cursor under which a reader misses nothing.
"""

import json
import sqlite3
from typing import Any, Literal, NamedTuple

from herald.interfaces.gateway import PostEntry, PostKind
from herald_gateway.chat import Origin

MessageKind = Literal["task", "command", "vote"]


class NewMessage(NamedTuple):
    """A message to record. `lane`: messages of one lane are acted on in order. `refusal`: why it will not be.

    The rest is as in `chat.Message`."""

    key: str
    project: str
    author: str
    name: str
    text: str
    at: str
    kind: MessageKind
    lane: str
    refusal: str
    origin: Origin | None = None
    proposal: str = ""
    withdrawn: bool = False
    replies_to: str = ""
    attachments: str = ""


class Recorded(NamedTuple):
    """A recorded message. `seen_post` is the newest post when it was said: its place in the channel's history."""

    seq: int
    key: str
    project: str
    author: str
    name: str
    text: str
    at: str
    kind: MessageKind
    lane: str
    refusal: str
    seen_post: int
    state: Literal["recorded", "begun", "done"]
    origin: Origin | None = None
    proposal: str = ""
    withdrawn: bool = False
    replies_to: str = ""
    attachments: str = ""


class NewPost(NamedTuple):
    """A post to log, fit for people already."""

    key: str
    revision: int
    project: str
    kind: PostKind
    identity: str
    text: str
    plain: str
    file: str
    answers: str
    last: bool
    at: str
    task: str = ""
    ends: str = ""
    proposal: str = ""
    votable: bool = False
    actions: str = ""
    """one in each line"""


class Waiting(NamedTuple):
    """How many posts there are, how many messages wait, and since when the oldest does."""

    posts: int
    messages: int
    oldest: str


class Line(NamedTuple):
    """One line of a channel's history: a person's (`author` set) or a post."""

    place: tuple[int, int, int]
    author: str
    name: str
    text: str
    at: str


_MESSAGE = ", ".join(Recorded._fields)
_POST = "id, key, revision, project, kind, identity, text, file, answers, last, at, task, ends, proposal, votable"


def record(connection: sqlite3.Connection, message: NewMessage) -> Recorded:
    """Record a message once; the same key again gives what was recorded the first time."""
    names = ", ".join(NewMessage._fields)
    holes = ", ".join("?" * len(NewMessage._fields))
    origin = "" if message.origin is None else json.dumps(message.origin)
    connection.execute(
        f"INSERT INTO messages ({names}, seen_post) VALUES ({holes}, (SELECT coalesce(max(id), 0) FROM posts))"
        " ON CONFLICT (key) DO NOTHING",
        message._replace(origin=origin),  # type: ignore[arg-type]  # as it is kept
    )
    found = message_of(connection, message.key)
    assert found is not None
    return found


def message_of(connection: sqlite3.Connection, key: str) -> Recorded | None:
    """The message of that key."""
    row = connection.execute(f"SELECT {_MESSAGE} FROM messages WHERE key = ?", (key,)).fetchone()
    return _recorded_of(row) if row else None


def task_of(connection: sqlite3.Connection, message: str) -> str:
    """The task that a message of Discord belongs to: it is a post of it, shows what it does, or asked for it."""
    row = connection.execute(
        "SELECT task FROM sent WHERE message = ?1 AND task <> '' UNION ALL SELECT task FROM progress WHERE message = ?1"
        " UNION ALL SELECT task FROM posts WHERE answers = 'discord:' || ?1 AND task <> ''"
        " UNION ALL SELECT task FROM progress WHERE answers = 'discord:' || ?1 LIMIT 1",
        (message,),
    ).fetchone()
    return str(row[0]) if row else ""


def mark(connection: sqlite3.Connection, key: str, state: Literal["begun", "done"]) -> None:
    """Move a message on."""
    connection.execute("UPDATE messages SET state = ? WHERE key = ?", (state, key))


def lanes_waiting(connection: sqlite3.Connection) -> list[str]:
    """Lanes in which a message waits."""
    return [lane for (lane,) in connection.execute("SELECT DISTINCT lane FROM messages WHERE state <> 'done'")]


def next_waiting(connection: sqlite3.Connection, lane: str) -> Recorded | None:
    """The oldest message of a lane that was not acted on."""
    row = connection.execute(
        f"SELECT {_MESSAGE} FROM messages WHERE lane = ? AND state <> 'done' ORDER BY seq LIMIT 1", (lane,)
    ).fetchone()
    return _recorded_of(row) if row else None


def attached(connection: sqlite3.Connection) -> set[str]:
    """Paths of attachments that a waiting message needs."""
    rows = connection.execute("SELECT attachments FROM messages WHERE state <> 'done' AND attachments <> ''")
    return {str(path) for (path,) in rows}


def waiting(connection: sqlite3.Connection) -> Waiting:
    """The numbers of the status line."""
    (posts,) = connection.execute("SELECT coalesce(max(id), 0) FROM posts").fetchone()
    messages, oldest = connection.execute(
        "SELECT count(*), coalesce(min(at), '') FROM messages WHERE state <> 'done'"
    ).fetchone()
    return Waiting(posts, messages, oldest)


def log_post(connection: sqlite3.Connection, post: NewPost) -> bool:
    """Log a post; false when it, or a later revision of it, is there already."""
    names = ", ".join(NewPost._fields)
    holes = ", ".join("?" * len(NewPost._fields))
    if is_logged(connection, post.key, post.revision):
        return False
    connection.execute(f"INSERT INTO posts ({names}) VALUES ({holes})", post)
    return True


def is_logged(connection: sqlite3.Connection, key: str, revision: int) -> bool:
    """Whether this post, or a later revision of it, is in the log."""
    found = connection.execute("SELECT 1 FROM posts WHERE key = ? AND revision >= ? LIMIT 1", (key, revision))
    return found.fetchone() is not None


def posts_after(connection: sqlite3.Connection, since: int, limit: int, project: str | None = None) -> list[PostEntry]:
    """Posts with an id above `since`, oldest first."""
    if project is None:
        rows = connection.execute(f"SELECT {_POST} FROM posts WHERE id > ? ORDER BY id LIMIT ?", (since, limit))
    else:
        rows = connection.execute(
            f"SELECT {_POST} FROM posts WHERE project = ? AND id > ? ORDER BY id LIMIT ?", (project, since, limit)
        )
    return [_post_of(row) for row in rows]


def newest_post(connection: sqlite3.Connection) -> int:
    """The id of the newest post, 0 before the first."""
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM posts").fetchone()
    return int(newest)


def history_before(connection: sqlite3.Connection, project: str, message: Recorded, limit: int) -> list[Line]:
    """The last lines of a channel when `message` was said, newest first: what people said and was not refused, and
    the posts, each at its latest revision."""
    said = connection.execute(
        "SELECT seen_post, 1, seq, author, name, text, at FROM messages"
        " WHERE project = ? AND seq < ? AND refusal = '' ORDER BY seq DESC LIMIT ?",
        (project, message.seq, limit),
    )
    posted = connection.execute(
        "SELECT id, 0, 0, '', identity, plain, at FROM posts AS post WHERE project = ? AND id <= ?"
        " AND NOT EXISTS (SELECT 1 FROM posts WHERE key = post.key AND revision > post.revision AND id <= ?)"
        " ORDER BY id DESC LIMIT ?",
        (project, message.seen_post, message.seen_post, limit),
    )
    lines = [Line((row[0], row[1], row[2]), *row[3:]) for row in (*said, *posted)]
    return sorted(lines, reverse=True)[:limit]


def _recorded_of(row: tuple[Any, ...]) -> Recorded:
    message = dict(zip(Recorded._fields, row, strict=True))
    origin = Origin(*json.loads(message["origin"])) if message["origin"] else None
    return Recorded(**{**message, "origin": origin, "withdrawn": bool(message["withdrawn"])})


def _post_of(row: tuple[object, ...]) -> PostEntry:
    post = dict(zip(_POST.split(", "), row, strict=True))
    return PostEntry(**{**post, "last": bool(post["last"]), "votable": bool(post["votable"])})  # type: ignore[typeddict-item]
