"""A database that is damaged: set aside, and every row that can still be read carried over into a new one.

A kill at any step loses nothing. The new database is built from a copy, under another name; `PATH.salvaged` exists
once it is complete, and from then on each start finishes the exchange.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator

from herald import journal, wal
from herald.durable import set_aside, sync_folder, with_no_trace

_PROBES = 100_000
"""Rows that are looked for one by one in the gap of a damaged table."""

_MAGIC = b"SQLite format 3\0"
_FILE_HEADER = 100

Create = Callable[[str], sqlite3.Connection]


def settle(path: str) -> None:
    """Finish what a kill interrupted: put a salvaged database in the place of the damaged one. Raises OSError."""
    _put_back_log(path)
    salvaged = f"{path}.salvaged"
    if not os.path.exists(salvaged):
        return
    for name in (path, f"{path}-wal"):
        if os.path.exists(name):
            journal.error(f"{name} was damaged and is set aside as {set_aside(name)}", file=name)
    with_no_trace(f"{path}-shm")
    os.rename(salvaged, path)
    sync_folder(os.path.dirname(path))


def rescue(path: str, damage: str, create: Create, *, release: Callable[[], None]) -> None:
    """Build a new database from what can be read of a damaged one, and put it in its place.

    `create` makes an empty one of the current schema. `release` closes what has the damaged one open, whereby SQLite
    takes what it can from the log and removes it: hence the log is kept meanwhile. Raises OSError and sqlite3.Error.
    """
    import shutil  # half a megabyte that every service would hold for nothing

    log = f"{path}-wal"
    if os.path.exists(log) and os.path.getsize(log):
        os.link(log, f"{log}.kept")
    release()
    _put_back_log(path)
    copy, building = f"{path}.copy", f"{path}.new"
    for name in (copy, building):
        _remove(name)
    shutil.copyfile(path, copy)
    if os.path.exists(log):
        shutil.copyfile(log, f"{copy}-wal")
        with contextlib.suppress(ValueError):  # a log without a start holds nothing that can be placed
            wal.mend(f"{copy}-wal")
    new = create(building)
    new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _mend_header(copy, building)
    old = sqlite3.connect(copy, isolation_level=None)
    old.text_factory = new.text_factory
    try:
        carried = _carry_over(old, new)
    finally:
        old.close()
        new.close()
    journal.error(f"{path} was damaged ({damage}); {carried} rows are carried over into a new one", file=path)
    with open(building, "rb") as file:
        os.fsync(file.fileno())
    os.rename(building, f"{path}.salvaged")
    settle(path)
    _remove(copy)


def _put_back_log(path: str) -> None:
    log, kept = f"{path}-wal", f"{path}-wal.kept"
    if os.path.exists(log):
        with_no_trace(kept)
    elif os.path.exists(kept):
        os.rename(kept, log)


def _remove(name: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        with_no_trace(name + suffix)


def _mend_header(copy: str, sound: str) -> None:
    """Let the first bytes fit the size of the file; where they are gone, take those of a sound database of its kind."""
    with open(copy, "r+b") as file, open(sound, "rb") as other:
        head = bytearray(file.read(_FILE_HEADER))
        if head[: len(_MAGIC)] != _MAGIC:
            head = bytearray(other.read(_FILE_HEADER))
            head[32:40] = bytes(8)  # no list of free pages
        page_size = int.from_bytes(head[16:18], "big")
        head[28:32] = (os.path.getsize(copy) // page_size).to_bytes(4, "big")
        file.seek(0)
        file.write(head)


def _carry_over(old: sqlite3.Connection, new: sqlite3.Connection) -> int:
    carried = 0
    new.execute("PRAGMA foreign_keys=OFF")
    new.execute("BEGIN IMMEDIATE")
    tables = new.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'").fetchall()
    for (table,) in tables:
        columns = [name for name in _columns(new, table) if name in set(_columns(old, table))]
        if columns:
            carried += _carry_table(old, new, table, ", ".join(columns), len(columns))
    _carry_counters(old, new)
    new.execute("COMMIT")
    return carried


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    try:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    except sqlite3.Error:
        return []  # the schema itself is damaged


def _carry_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str, names: str, count: int) -> int:
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({', '.join('?' * count)})"
    carried = 0
    for row in _readable(old, table, names):
        try:
            carried += new.execute(insert, row).rowcount
        except sqlite3.IntegrityError:
            continue  # a row that breaks the table's own rules is part of the damage
    return carried


def _carry_counters(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Numbers that were given once are not given again, even if their rows are lost."""
    with contextlib.suppress(sqlite3.Error):
        for name, number in old.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            new.execute("UPDATE sqlite_sequence SET seq=MAX(seq, ?) WHERE name=?", (number, name))
            new.execute(
                "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, ?2"
                " WHERE ?1 IN (SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%')"
                " AND ?1 NOT IN (SELECT name FROM sqlite_sequence)",
                (name, number),
            )


def _readable(old: sqlite3.Connection, table: str, names: str) -> Iterator[tuple[object, ...]]:
    """Rows from the start until the damage, from the end until the damage, and in between one by one."""
    first_end, last_end = 0, 0
    for direction in ("ASC", "DESC"):
        try:
            for number, *row in old.execute(f"SELECT rowid, {names} FROM {table} ORDER BY rowid {direction}"):
                if direction == "ASC":
                    first_end = number
                else:
                    last_end = number
                yield tuple(row)
        except sqlite3.Error:
            continue
        return
    for number in range(first_end + 1, min(last_end or first_end + _PROBES, first_end + _PROBES)):
        try:
            found = old.execute(f"SELECT {names} FROM {table} WHERE rowid=?", (number,)).fetchone()
        except sqlite3.Error:
            continue
        if found is not None:
            yield tuple(found)
