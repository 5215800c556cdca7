"""The skeleton of the long-running services, by a real process and a service manager's ear."""

import signal
import time

import pytest

from herald.bus import blocking
from tests.shared.staging import Stage


def test_a_service_is_ready_when_it_serves_and_says_what_it_does(stage: Stage) -> None:
    manager = stage.manager()
    stage.serve(NOTIFY_SOCKET=str(manager.path))

    manager.hear("READY=1")
    assert manager.hear("STATUS=") == "STATUS=on duty"
    assert blocking.call("worker", "Echo", {"text": "x"})["text"] == "x"


def test_what_a_service_says_of_itself_follows_a_change_and_not_the_clock(stage: Stage) -> None:
    manager = stage.manager()
    stage.serve(NOTIFY_SOCKET=str(manager.path))
    manager.hear("STATUS=")

    blocking.call("worker", "Append", {"key": "first"})

    assert manager.hear("STATUS=", 5.0) == "STATUS=on duty, 1 events"  # by the clock it is every ten seconds


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_asked_to_stop_stops_at_once_and_quietly(stage: Stage, number: signal.Signals) -> None:
    manager = stage.manager()
    service = stage.serve(NOTIFY_SOCKET=str(manager.path))
    manager.hear("READY=1")
    busy, following = stage.connect(), stage.connect()
    busy.send("Add", name="busy", wait=600.0)
    following.send("Count", more=True, to=1)
    following.answer()

    service.send(number)

    assert service.wait() == 0  # and waits neither for the call nor for the stream
    manager.hear("STOPPING=1")
    assert service.journal == ""
    assert busy.receive() is None


def test_many_signals_are_one(stage: Stage) -> None:
    for _ in range(5):
        service = stage.serve()
        blocking.call("worker", "Echo", {"text": "x"})
        while not service.ends_within(0.001):
            service.send(signal.SIGTERM)
        assert service.wait() == 0
        assert service.journal == ""


def test_the_watchdog_is_fed_only_while_the_duty_can_be_done(stage: Stage) -> None:
    manager = stage.manager()
    hangs = stage.root / "hangs"
    service = stage.serve(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="600000", TRIAL_DUTY=str(hangs))
    for _ in range(3):
        manager.hear("WATCHDOG=1")

    hangs.touch()
    manager.hear("STATUS=cannot do its duty")
    assert manager.silent("WATCHDOG=1", 0.8)
    assert blocking.call("worker", "Echo", {"text": "x"})["text"] == "x", "the loop itself goes on"

    hangs.unlink()
    manager.hear("WATCHDOG=1")
    assert service.alive


def test_sighup_reloads_and_says_so(stage: Stage) -> None:
    manager = stage.manager()
    service = stage.serve(NOTIFY_SOCKET=str(manager.path))
    manager.hear("READY=1")

    for _ in range(2):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        service.send(signal.SIGHUP)
        manager.hear("RELOADING=1")
        assert int(next(each for each in reversed(manager.said) if "MONOTONIC" in each).partition("=")[2]) >= before
        manager.hear("READY=1")

    assert service.journal.count("reloaded") == 2
    assert service.stop() == 0


def test_a_task_that_dies_takes_the_service_along_and_is_told_masked(stage: Stage) -> None:
    service = stage.serve(TRIAL_DIES="0.1")

    assert service.wait() == 1
    assert "RuntimeError: a task has died with [secret]" in service.journal
    assert "canary" not in service.journal


def test_a_service_without_a_socket_says_how_it_is_started(stage: Stage) -> None:
    service = stage.run("tests.shared.trial")

    assert service.wait() == 1
    assert service.journal == (
        "worker cannot run: no socket was handed over; start herald-worker through its unit,"
        " or all of Herald by `./install.sh try`\n"
    )


def test_a_state_folder_that_cannot_be_made_is_a_clear_error(stage: Stage) -> None:
    stage.state.write_text("a file")

    service = stage.serve()

    assert service.wait() == 1
    assert f"{stage.state}/worker cannot be made: Not a directory; the state folder must be writable" in service.journal


def test_two_services_over_one_state_are_one(stage: Stage) -> None:
    first = stage.serve()
    blocking.call("worker", "Echo", {"text": "x"})

    second = stage.serve()

    assert second.wait() == 1
    assert f"another herald-worker runs on {stage.state}/worker; stop it first" in second.journal
    assert first.alive


def test_once_ends_by_itself(stage: Stage) -> None:
    assert stage.serve("--once").wait() == 0


def test_help_is_the_man_page_and_wrong_use_is_2(stage: Stage) -> None:
    with (stage.root / "out").open("w") as out:
        assert stage.run("tests.shared.trial", "--help", stdout=out).wait() == 0

    assert "herald-trial - the service that the tests" in (stage.root / "out").read_text()
    assert stage.run("tests.shared.trial", "--nonsense").wait() == 2


def test_a_kill_in_the_middle_leaves_the_socket_and_the_next_one_serves(stage: Stage) -> None:
    for _ in range(3):
        service = stage.serve()
        assert blocking.call("worker", "Echo", {"text": "x"})["text"] == "x"
        service.kill()

    stage.serve()
    assert blocking.call("worker", "Echo", {"text": "x"})["text"] == "x"
