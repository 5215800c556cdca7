"""Damaged databases: set aside, reported, and everything that can be read is carried over."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from herald import wal
from herald.database import Database
from herald.errors import Unavailable
from tests.shared.staging import ROOT, SOURCES

_PAGE = 4096
_ROOT_OF_TABLE, _LEAF_OF_TABLE = 5, 13
_ROWS = 1000
_MIGRATIONS = [
    """
    CREATE TABLE rows (number INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL, again TEXT UNIQUE) STRICT;
    CREATE TABLE parts (number INTEGER REFERENCES rows, name TEXT) STRICT;
    """
]
_OPEN = """
import asyncio, sys
from herald.database import Database
from tests.shared.test_salvage import _MIGRATIONS
async def main():
    database = Database(sys.argv[1], _MIGRATIONS)
    await database.open()
    await database.close()
asyncio.run(main())
"""


class Found(NamedTuple):
    """What is there after a start."""

    rows: set[int]
    parts: int
    newest: int
    report: str


def open_and_look(path: Path, capsys: pytest.CaptureFixture[str]) -> Found:
    async def go() -> tuple[set[int], int, int]:
        database = Database(str(path), _MIGRATIONS)
        await database.open()

        def look(connection: sqlite3.Connection) -> tuple[set[int], int, int]:
            rows = {row[0] for row in connection.execute("SELECT number FROM rows WHERE text = 'text of ' || number")}
            parts = connection.execute("SELECT COUNT(*) FROM parts").fetchone()[0]
            connection.execute("INSERT INTO rows (text) VALUES ('new')")
            newest = connection.execute("SELECT MAX(number) FROM rows").fetchone()[0]
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            return rows, parts, newest

        try:
            return await database.write(look)
        finally:
            await database.close()

    capsys.readouterr()
    found = asyncio.run(go())
    return Found(*found, capsys.readouterr().err)


def fill(path: Path, first: int, last: int, *, leave_log: bool) -> None:
    """Write rows, each in a commit of its own; with `leave_log` as if the service had been killed then."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "PRAGMA synchronous=OFF"):
        connection.execute(statement)
    if first == 1:
        connection.executescript(_MIGRATIONS[0] + "PRAGMA user_version=1;")
    for number in range(first, last + 1):
        connection.execute("INSERT INTO rows VALUES (?1, 'text of ' || ?1, 'again ' || ?1)", (number,))
        connection.execute("INSERT INTO parts VALUES (?, 'part')", (number,))
    if leave_log:
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{path}.kept{suffix}")
    connection.close()
    if leave_log:
        for suffix in ("", "-wal"):
            os.replace(f"{path}.kept{suffix}", f"{path}{suffix}")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without a log."""
    path = tmp_path_factory.mktemp("sound") / "rows.sqlite"
    fill(path, 1, _ROWS, leave_log=False)
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of a service that was killed: the later half of the rows is in the log only."""
    path = tmp_path_factory.mktemp("killed") / "rows.sqlite"
    fill(path, 1, _ROWS // 2, leave_log=False)
    fill(path, _ROWS // 2 + 1, _ROWS, leave_log=True)
    return path


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Makes a copy that may be damaged, alone in its folder."""

    def make(source: Path) -> Path:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        for file in source.parent.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder / file.name)
        return folder / source.name

    return make


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


def pages(path: Path, kind: int) -> list[int]:
    """The pages of one kind, apart from the first."""
    data = path.read_bytes()
    return [number for number in range(1, len(data) // _PAGE) if data[number * _PAGE] == kind]


def set_aside(path: Path) -> list[str]:
    return sorted(name.partition(".damaged-")[0] for name in os.listdir(path.parent) if ".damaged-" in name)


def clean(path: Path) -> bool:
    """Whether nothing is left but the database and what was set aside."""
    left = {name for name in os.listdir(path.parent) if ".damaged-" not in name}
    return left <= {path.name, f"{path.name}-wal", f"{path.name}-shm"}


def test_a_sound_database_and_one_of_a_killed_service_are_left_alone(
    sound: Path, killed: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for source in (sound, killed):
        path = copy(source)
        found = open_and_look(path, capsys)

        assert (len(found.rows), found.parts, found.report) == (_ROWS, _ROWS, "")
        assert set_aside(path) == []


def test_a_file_cut_in_half_keeps_its_readable_half(
    sound: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy(sound)
    os.truncate(path, path.stat().st_size // 2 // _PAGE * _PAGE)

    found = open_and_look(path, capsys)

    assert found.rows
    assert set_aside(path) == [path.name]
    assert clean(path)
    assert f"{len(found.rows) + found.parts} rows are carried over" in found.report
    assert f"is set aside as {path}.damaged-" in found.report


@pytest.mark.parametrize("part", [0.2, 0.4, 0.6, 0.8, 0.99])
def test_a_damaged_page_costs_the_rows_in_it_and_no_others(
    sound: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str], part: float
) -> None:
    path = copy(sound)
    leaves = pages(path, _LEAF_OF_TABLE)
    overwrite(path, leaves[int(len(leaves) * part)] * _PAGE, b"\xff" * 64)

    found = open_and_look(path, capsys)

    assert set_aside(path) == [path.name]
    assert len(found.rows) + found.parts > 2 * _ROWS - 600, "one page of parts holds some 450 rows"
    assert found.newest > _ROWS, "numbers are not given twice"
    assert "rows are carried over" in found.report


def test_a_damaged_root_costs_its_table_and_no_other(
    sound: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for root in pages(sound, _ROOT_OF_TABLE):
        path = copy(sound)
        overwrite(path, root * _PAGE, b"\xff" * 64)

        found = open_and_look(path, capsys)

        assert _ROWS in (len(found.rows), found.parts)
        assert found.newest > _ROWS, "numbers are not given twice"
        assert set_aside(path) == [path.name]


@pytest.mark.parametrize("size", [16, 100])
def test_a_zeroed_header_costs_no_row(
    sound: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str], size: int
) -> None:
    path = copy(sound)
    overwrite(path, 0, bytes(size))

    found = open_and_look(path, capsys)

    assert (len(found.rows), found.parts) == (_ROWS, _ROWS)
    assert set_aside(path) == [path.name]
    assert "file is not a database" in found.report


def test_a_file_of_something_else_is_set_aside_and_a_new_one_begun(
    sound: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy(sound)
    path.write_bytes(b"To be or not to be\n" * 1000)

    found = open_and_look(path, capsys)

    assert (found.rows, found.newest) == (set(), 1)
    assert set_aside(path) == [path.name]
    assert "0 rows are carried over" in found.report


def test_an_empty_file_beside_its_log_is_not_taken_for_a_new_one(
    killed: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy(killed)
    os.truncate(path, 0)

    found = open_and_look(path, capsys)

    assert set_aside(path) == [path.name, f"{path.name}-wal"]
    assert "the file is empty, its log is not" in found.report


def test_a_log_of_garbage_is_set_aside_and_the_rest_kept(
    killed: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy(killed)
    Path(f"{path}-wal").write_bytes(os.urandom(100_000))

    found = open_and_look(path, capsys)

    assert len(found.rows) == _ROWS // 2
    assert set_aside(path) == [path.name, f"{path.name}-wal"]
    assert "the header of the log is damaged" in found.report


def test_a_log_that_was_cut_is_no_damage_where_a_kill_could_have_cut_it(
    killed: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy(killed)
    log = Path(f"{path}-wal")
    os.truncate(log, log.stat().st_size - 100)

    found = open_and_look(path, capsys)

    assert len(found.rows) >= _ROWS - 1
    assert (set_aside(path), found.report) == ([], "")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_flipped_byte_in_the_log_costs_at_most_what_it_hit(
    killed: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str], part: float
) -> None:
    path = copy(killed)
    log = Path(f"{path}-wal")
    frames = (log.stat().st_size - 32) // (_PAGE + 24)
    flip(log, 32 + int(frames * part) * (_PAGE + 24) + 24 + 1000)

    found = open_and_look(path, capsys)

    assert set_aside(path) == [path.name, f"{path.name}-wal"]
    assert "frames of its log cannot be read" in found.report
    assert len(found.rows) >= _ROWS - 100, "later frames hold the page anew"


def test_text_that_is_no_text_any_more_stops_nobody(
    sound: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy(sound)
    flip(path, path.read_bytes().index(b"text of 500") + 1)

    found = open_and_look(path, capsys)

    assert found.rows == set(range(1, _ROWS + 1)) - {500}


@pytest.mark.parametrize("call", range(2, 66, 8))
def test_a_kill_in_the_middle_of_a_rescue_loses_nothing(
    sound: Path, copy: Callable[[Path], Path], capsys: pytest.CaptureFixture[str], call: int
) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not here; `apt-get install strace`")
    path = copy(sound)
    overwrite(path, 3 * _PAGE, b"\xff" * 64)
    expected = open_and_look(copy(path), capsys)
    calls = "link,unlink,unlinkat,rename,openat,fsync,fdatasync,ftruncate,pwrite64,copy_file_range,sendfile"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    for suffix in ("", ".copy", ".new", ".salvaged"):
        strace += ["-P", f"{path}{suffix}"]
    strace += ["-e", f"inject={calls}:signal=KILL:when={call}"]
    done = subprocess.run(
        [*strace, sys.executable, "-c", _OPEN, str(path)],
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": SOURCES, "PATH": os.environ["PATH"]},
        capture_output=True,
    )
    if done.returncode not in (0, 137, -signal.SIGKILL):
        pytest.skip(f"strace cannot be used here: {done.stderr.decode()[-300:]}")

    found = open_and_look(path, capsys)

    assert (found.rows, found.parts) == (expected.rows, expected.parts)
    assert set_aside(path) == [path.name]
    assert clean(path)


def test_no_room_for_a_rescue_is_said_and_nothing_is_lost(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("a small disk can only be made by root")
    try:
        path = disk / sound.name
        shutil.copy(sound, path)
        overwrite(path, 3 * _PAGE, b"\xff" * 64)
        with pytest.raises(Unavailable, match=r"full\?|have room"):
            open_and_look(path, capsys)
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert len(open_and_look(path, capsys).rows) > 800
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_frames_of_a_log_are_counted_and_a_mended_one_is_read_whole(
    killed: Path, copy: Callable[[Path], Path]
) -> None:
    log = Path(f"{copy(killed)}-wal")
    frames = (log.stat().st_size - 32) // (_PAGE + 24)
    before = log.read_bytes()

    assert wal.committed_frames(str(log)) == frames
    wal.mend(str(log))
    assert log.read_bytes() == before, "a sound one stays as it is"
    flip(log, 32 + 10 * (_PAGE + 24) + 30)
    wal.mend(str(log))
    assert wal.committed_frames(str(log)) == frames - 1
    assert wal.committed_frames(f"{log}-nowhere") == 0
