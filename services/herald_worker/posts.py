"""The outbox: posts are written in the transaction of what they tell of, and handed to the gateway in order.

A post leaves the outbox when the gateway has it on its disk; the gateway takes each key and revision once, so a
repeat after a crash shows nothing twice.
"""

import asyncio
import contextlib
import os
import random
import sqlite3
from typing import NamedTuple

from asyncvarlink import FileDescriptor

from herald import journal
from herald.bus import client
from herald.database import Database
from herald.errors import HeraldError, Invalid, Unavailable
from herald.interfaces.gateway import Gateway, PostKind, Progress

_INLINE = 1 << 16
"""Longer texts travel as a file."""


class NewPost(NamedTuple):
    """A post to be made. `file` is a path whose content is the text."""

    key: str
    project: str
    kind: PostKind
    text: str
    revision: int = 0
    identity: str = ""
    answers: str = ""
    last: bool = False
    file: str = ""
    task: str = ""
    ends: str = ""
    """the line with which the task's progress ends; empty: it goes on"""
    proposal: str = ""
    votable: bool = False
    actions: tuple[str, ...] = ()
    """commands offered as buttons, without the exclamation mark: `stash demo`"""


def add(connection: sqlite3.Connection, post: NewPost) -> None:
    """Write a post into the outbox; to be called inside a write."""
    connection.execute(
        "INSERT INTO outbox (key, revision, project, kind, identity, text, file, answers, last, task, ends, proposal,"
        " votable, actions) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            post.key,
            post.revision,
            post.project,
            post.kind,
            post.identity,
            post.text,
            post.file,
            post.answers,
            int(post.last),
            post.task,
            post.ends,
            post.proposal,
            int(post.votable),
            "\n".join(post.actions),
        ),
    )


class Outbox:
    """Hands posts to the gateway, one after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gateway = client.peer(Gateway)
        self._wake = asyncio.Event()

    def committed(self) -> None:
        """Something may have been added."""
        self._wake.set()

    async def backlog(self) -> int:
        """Posts that the gateway does not have yet."""
        return await self._database.read(
            lambda connection: int(connection.execute("SELECT COUNT(*) FROM outbox").fetchone()[0])
        )

    async def show_progress(self, progress: Progress) -> None:
        """Show what a task is doing; not kept, so nobody waits for it and a failure does not matter."""
        with contextlib.suppress(HeraldError):
            await self._gateway.ShowProgress(**progress)

    async def deliver(self) -> None:
        """Deliver for ever."""
        while True:
            self._wake.clear()
            row = await self._database.read(
                lambda connection: connection.execute("SELECT * FROM outbox ORDER BY id LIMIT 1").fetchone()
            )
            if row is None:
                await self._wake.wait()
                continue
            try:
                await self._post(row)
            except Unavailable:
                await asyncio.sleep(random.uniform(0.1, 0.5))
                continue
            except Invalid as error:
                journal.error(f"the gateway refuses a post, it is dropped: {error.message}", project=row["project"])
            number = row["id"]
            await self._database.write(
                lambda connection, number=number: connection.execute("DELETE FROM outbox WHERE id = ?", (number,))  # type: ignore[misc]
            )
            if row["file"]:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(row["file"])

    async def _post(self, row: sqlite3.Row) -> None:
        text, path = row["text"], row["file"]
        file = None
        if path:
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                text = "(the output is gone: its file was removed by hand)"
        try:
            await self._gateway.Post(
                key=row["key"],
                project=row["project"],
                kind=row["kind"],
                text=text,
                revision=row["revision"],
                identity=row["identity"] or None,
                answers=row["answers"] or None,
                last=bool(row["last"]),
                task=row["task"] or None,
                ends=row["ends"] or None,
                proposal=row["proposal"] or None,
                votable=bool(row["votable"]),
                actions=row["actions"].splitlines() or None,
                file_name="output.txt" if file is not None else None,
                file=None if file is None else FileDescriptor(file),
            )
        finally:
            if file is not None:
                os.close(file)


def output(folder: str, name: str, text: str) -> tuple[str, str]:
    """The text and file of a post: long output goes into a file of the worker's, on the disk before the row is."""
    data = text.encode("utf-8", "replace")
    if len(data) <= _INLINE:
        return text, ""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return "", path
