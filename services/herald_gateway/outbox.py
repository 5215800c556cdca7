"""Posts on their way out: made fit for people, durable, then shown. The single exit of text to chat."""

import asyncio
import os
import re
import sqlite3
from functools import partial
from typing import NamedTuple

from herald.clock import now
from herald.database import Database
from herald.durable import sync_folder, write_atomic
from herald.errors import Unavailable
from herald.interfaces.gateway import PostEntry, PostKind, Progress
from herald.snapshot import EMPTY, Current, Snapshot
from herald_gateway import deliveries, records
from herald_gateway.chat import Chat
from herald_gateway.rendering import Rendered, render_block, render_line, render_text, well_formed

_DEFAULT_NAME = "output.txt"
_MOST_AT_ONCE = 500


class Draft(NamedTuple):
    """A post as it was asked for. `content` is that of a file that was handed over: its text becomes the post's,
    and `text` a line before it."""

    key: str
    project: str
    kind: PostKind
    text: str
    revision: int = 0
    identity: str = ""
    answers: str = ""
    last: bool = False
    file_name: str = ""
    content: str | None = None
    task: str = ""
    ends: str = ""
    proposal: str = ""
    votable: bool = False
    actions: tuple[str, ...] = ()
    delivered: bool = False
    """It is in Discord already, by somebody else's hand."""


class Outbox:
    """The log of posts and the files that belong to it."""

    def __init__(self, database: Database, folder: str) -> None:
        self._database = database
        self._folder = folder
        self._chats: list[Chat] = []
        self._discord: Current | None = None

    def deliver(self, snapshot: Current) -> None:
        """From now on every post is also noted as one that Discord must get, in the transaction that logs it."""
        self._discord = snapshot

    def add(self, chat: Chat) -> None:
        """From now on this chat hears of posts and progress."""
        self._chats.append(chat)

    async def post(self, draft: Draft) -> None:
        """Log a post and tell the chats; returns when it is on the disk. Raises Unavailable.

        The same key and revision again changes nothing, nor does a revision that comes after a later one.
        """
        if await self._database.read(lambda connection: records.is_logged(connection, draft.key, draft.revision)):
            return
        rendered, path = await asyncio.to_thread(self._prepare, draft)
        post = records.NewPost(
            key=draft.key,
            revision=draft.revision,
            project=draft.project,
            kind=draft.kind,
            identity=render_line(draft.identity),
            text=rendered.text,
            plain=rendered.plain,
            file=path,
            answers=draft.answers,
            last=draft.last,
            at=now(),
            task=draft.task,
            ends=render_line(draft.ends),
            proposal=draft.proposal,
            votable=draft.votable,
            actions="\n".join(draft.actions),
        )
        destinations = None if draft.delivered else self._destinations()
        await self._database.write(partial(_log, post=post, destinations=destinations))
        for chat in self._chats:
            chat.posted()

    def progress(self, progress: Progress) -> None:
        """Show what a task is doing; nothing is kept."""
        shown = Progress(**{**progress, "text": render_line(progress["text"])})
        for chat in self._chats:
            chat.progressed(shown)

    async def after(self, since: int, limit: int, project: str | None = None) -> list[PostEntry]:
        """Posts with an id above `since`, oldest first."""
        limit = max(1, min(limit, _MOST_AT_ONCE))
        return await self._database.read(lambda connection: records.posts_after(connection, since, limit, project))

    async def newest(self) -> int:
        """The id of the newest post."""
        return await self._database.read(records.newest_post)

    def _destinations(self) -> Snapshot | None:
        """What says where posts go in Discord; None without it. A damaged snapshot holds up no post."""
        try:
            return None if self._discord is None else self._discord.get()
        except Unavailable:
            return EMPTY

    def _prepare(self, draft: Draft) -> tuple[Rendered, str]:
        """Render, and write the file if it is one: before the post that names it. Runs in a thread."""
        name = _safe_name(draft.file_name)
        if draft.content is not None:
            rendered = render_block(draft.content, draft.text, name)
        elif draft.kind == "answer":
            rendered = render_block(well_formed(draft.text), "", name)
        else:
            rendered = render_text(well_formed(draft.text))
        if rendered.file is None:
            return rendered, ""
        import hashlib  # brings OpenSSL along, and most posts have no file

        post = hashlib.sha256(f"{draft.key}\0{draft.revision}".encode()).hexdigest()[:24]
        path = os.path.join(self._folder, post, name)
        try:
            _write(path, rendered.file)
        except OSError as error:
            raise Unavailable(f"the file of a post cannot be stored: {error.strerror}; free some space") from error
        return rendered, path


def _log(connection: sqlite3.Connection, post: records.NewPost, destinations: Snapshot | None) -> None:
    if records.log_post(connection, post) and destinations is not None:
        deliveries.add(connection, post, destinations)


def _write(path: str, data: bytes) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o750, exist_ok=True)
    write_atomic(path, data)
    sync_folder(os.path.dirname(folder))


def _safe_name(name: str) -> str:
    """A file name that is one, whoever chose it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")[:80] or _DEFAULT_NAME
