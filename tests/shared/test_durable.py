"""Files that are whole or not there at all."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from herald import durable
from tests.shared.staging import ROOT, SOURCES

_LOOP = """
import sys
from herald.durable import write_atomic
number = int(sys.argv[2])
while True:
    number += 1
    write_atomic(sys.argv[1], (f"{number}\\n" * 20_000).encode())
    print(number, flush=True)
"""


def test_kills_while_a_file_is_written_leave_the_old_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    chance = random.Random(7)
    last = 0
    for _ in range(10):
        writer = subprocess.Popen(
            [sys.executable, "-c", _LOOP, str(path), str(last)],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": SOURCES},
        )
        assert writer.stdout is not None
        for _ in range(chance.randrange(1, 12)):
            last = int(writer.stdout.readline())
        writer.kill()
        said = writer.stdout.read().split("\n")[:-1]
        writer.stdout.close()
        writer.wait()
        last = int(said[-1]) if said else last

        lines = path.read_text().splitlines()
        assert len(set(lines)) == 1
        assert len(lines) == 20_000
        assert int(lines[0]) in (last, last + 1)
        last = int(lines[0])


def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not here; `apt-get install strace`")
    trace = tmp_path / "trace"
    script = f"from herald.durable import write_atomic; write_atomic({str(tmp_path / 'file')!r}, b'x')"
    command = ["strace", "-y", "-e", "trace=write,fsync,rename", "-o", str(trace), sys.executable, "-c", script]
    done = subprocess.run(command, check=False, cwd=ROOT, env={"PYTHONPATH": SOURCES}, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"strace cannot be used here: {done.stderr[-300:]}")

    calls = [line.partition("(")[0] for line in trace.read_text().splitlines() if str(tmp_path) in line]
    assert calls == ["write", "fsync", "rename", "fsync"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write_atomic(str(path), b"old", 0o600)
    assert path.stat().st_mode & 0o777 == 0o600

    limited = f"""
import resource, signal
from herald.durable import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic({str(path)!r}, b"x" * 10_000)
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-c", limited], check=True, env={"PYTHONPATH": SOURCES}, capture_output=True, text=True
    )

    assert done.stdout.strip() == "File too large"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_damaged_files_are_set_aside_under_names_of_their_own(tmp_path: Path) -> None:
    names = set()
    for number in range(3):
        (tmp_path / "file").write_text(str(number))
        names.add(durable.set_aside(str(tmp_path / "file")))

    assert {Path(name).read_text() for name in names} == {"0", "1", "2"}
    assert all(name.startswith(f"{tmp_path}/file.damaged-") for name in names)


def test_only_regular_files_within_the_limit_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")

    assert durable.read_limited(str(tmp_path / "file"), 100) == b"x" * 100
    with pytest.raises(ValueError, match="100 bytes, at most 99"):
        durable.read_limited(str(tmp_path / "file"), 99)
    with pytest.raises(ValueError, match="not a regular file"):
        durable.read_limited(str(tmp_path / "fifo"), 100)
    with pytest.raises(ValueError, match="not a regular file"):
        durable.read_limited(str(tmp_path), 100)
    with pytest.raises(OSError, match="symbolic links"):
        durable.read_limited(str(tmp_path / "link"), 100)
