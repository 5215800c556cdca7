"""Crashes that herald-alert left are posted once each, over restarts and kills; what is no alert harms nothing."""

import os
import sqlite3
import time

from herald import names
from herald.alerts import Alert, encode
from tests.gateway.running import Bus, Reader, post, posts, wait_for

TICK = "1500000"
"""Microseconds of watchdog that make the duty look every half second."""


def crashed(bus: Bus, number: int = 0, *lines: str, text: str = "", posted: bool = False) -> Alert:
    """herald-alert told of a crash."""
    folder = bus.root / "state" / "alert"
    folder.mkdir(exist_ok=True)
    alert = Alert(
        id=f"20260131T0912{number:02d}.000Z-0000000{number % 10}",
        at="2026-01-31 09:12:03",
        unit="herald-worker.service",
        text=text or f"herald-worker.service crashed: number {number}. Look: `journalctl -u herald-worker.service`",
        lines=lines,
        posted=posted,
    )
    (folder / ".new").write_bytes(encode(alert))
    (folder / ".new").rename(folder / alert.file_name)
    return alert


def told() -> list[str]:
    return [each["key"] for each in posts() if each["key"].startswith("alert:")]


def test_a_crash_from_before_the_start_is_posted_once_in_the_system_channel(bus: Bus) -> None:
    alert = crashed(bus, 1, "the last", "lines ```", "of it")
    for _ in range(3):
        bus.gateway()
        wait_for(posts)
        bus.end(names.GATEWAY)
    bus.gateway()

    (found,) = posts()
    assert found["key"] == f"alert:{alert.id}"
    assert found["kind"] == "notice"
    assert found["project"] == ""
    assert found["text"] == f"{alert.text}\n```\nthe last\nlines ``\u02cb\nof it\n```"


def test_a_crash_while_the_gateway_runs_is_posted_at_its_next_look_and_seen_by_who_follows(bus: Bus) -> None:
    bus.environment["WATCHDOG_USEC"] = TICK
    bus.gateway()
    reader = Reader()
    first, second = crashed(bus, 1), crashed(bus, 2)
    wait_for(lambda: len(reader.posts) == 2)
    third = crashed(bus, 3)
    wait_for(lambda: len(reader.posts) == 3)

    assert [each["text"] for each in reader.posts] == [first.text, second.text, third.text]


def test_an_alert_that_is_gone_again_stays_posted(bus: Bus) -> None:
    bus.environment["WATCHDOG_USEC"] = TICK
    alert = crashed(bus, 1)
    bus.gateway()
    wait_for(told)
    (bus.root / "state" / "alert" / alert.file_name).unlink()
    crashed(bus, 2)
    wait_for(lambda: len(told()) == 2)


def test_whenever_the_gateway_is_killed_each_crash_is_posted_once(bus: Bus) -> None:
    alerts = [crashed(bus, number, f"line of {number}") for number in range(10)]
    log = bus.root / "state" / "gateway" / "gateway.sqlite-wal"
    for round_ in range(12):
        before = log.stat().st_mtime_ns if log.exists() else 0
        bus.gateway()
        until = time.monotonic() + 10
        while (log.stat().st_mtime_ns if log.exists() else 0) <= before and time.monotonic() < until and round_ < 6:
            pass  # the moment at which something is written
        time.sleep(round_ * 0.003 if round_ < 6 else round_ * 0.05)
        bus.end(names.GATEWAY, kill=True)
        alerts.append(crashed(bus, 10 + round_))
    bus.gateway()
    wait_for(lambda: len(told()) == len(alerts))

    assert sorted(told()) == sorted(f"alert:{alert.id}" for alert in alerts)


FOREIGN = {
    "20260131T091200.000Z-aaaaaaaa.json": b"",
    "20260131T091201.000Z-aaaaaaaa.json": b"{",
    "20260131T091202.000Z-aaaaaaaa.json": b"[1, 2]",
    "20260131T091203.000Z-aaaaaaaa.json": encode(Alert("20260131T091200.000Z-00000000", "", "", "", ())),
    "20260131T091204.000Z-aaaaaaaa.json": b'{"id": 1, "at": "", "unit": "", "text": "", "lines": []}',
    "20260131T091205.000Z-aaaaaaaa.json": b"[" * 60_000,
    "20260131T091206.000Z-aaaaaaaa.json": b"9" * 100_000,
    "20260131T091207.000Z-aaaaaaaa.json": b"\xff\xfe",
    "notes.txt": b"not mine",
    "evil\n\x1b[2J.json": b"{}",
}


def test_what_is_no_alert_costs_one_line_in_the_journal_each(bus: Bus) -> None:
    bus.environment["WATCHDOG_USEC"] = TICK
    folder = bus.root / "state" / "alert"
    crashed(bus, 1)
    for name, content in FOREIGN.items():
        (folder / name).write_bytes(content)
    (folder / "20260131T091208.000Z-aaaaaaaa.json").symlink_to("/etc/hostname")
    (folder / "20260131T091209.000Z-aaaaaaaa.json").mkdir()
    os.mkfifo(folder / "20260131T091210.000Z-aaaaaaaa.json")
    for quiet in ("lock", "throttle.json", ".20260131T091200.000Z-aaaaaaaa.json.tmp"):
        (folder / quiet).write_text("not for the gateway")
    bus.gateway()
    wait_for(told)
    crashed(bus, 2)
    wait_for(lambda: len(told()) == 2)
    crashed(bus, 3)
    wait_for(lambda: len(told()) == 3)
    post("still serving")

    lines = [line for line in bus.journal().splitlines() if "/alert/" in line]
    assert len(lines) == len(FOREIGN) + 3, lines
    assert "\x1b" not in bus.journal()
    assert len(list(folder.iterdir())) == len(FOREIGN) + 3 + 3 + 3


def test_text_that_is_not_for_a_chat_is_made_fit(bus: Bus) -> None:
    crashed(bus, 1, "half \ud800 pair", "\x1b[2J", "sk-ant-api03-" + "t" * 40, text="half \udc00 \x1b[1m")
    bus.gateway()
    wait_for(posts)

    (found,) = posts()
    assert "\x1b" not in found["text"]
    assert "tttt" not in found["text"]
    assert "half" in found["text"]


def test_a_folder_that_cannot_be_read_is_told_once(bus: Bus) -> None:
    bus.environment["WATCHDOG_USEC"] = TICK
    folder = bus.root / "state" / "alert"
    folder.write_text("no folder")
    bus.gateway()
    post("serving")
    wait_for(lambda: "the folder cannot be read" in bus.journal())
    folder.unlink()
    crashed(bus, 1)
    wait_for(told)

    assert bus.journal().count("the folder cannot be read") == 1


def test_a_database_that_refuses_delays_the_post_and_not_the_duty(bus: Bus) -> None:
    bus.environment["WATCHDOG_USEC"] = "12000000"  # a look every 4 s: SQLite waits 3 s for a lock
    bus.gateway()
    post("first")
    locker = sqlite3.connect(bus.root / "state" / "gateway" / "gateway.sqlite", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    crashed(bus, 1)
    wait_for(lambda: "cannot be posted yet: the database is locked" in bus.journal())
    locker.execute("ROLLBACK")
    locker.close()
    wait_for(told)

    assert "cannot do its duty" not in bus.journal()
