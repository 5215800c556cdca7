"""A crash is told once, in words, masked, in time, whatever state its own files are in."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from herald.alerts import decode
from tests.alert.ending import INVOCATION, UNIT, Place
from tests.support.processes import wait_for


def test_a_crash_is_told_with_unit_reason_next_step_and_last_lines(place: Place) -> None:
    place.says(f"Starting {UNIT} - Herald worker...\nabout to fail\nValueError: no\n{UNIT}: Main process exited, x\n")

    said = place.crash()

    (alert,) = place.alerts()
    assert alert["unit"] == UNIT
    assert alert["text"].startswith(f"{UNIT} crashed at ")
    assert alert["text"].endswith(f": killed by SIGKILL. Look: `journalctl --user -u {UNIT}`")
    assert alert["lines"] == ["about to fail", "ValueError: no"]
    first, *rest = said.splitlines()
    assert first == f"{alert['text']} [unit={UNIT}]"
    assert rest == alert["lines"]
    (path,) = place.folder.glob("2*.json")
    assert decode(path.name, path.read_bytes())._asdict() == {**alert, "lines": tuple(alert["lines"])}


def test_only_the_lines_of_this_invocation_are_asked_for(place: Place) -> None:
    place.crash()
    place.crash("herald-git@1-2-3.service", HERALD_MODE="system")

    user, system = place.asked()
    assert user.endswith(
        f"_SYSTEMD_INVOCATION_ID={INVOCATION} + HERALD_INVOCATION={INVOCATION}"
        f" + USER_INVOCATION_ID={INVOCATION} _UID={os.getuid()}"
    )
    assert system.endswith(f"+ INVOCATION_ID={INVOCATION} _UID=0")
    assert place.alerts()[1]["text"].endswith("`journalctl -u herald-git@1-2-3.service`")


@pytest.mark.parametrize(
    ("result", "code", "status", "words"),
    [
        ("signal", "killed", "SEGV", "killed by SIGSEGV."),
        ("core-dump", "dumped", "ABRT", "killed by SIGABRT, core dumped."),
        ("exit-code", "exited", "1", "exit status 1."),
        ("exit-code", "exited", "203", "exit status 203, its program cannot be started"),
        ("exit-code", "exited", "217", "`systemd-sysusers`"),
        ("exit-code", "exited", "226", "`systemd-tmpfiles --create`"),
        ("exit-code", "exited", "243", "its credentials cannot be loaded"),
        ("watchdog", "killed", "ABRT", "no sign of life"),
        ("oom-kill", "killed", "KILL", "out of memory"),
        ("timeout", "killed", "TERM", "did not start or stop in time"),
        ("protocol", "exited", "0", "before it said that it is ready"),
        ("resources", "", "", "could not provide"),
        ("something-new", "exited", "7", "systemd calls it something-new (exited/7)"),
        ("", "", "", "systemd calls it nothing"),
    ],
)
def test_the_reason_is_in_words(place: Place, result: str, code: str, status: str, words: str) -> None:
    said = place.crash(SERVICE_RESULT=result, EXIT_CODE=code, EXIT_STATUS=status)

    assert words in said.splitlines()[0]


def test_further_crashes_are_held_back_for_ten_minutes_and_then_counted(place: Place) -> None:
    assert place.crash()
    assert [place.crash(), place.crash()] == ["", ""]
    assert place.crash("herald-gateway.service")
    place.forget(590)
    assert place.crash() == ""
    place.forget(11)
    said = place.crash()

    assert "3 crashes of herald-worker.service before it, since the last alert, were held back." in said
    assert len(place.alerts()) == 3
    place.forget(601)
    assert "held back" not in place.crash()


def test_instances_of_a_template_count_together_also_when_many_end_at_once(place: Place) -> None:
    running = [place.start(f"herald-agent@{number}-77-998.service") for number in range(12)]
    for process in running:
        process.communicate(timeout=60)
    place.forget(601)
    said = place.crash("herald-agent@99-77-998.service")

    assert len(place.alerts()) == 2
    assert "11 crashes of herald-agent@.service before it" in said
    assert "`journalctl --user -u herald-agent@99-77-998.service`" in said


def test_one_that_waits_for_another_to_count_is_held_back_though_it_began_first(place: Place) -> None:
    place.folder.mkdir(parents=True)
    with (place.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = place.start()
        opened = Path("/proc", str(waiting.pid), "fd")
        wait_for(lambda: str(place.folder / "lock") in map(os.path.realpath, opened.iterdir()), "it waits")
        (place.folder / "throttle.json").write_text(json.dumps({UNIT: [time.time(), 0]}))
    waiting.communicate(timeout=60)

    assert place.alerts() == []
    assert json.loads((place.folder / "throttle.json").read_text())[UNIT][1] == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        "null",
        "\x00" * 99,
        "9" * 100_000,
        '{"herald-worker.service": 5}',
        '{"herald-worker.service": [NaN, 1]}',
        '{"herald-worker.service": [1e999, 1e999]}',
        '{"herald-worker.service": ["a", {}]}',
        '{"herald-worker.service": [99999999999, 0]}',
    ],
)
def test_a_damaged_throttle_file_or_a_clock_that_went_back_silences_nobody(place: Place, content: str) -> None:
    place.folder.mkdir(parents=True)
    (place.folder / "throttle.json").write_text(content)

    assert "killed by SIGKILL" in place.crash()
    assert "killed by SIGKILL" not in place.crash()
    assert len(place.alerts()) == 1


def test_where_nothing_can_be_written_each_crash_is_in_the_journal(place: Place) -> None:
    (place.root / "state").write_text("not a folder")

    for _ in range(2):
        said = place.crash()
        assert "killed by SIGKILL" in said
        assert "is not posted" in said


def test_secrets_are_masked_those_of_the_unit_and_those_of_the_installation(place: Place) -> None:
    key = "-----BEGIN KEY-----\n" + "\n".join(letter * 60 for letter in "abc")
    (place.credentials / "git_ssh_key").write_text(key)
    (place.credentials / "anthropic_api_key").write_text("an-old-fashioned-key\n")
    (place.credentials / "blank").write_text("\n")
    (place.credentials / "folder").mkdir()
    handed = place.root / "handed"
    handed.mkdir()
    (handed / "claude_oauth_token").write_text("handed-to-the-unit")
    (handed / "snapshot.json").write_text("plain words of the configuration")
    token = "sk-ant-api03-" + "t" * 40
    place.says(f"x an-old-fashioned-key {token}\n{key}\ny handed-to-the-unit\nplain words of the configuration\n")

    said = place.crash(CREDENTIALS_DIRECTORY=str(handed))

    shown = said + json.dumps(place.alerts())
    for secret in (token, "old-fashioned", "a" * 60, "b" * 60, "handed-to-the-unit"):
        assert secret not in shown
    assert "plain words of the configuration" in shown
    assert "x [secret] [secret]" in shown


def test_a_secret_is_masked_before_its_line_is_cut(place: Place) -> None:
    (place.credentials / "discord_token").write_text("z" * 50)
    place.says("x" * 280 + "z" * 50)

    assert "zzzz" not in place.crash()


def test_a_journal_that_does_not_answer_delays_by_three_seconds_and_leaves_nothing(place: Place) -> None:
    place.program("echo half a line; exec sleep 1000")
    said = place.crash()  # which ends itself by a signal after 10 s

    assert "the last lines of herald-worker.service cannot be read from the journal: no answer within 3 s" in said
    assert "killed by SIGKILL" in said
    assert place.alerts()[0]["lines"] == []


@pytest.mark.parametrize("path", ["", "/nonexistent"])
def test_without_a_journal_the_crash_is_told_without_lines(place: Place, path: str) -> None:
    if path:
        said = place.crash(PATH=path)
    else:
        place.program("echo nothing here >&2; exit 1")
        said = place.crash()

    assert "killed by SIGKILL" in said
    assert place.alerts()[0]["lines"] == []


def test_without_an_invocation_nobody_elses_lines_are_shown(place: Place) -> None:
    place.says("somebody else's")

    assert "somebody" not in place.crash(INVOCATION_ID="")
    assert place.asked() == []


def test_the_lines_are_the_last_ten_and_short_whatever_the_journal_holds(place: Place) -> None:
    place.says(b"\xff\xfe\x00\x1b[2J" * 200_000 + b"\n" + b"".join(b"%d %s\n" % (n, b"w" * 400) for n in range(99)))
    place.crash()
    place.says("".join(f"line {number}\n\n" for number in range(99)))
    place.crash("herald-gateway.service")

    long, short = (alert["lines"] for alert in place.alerts())
    assert short == [f"line {number}" for number in range(89, 99)]
    assert long[-1].startswith("98 w")
    assert all(len(line) <= 300 for line in long)
    assert sum(map(len, long)) <= 1500


def test_the_group_may_read_and_the_units_umask_does_not_count(place: Place) -> None:
    place.crash()

    modes = {path.name[:4]: stat.S_IMODE(path.stat().st_mode) for path in place.folder.iterdir()}
    assert set(modes.values()) == {0o640}
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o750


def _old(place: Place, name: str, days: float) -> Path:
    path = place.folder / name
    path.write_text("{}")
    os.utime(path, times=(time.time() - days * 86_400,) * 2)
    return path


def test_old_alerts_go_and_what_the_gateway_may_not_have_seen_stays(place: Place) -> None:
    place.folder.mkdir(parents=True)
    ancient = _old(place, "20200101T000000.000Z-00000000.json", 8)
    half = _old(place, ".20200101T000000.000Z-00000001.json.tmp", 1)
    foreign = _old(place, "notes.txt", 30)
    many = [_old(place, f"20260101T000000.{number:03d}Z-00000000.json", 3 - number / 100) for number in range(150)]
    young = [_old(place, f"20260102T000000.{number:03d}Z-00000000.json", 0) for number in range(120)]
    place.crash()

    assert not ancient.exists()
    assert not half.exists()
    assert foreign.exists()
    assert all(path.exists() for path in young)
    assert not any(path.exists() for path in many)

    for path in young:
        os.utime(path, times=(time.time() - 3600,) * 2)
    place.crash("herald-gateway.service")
    assert len(list(place.folder.glob("2*.json"))) == 100


def test_a_killed_one_costs_nothing_but_itself(place: Place) -> None:
    place.program("touch $0.reached; exec sleep 1000")
    process = place.start()
    while not (place.root / "bin" / "journalctl.reached").exists():
        time.sleep(0.01)
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        os.kill(int(child), 9)
    process.kill()
    process.communicate()
    place.program("echo back again")

    assert "back again" in place.crash("herald-gateway.service")
    assert place.crash() == ""
    place.forget(601)
    assert "1 crash of herald-worker.service before it" in place.crash()


@pytest.mark.parametrize("arguments", [[], ["--verbose"], ["a", "b"]])
def test_wrong_use_is_told(arguments: list[str]) -> None:
    environment = {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    command = [sys.executable, "-m", "herald_alert", *arguments]
    done = subprocess.run(command, capture_output=True, env=environment, text=True)

    assert done.returncode == 2
    assert "herald-alert UNIT" in done.stdout


def test_it_is_lean(place: Place) -> None:
    script = "import sys; import herald_alert.crash; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=place.environment, text=True)

    assert not {"asyncio", "pydantic", "logging", "subprocess", "sqlite3"} & set(done.stdout.split())
