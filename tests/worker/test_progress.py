"""What people see of a task under way, and how that ends."""

import json
from pathlib import Path

import pytest

from herald_worker.progress import Doing, _newest, ending
from herald_worker.runfolder import RunFolder
from herald_worker.tasks import Spent

_AT = 1_800_000_000.0
_BEGUN = "2027-01-15T08:00:00.000Z"


@pytest.mark.parametrize(
    ("how", "seconds", "spent", "line"),
    [
        ("done", 192.4, Spent(34_512, 0.1234), "done in 3 min 12 s · 34.5k tokens · $0.12"),
        ("done", 0.2, Spent(0, 0.0), "done in 0 s"),
        ("done", 59.6, Spent(999, 0.004), "done in 1 min 0 s · 999 tokens · under $0.01"),
        ("failed (timeout)", 1800, Spent(1_000_000, 12.3), "failed (timeout) after 30 min 0 s · 1.0M tokens · $12.30"),
        ("cancelled by Ada", 3725, Spent(999_949, 0.0), "cancelled by Ada after 1 h 2 min · 999.9k tokens"),
        ("parked", -5, Spent(0, 0.0), "parked after 0 s"),
    ],
)
def test_the_end_is_told_in_one_line(how: str, seconds: float, spent: Spent, line: str) -> None:
    assert ending(how, _BEGUN, _AT + seconds, spent) == line


def test_what_never_began_took_no_time() -> None:
    assert ending("failed (configuration)", "", _AT, Spent(0, 0.0)) == "failed (configuration)"


def test_the_newest_whole_line_of_the_log_counts_whatever_the_agents_side_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path))
    run = RunFolder("1-1-x")
    assert _newest(run, 0) == (None, 0)
    run.create(b"")
    log = Path(run.file("log"))
    lines = [
        {"type": "session", "session": "s"},
        {"type": "progress", "text": "one", "tokens": 1},
        {"type": "progress", "text": "$ make", "tokens": 1200, "cost_usd": 0.5},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    log.write_text(text + '{"type": "progress", "text": "half')
    assert _newest(run, 0) == (Doing("$ make", 1200, 0.5), len(text))
    assert _newest(run, len(text)) == (None, len(text))
    hostile = '{"type":"progress","text":["x"],"tokens":-5,"cost_usd":-1e300}\n'
    log.write_text(text + hostile)
    assert _newest(run, len(text))[0] == Doing("['x']", 0, 0.0)
    log.write_text(text + '{"type":"progress","text":"' + "x" * 999 + '","tokens":1e300,"cost_usd":"much"}\n')
    newest = _newest(run, len(text))[0]
    assert newest is not None
    assert (len(newest.text), newest.text[-2:]) == (200, "x…")
    assert (newest.tokens, newest.cost_usd) == (1 << 50, 0.0)
