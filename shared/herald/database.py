"""SQLite for what is queried: one thread, write-ahead log, every commit on the disk before anyone is told.

Writes that wait at the same moment share one commit (group commit), each in a savepoint of its own, so that one
that fails takes no other along. A database that is damaged is set aside; what can still be read of it is carried
over into a new one (`herald.salvage`).
"""

import asyncio
import contextlib
import functools
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from herald import salvage, wal
from herald.errors import Unavailable

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]

_LOCK_WAIT = 3.0
"""Seconds to wait for a lock that another process holds; below every call's deadline."""

_BATCH = 256


class Database:
    """One SQLite file, owned by one service. All work runs in one thread, in the order in which it was asked for."""

    def __init__(self, path: str, migrations: Sequence[str]) -> None:
        self.path = path
        self._migrations = migrations
        self._waiting: list[tuple[bool, Work, asyncio.Future[Any]]] = []
        self._wake = threading.Condition()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._work, name=f"sqlite {os.path.basename(path)}", daemon=True)

    async def open(self) -> None:
        """Open, check, migrate. Raises Unavailable when the file is locked, unwritable or of a later version."""
        self._connection = await asyncio.to_thread(_open, self.path, self._migrations)
        self._thread.start()

    async def close(self) -> None:
        """Finish what was asked for and close."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run in a transaction; returns when it is on the disk. Raises what `work` raises, and Unavailable."""
        result: T = await self._ask(True, work)
        return result

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run without a transaction of its own, after all writes that were asked for before."""
        result: T = await self._ask(False, work)
        return result

    def _ask(self, writes: bool, work: Work) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        with self._wake:
            if self._closing:
                raise Unavailable("the service is stopping")
            self._waiting.append((writes, work, future))
            self._wake.notify()
        return future

    def _work(self) -> None:
        assert self._connection is not None
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            if not batch:
                break
            outcomes = _run_batch(self._connection, batch)
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, outcomes)
        self._connection.close()


Outcome = tuple[asyncio.Future[Any], Any, Exception | None]


def _settle(outcomes: list[Outcome]) -> None:
    for future, value, error in outcomes:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)


def _run_batch(connection: sqlite3.Connection, batch: list[tuple[bool, Work, asyncio.Future[Any]]]) -> list[Outcome]:
    writes = any(each[0] for each in batch)
    outcomes: list[Outcome] = []
    try:
        if writes:
            connection.execute("BEGIN IMMEDIATE")
        for index, (_, work, future) in enumerate(batch):
            outcomes.append(_run_one(connection, work, future, f"s{index}" if writes else ""))
        if writes:
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        with contextlib.suppress(sqlite3.Error):  # often undone already
            connection.execute("ROLLBACK")
        refused = _refusal(error)
        return [(future, None, refused) for _, _, future in batch]
    return outcomes


def _run_one(connection: sqlite3.Connection, work: Work, future: asyncio.Future[Any], savepoint: str) -> Outcome:
    """The boundary of one piece of work: what it raises goes to who asked for it, and undoes this piece alone."""
    if savepoint:
        connection.execute(f"SAVEPOINT {savepoint}")
    try:
        value = work(connection)
    except Exception as error:  # handed to the caller as it is
        if savepoint and isinstance(error, sqlite3.Error) and not connection.in_transaction:
            raise  # SQLite has undone the whole batch: no room on the disk, no memory
        if savepoint:
            connection.execute(f"ROLLBACK TO {savepoint}")
            connection.execute(f"RELEASE {savepoint}")
        return future, None, _refusal(error) if isinstance(error, sqlite3.OperationalError) else error
    if savepoint:
        connection.execute(f"RELEASE {savepoint}")
    return future, value, None


def _refusal(error: Exception) -> Unavailable:
    text = str(error)
    if "locked" in text:
        return Unavailable("the database is locked by another process; nothing was changed, try again when it is free")
    if "full" in text:
        return Unavailable("the disk is full; nothing was changed, free some space and try again")
    return Unavailable(f"the database refuses: {text}")


def _open(path: str, migrations: Sequence[str]) -> sqlite3.Connection:
    """Open, checked and of the current schema; a damaged file is replaced by what can be read of it."""
    try:
        salvage.settle(path)
        damage = _damage_at_sight(path)
        if damage is None:
            connection = _connect(path)
            try:
                damage = _damage(connection, wal.committed_frames(f"{path}-wal"))
                if damage is None:
                    _migrate(connection, path, migrations)
                    return connection
                salvage.rescue(path, damage, lambda new: _create(new, migrations), release=connection.close)
            except BaseException:
                connection.close()
                raise
        else:
            salvage.rescue(path, damage, lambda new: _create(new, migrations), release=lambda: None)
        return _create(path, migrations)
    except sqlite3.OperationalError as error:
        raise Unavailable(
            f"{path}: {error}; is another Herald running on this state, the folder unwritable or its disk full?"
        ) from error
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}; the folder must be writable and its disk have room") from error


def _create(path: str, migrations: Sequence[str]) -> sqlite3.Connection:
    """Open a database that is known to be sound, or make one."""
    connection = _connect(path)
    try:
        _damage(connection, 0)
        _migrate(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_LOCK_WAIT, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.text_factory = functools.partial(str, encoding="utf-8", errors="replace")
    return connection


def _damage_at_sight(path: str) -> str | None:
    """What is wrong with files that SQLite would take for new ones, dropping their log."""
    log = f"{path}-wal"
    if not os.path.exists(path) or not os.path.exists(log):
        return None
    if os.path.getsize(path) == 0 and os.path.getsize(log) > 0:
        return "the file is empty, its log is not"
    try:
        wal.committed_frames(log)
    except ValueError as error:
        return str(error)
    return None


def _damage(connection: sqlite3.Connection, logged: int) -> str | None:
    """What is wrong with the file, or None. `logged` frames must be in its log."""
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        taken = int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]) if logged else 0
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return str(error)
    if found == "ok" and 0 <= taken < logged:
        return f"{logged - taken} of {logged} frames of its log cannot be read"
    return None if found == "ok" else found


def _migrate(connection: sqlite3.Connection, path: str, migrations: Sequence[str]) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(migrations):
        raise Unavailable(
            f"{path} was written by a later Herald (schema {version}, this one knows {len(migrations)}); upgrade again"
        )
    for number, script in enumerate(migrations[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version={number};\nCOMMIT;")
