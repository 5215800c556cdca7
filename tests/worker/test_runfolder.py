"""What a run's files say about it after a crash, with the lock held by a real process."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from herald_worker.runfolder import RunFolder, parse_lines

_HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
_END = {"type": "end", "outcome": "ok", "message": "", "head": "a" * 40, "base": "b" * 40, "branch": "agent/x-1"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path))
    folder = RunFolder("7-1-abc")
    folder.create(b"the prompt")
    return folder


@contextmanager
def held(run: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """Somebody has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, run.file("lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.communicate()


def write(run: RunFolder, name: str, text: str) -> None:
    Path(run.file(name)).write_text(text)


def read(run: RunFolder, name: str) -> str:
    return Path(run.file(name)).read_text()


def test_every_file_is_there_before_anybody_is_told_and_for_nobody_else(run: RunFolder) -> None:
    names = {"lock", "result", "pack", "log", "control", "base", "fetched", "prompt", "attachments"}
    assert {path.name for path in Path(run.path).iterdir()} == names
    assert read(run, "prompt") == "the prompt"
    assert Path(run.path).stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in Path(run.path).iterdir()}
    assert modes == {**dict.fromkeys(names, 0o600), "control": 0o644}, "the agent's unit may watch what it may read"


@pytest.mark.parametrize("cell", ["", "void\n", "started boot-1 unit\n"])
@pytest.mark.parametrize("result", ["", json.dumps(_END) + "\n"])
def test_while_the_lock_is_held_it_is_alive_whatever_its_files_say(run: RunFolder, cell: str, result: str) -> None:
    write(run, "lock", cell)
    write(run, "result", result)
    with held(run):
        assert run.examine() == ("alive", "")
    assert read(run, "lock") == cell


def test_an_empty_cell_is_unbegun_and_void_from_then_on(run: RunFolder) -> None:
    assert run.examine() == ("unbegun", "")
    assert read(run, "lock") == "void\n"
    assert run.examine() == ("unbegun", "")


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (json.dumps({"type": "text", "text": "hi"}) + "\n" + json.dumps(_END) + "\n", "finished"),
        (json.dumps(_END), "finished"),
        ("", "died"),
        (json.dumps({"type": "text", "text": "hi"}) + "\n", "died"),
        (json.dumps(_END)[:-20], "died"),
        (json.dumps(_END) + "\n" + json.dumps({"type": "text", "text": "more"}) + "\n", "died"),
        ("[" * 100_000, "died"),
        ("\0" * 1000, "died"),
    ],
)
def test_a_started_run_is_finished_only_with_a_whole_end(run: RunFolder, result: str, verdict: str) -> None:
    write(run, "lock", "started boot-1 herald-agent@7.service\n")
    write(run, "result", result)
    assert run.examine() == (verdict, "boot-1")


def test_a_run_whose_folder_is_gone_is_unbegun(run: RunFolder) -> None:
    run.remove()
    assert run.examine() == ("unbegun", "")
    run.remove()


def test_the_wait_ends_when_the_last_holder_of_the_lock_is_gone(run: RunFolder) -> None:
    async def wait() -> bool:
        with held(run) as holder:
            waiting = asyncio.ensure_future(run.until_gone())
            await asyncio.sleep(0.2)
            early = waiting.done()
            holder.kill()
            await asyncio.wait_for(waiting, 20)
        return early

    assert asyncio.run(wait()) is False


def test_a_result_is_not_trusted_to_have_any_shape(run: RunFolder) -> None:
    odd: dict[str, object] = {
        **_END,
        "commits": "many",
        "usage": [1],
        "denials": "Bash",
        "cost_usd": None,
        "head": None,
        "resets_at": {},
    }
    write(run, "result", "nonsense\n[1]\n7\n" + json.dumps({"type": "text", "text": 5}) + "\n" + json.dumps(odd) + "\n")
    end = run.end()
    assert end is not None
    assert (end.commits, end.usage, end.denials, end.cost_usd, end.head, end.text) == (0, {}, [], 0.0, "", "5")


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity", f"1{'0' * 400}"])
def test_numbers_that_are_none_count_nothing(run: RunFolder, number: str) -> None:
    write(run, "result", json.dumps(_END).replace('"type"', f'"commits": {number}, "cost_usd": {number}, "type"'))
    end = run.end()
    assert end is not None
    assert (end.commits, end.cost_usd) == (0, 0.0)


@pytest.mark.parametrize("depth", [10, 100, 500, 900, 950, 960, 970, 980, 990, 1000, 100_000])
def test_a_usage_however_deep_can_be_kept_or_is_none(run: RunFolder, depth: int) -> None:
    deep = '{"a":' * depth + "1" + "}" * depth
    write(run, "result", json.dumps(_END).replace('"type"', f'"usage": {deep}, "type"') + "\n" + json.dumps(_END))
    end = run.end()
    assert end is not None
    assert len(json.dumps(end.usage)) < 1 << 17


def test_every_text_of_a_result_can_be_kept(run: RunFolder) -> None:
    odd = {**_END, **dict.fromkeys(("outcome", "message", "head", "base", "branch", "session"), "a\ud800b")}
    write(run, "result", json.dumps({"type": "text", "text": "\udfff"}) + "\n" + json.dumps(odd) + "\n")
    end = run.end()
    assert end is not None
    for text in (end.outcome, end.message, end.text, end.head, end.base, end.branch, end.session, run.partial_text()):
        assert "?" in text.encode().decode()


def test_a_result_that_is_a_link_a_pipe_or_too_long_is_none(run: RunFolder, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(json.dumps(_END))
    result = Path(run.file("result"))
    result.unlink()
    result.symlink_to(secret)
    assert run.end() is None
    result.unlink()
    os.mkfifo(result)
    assert run.end() is None
    result.unlink()
    with result.open("wb") as file:
        file.truncate((64 << 20) + 1)
    assert run.end() is None


def test_what_a_dead_run_said_is_kept(run: RunFolder) -> None:
    write(run, "result", '{"type":"text","text":"one "}\n{"type":"text","text":"two"}\n{"type":"te')
    assert run.partial_text() == "one two"


def test_half_lines_and_what_is_no_object_are_passed_over() -> None:
    assert parse_lines(b'{"a":1}\n\n[1]\n"x"\n\xff\xfe\n{"b":') == [{"a": 1}]


def test_a_cancel_is_one_line_in_the_control_file(run: RunFolder) -> None:
    run.cancel()
    run.cancel()
    assert read(run, "control").startswith("cancel\n")
