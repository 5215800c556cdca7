"""The database: what is acknowledged is on the disk, and one failing write takes no other along."""

import asyncio
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from herald.database import Database
from herald.errors import HeraldError, Unavailable
from tests.shared.staging import ROOT, SOURCES
from tests.shared.writer import MIGRATIONS

T = TypeVar("T")


def with_database(
    path: Path, act: Callable[[Database], Awaitable[T]], migrations: Sequence[str] = tuple(MIGRATIONS)
) -> T:
    """Open, act, close."""

    async def go() -> T:
        database = Database(str(path), migrations)
        await database.open()
        try:
            return await act(database)
        finally:
            await database.close()

    return asyncio.run(go())


def insert(number: int) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO rows VALUES (?, 'x')", (number,))

    return work


def numbers(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("SELECT number FROM rows ORDER BY number")]
    finally:
        connection.close()


class Writer:
    """A process that writes and says what was acknowledged."""

    def __init__(self, path: Path, *arguments: str, trace: Path | None = None) -> None:
        calls = "fsync,fdatasync,pwrite64,write"
        prefix = ["strace", "-f", "-qq", "-y", "-e", f"trace={calls}", "-o", str(trace)] if trace else []
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.shared.writer", str(path), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": SOURCES, "PATH": "/usr/bin:/bin"},
        )
        assert self.line() == "open"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, rows: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{rows}\n")
        self.process.stdin.flush()

    def write(self, rows: int) -> list[str]:
        """Write so many rows at once; what it said about them."""
        self.ask(rows)
        return list(iter(self.line, "done"))

    def end(self) -> list[str]:
        """Let it end, if it has not been killed; what it said since."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        rest = self.process.stdout.read().split("\n")
        self.process.stdout.close()
        self.process.wait(30)
        return rest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.sqlite"


def test_what_was_written_is_read(path: Path) -> None:
    async def act(database: Database) -> list[int]:
        await database.write(insert(1))
        rows = await database.read(lambda connection: connection.execute("SELECT number FROM rows").fetchall())
        return [row["number"] for row in rows]

    assert with_database(path, act) == [1]


def test_a_failing_write_takes_no_other_of_its_batch_along(path: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        insert(1000)(connection)
        raise KeyError("on purpose")

    async def act(database: Database) -> list[BaseException | None]:
        works = [fail if number % 3 == 0 else insert(number) for number in range(30)]
        works += [insert(1)]
        return await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)

    results = with_database(path, act)

    assert [type(result) for result in results[:30:3]] == [KeyError] * 10
    assert isinstance(results[30], sqlite3.IntegrityError)
    assert numbers(path) == [number for number in range(30) if number % 3]


def test_writes_that_wait_together_share_commits(path: Path) -> None:
    def commits() -> int:
        log = Path(f"{path}-wal").read_bytes()
        size = 4096 + 24
        return sum(log[start + 4 : start + 8] != bytes(4) for start in range(32, len(log) - size + 1, size))

    async def act(database: Database) -> int:
        await asyncio.gather(*(database.write(insert(number)) for number in range(1000)))
        return commits()

    assert with_database(path, act) < 20
    assert len(numbers(path)) == 1000


def test_reads_and_writes_keep_their_order(path: Path) -> None:
    def count(connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT COUNT(*) FROM rows").fetchone()[0])

    async def act(database: Database) -> list[int | None]:
        asked: list[Awaitable[int | None]] = []
        for number in range(300):
            asked += [database.write(insert(number)), database.read(count)]
        return await asyncio.gather(*asked)

    assert with_database(path, act)[1::2] == list(range(1, 301))


def test_a_write_whose_caller_gave_up_is_still_carried_out(path: Path) -> None:
    async def act(database: Database) -> None:
        write = asyncio.create_task(database.write(insert(1)))
        await asyncio.sleep(0)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        await database.write(insert(2))

    with_database(path, act)
    assert numbers(path) == [1, 2]


def test_what_was_asked_for_before_the_end_is_finished(path: Path) -> None:
    async def go() -> list[BaseException | None]:
        database = Database(str(path), MIGRATIONS)
        await database.open()
        writes = [asyncio.ensure_future(database.write(insert(number))) for number in range(500)]
        await asyncio.sleep(0)
        await database.close()
        with pytest.raises(Unavailable, match="stopping"):
            await database.write(insert(1000))
        return await asyncio.gather(*writes, return_exceptions=True)

    assert asyncio.run(go()) == [None] * 500
    assert numbers(path) == list(range(500))


@pytest.fixture
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, locked by somebody else until `rollback`."""
    with_database(path, lambda database: database.write(insert(0)))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_while_another_process_holds_the_lock_calls_end_within_their_deadline(
    path: Path, locked: sqlite3.Connection
) -> None:
    async def act(database: Database) -> tuple[list[BaseException | None], float]:
        begun = time.monotonic()
        first = asyncio.gather(*(database.write(insert(number)) for number in range(1, 5)), return_exceptions=True)
        await asyncio.sleep(0.1)
        later = asyncio.gather(*(database.write(insert(number)) for number in range(5, 9)), return_exceptions=True)
        refused = [*await first, *await later]
        took = time.monotonic() - begun
        locked.rollback()
        await database.write(insert(9))
        return refused, took

    refused, took = with_database(path, act)

    assert [str(each) for each in refused] == [
        "the database is locked by another process; nothing was changed, try again when it is free"
    ] * 8
    assert all(isinstance(each, Unavailable) for each in refused)
    assert took < 9.0
    assert numbers(path) == [0, 9]


def test_a_full_disk_is_an_error_and_then_goes_on(path: Path) -> None:
    writer = Writer(path, "200000")

    said = writer.write(300)
    while not any(line.startswith("refused") for line in said):
        said += writer.write(300)
    for line in said:
        assert line.startswith("written") or ("refused" in line and ("full" in line or "disk I/O error" in line))
    writer.process.send_signal(signal.SIGUSR1)
    assert writer.line() == "unlimited"
    said += writer.write(50)
    writer.end()

    assert [line.split()[0] for line in said[-50:]] == ["written"] * 50
    assert numbers(path) == sorted(int(line.split()[1]) for line in said if line.startswith("written"))


def test_a_tiny_disk_that_is_full_is_an_error_and_then_goes_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("a small disk can only be made by root")
    try:
        path = disk / "rows.sqlite"
        writer = Writer(path)
        said: list[str] = []
        while not any(line.startswith("refused") for line in said):
            said += writer.write(200)
        assert "free some space and try again" in next(line for line in said if line.startswith("refused"))
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        said += writer.write(50)
        writer.end()
        assert [line.split()[0] for line in said[-50:]] == ["written"] * 50
        assert numbers(path) == sorted(int(line.split()[1]) for line in said if line.startswith("written"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_after_kills_at_random_moments_every_acknowledged_row_is_there(path: Path) -> None:
    chance = random.Random(20260131)
    written: set[int] = set()
    for _ in range(12):
        writer = Writer(path)
        for _ in range(20):
            writer.ask(chance.choice([1, 3, 40]))
        for _ in range(chance.randrange(120)):
            line = writer.line()
            written |= {int(line.split()[1])} if line.startswith("written") else set()
        writer.process.kill()
        written |= {int(line.split()[1]) for line in writer.end() if line.startswith("written") and line[-1].isdigit()}

    there = with_database(
        path, lambda database: database.read(lambda c: {r[0] for r in c.execute("SELECT number FROM rows")})
    )
    assert written <= there
    assert len(written) > 100


def test_nothing_is_acknowledged_before_it_is_synced(path: Path, tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not here; `apt-get install strace`")
    trace = tmp_path / "trace"
    try:
        writer = Writer(path, trace=trace)
    except AssertionError:
        pytest.skip(f"strace cannot be used here: {trace.read_text()[-300:]}")
    for _ in range(5):
        assert [line.split()[0] for line in writer.write(3)] == ["written"] * 3
    writer.end()

    unsynced, acknowledged = False, 0
    for line in trace.read_text().splitlines():
        if "pwrite64(" in line and "-wal>" in line:
            unsynced = True
        elif ("fdatasync(" in line or "fsync(" in line) and "-wal>" in line:
            unsynced = False
        elif "write(1<" in line and "written" in line:
            acknowledged += 1
            assert not unsynced, line
    assert acknowledged == 15


def test_schemas_are_brought_up_to_date_step_by_step(path: Path) -> None:
    steps = [*MIGRATIONS, "ALTER TABLE rows ADD COLUMN more TEXT;", "UPDATE rows SET more = 'from step 3';"]

    with_database(path, lambda database: database.write(insert(1)))
    with_database(
        path, lambda database: database.read(lambda c: c.execute("SELECT more FROM rows").fetchall()), steps[:2]
    )
    row = with_database(
        path, lambda database: database.read(lambda c: c.execute("SELECT * FROM rows").fetchone()), steps
    )

    assert tuple(row) == (1, "x", "from step 3")


def test_a_step_that_fails_changes_nothing_and_is_made_again(path: Path) -> None:
    with_database(path, lambda database: database.write(insert(1)))
    broken = [*MIGRATIONS, "ALTER TABLE rows ADD COLUMN more TEXT; INSERT INTO nowhere VALUES (1);"]

    with pytest.raises(HeraldError, match="no such table: nowhere"):
        with_database(path, lambda database: database.write(insert(2)), broken)

    mended = [*MIGRATIONS, "ALTER TABLE rows ADD COLUMN more TEXT;"]
    with_database(path, lambda database: database.write(lambda c: c.execute("UPDATE rows SET more = 'y'")), mended)
    assert numbers(path) == [1]


def test_a_database_of_a_later_herald_is_refused_and_left_alone(path: Path) -> None:
    with_database(path, lambda database: database.write(insert(1)), [*MIGRATIONS, "SELECT 1;"])

    with pytest.raises(Unavailable, match=r"written by a later Herald \(schema 2, this one knows 1\); upgrade again"):
        with_database(path, lambda database: database.write(insert(2)))
    assert numbers(path) == [1]


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="unable to open database file"):
        with_database(tmp_path / "nowhere" / "rows.sqlite", lambda database: database.write(insert(1)))
