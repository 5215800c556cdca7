"""The contract of the inetd: what systemd promises to units, held without it."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.support.processes import is_locked, parent, send, wait_for
from tests.try_.hosting import Host
from tests.try_.programs import INSTANCE, LOCKING, NOTIFY, SERVER


def test_a_service_gets_its_socket_with_its_own_process_number(host: Host) -> None:
    host.long_running("a", SERVER)
    host.start()
    asked = '[os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_FDS"], os.environ["LISTEN_FDNAMES"]]'
    assert host.ask("a", asked) == "[True, '1', 'a.socket']"


def test_an_instance_gets_the_connection_as_stdin_and_no_listening_socket(host: Host) -> None:
    host.on_connect("i", INSTANCE)
    host.start()
    assert host.ask("i", '[name for name in os.environ if name.startswith("LISTEN")]') == "[]"
    assert (
        host.ask("i", "[os.path.basename(os.readlink('/proc/self/fd/%d' % fd))[:6] for fd in (1, 2)]").count("pipe:[")
        == 2
    )


def test_nobody_reads_the_stdin_of_the_command(host: Host) -> None:
    host.long_running("a", SERVER)
    host.start()
    assert host.ask("a", "os.readlink('/proc/self/fd/0')") == "/dev/null"


def test_the_environment_is_built_from_nothing(host: Host) -> None:
    host.long_running("a", SERVER)
    host.start()
    expected = {"PATH", "MARK", "RUNTIME", "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}
    assert set(host.ask("a", "' '.join(os.environ)").split()) - {"LC_CTYPE"} == expected


def test_no_descriptor_of_others_leaks_into_a_service(host: Host) -> None:
    host.long_running("a", SERVER)
    host.on_connect("i", INSTANCE)
    host.start()
    others = [host.connect("i") for _ in range(3)]
    for each in others:
        each.sendall(b"os.getpid()\n")
        assert each.recv(100)
    # 0 to 2, the copy of the connection, the folder that is being listed
    assert host.ask("i", "sorted(map(int, os.listdir('/proc/self/fd')))") == "[0, 1, 2, 3, 4]"


def test_places_are_counted_until_the_last_process_of_an_instance_is_gone(host: Host) -> None:
    host.on_connect("i", INSTANCE, places=1)
    host.start()
    first = host.connect("i")
    first.sendall(b"os.getpid()\n")
    assert first.recv(100)
    assert not _answers(host, "i")
    first.close()
    wait_for(lambda: _answers(host, "i"), "the place is free again")


def _answers(host: Host, name: str) -> bool:
    try:
        return host.ask(name, "1") == "1"
    except ConnectionError:
        return False


@pytest.mark.parametrize("victim", ["driver", "keeper"])
def test_a_stored_lock_is_free_only_when_every_process_of_the_instance_is_gone(
    host: Host, tmp_path: Path, victim: str
) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    host.on_connect("i", LOCKING)
    host.start()
    before = host.left()
    connection = host.connect("i")
    connection.sendall(f"{lock}\n".encode())
    assert connection.recv(100) == b"locked\n"
    instance = host.left() - before
    drivers = [pid for pid in instance if "i.py" in Path(f"/proc/{pid}/cmdline").read_text()]
    driver = min(drivers)
    keeper = parent(driver)
    assert len(instance) > 16
    assert is_locked(lock)
    os.kill(driver if victim == "driver" else keeper, signal.SIGKILL)
    wait_for(lambda: not is_locked(lock), "the lock is free")
    assert not host.left() & (instance - {keeper})
    assert connection.recv(100) == b""  # and only now the caller sees the end


def test_the_end_of_the_connection_comes_when_the_instance_is_gone(host: Host) -> None:
    host.on_connect("i", INSTANCE)
    host.start()
    connection = host.connect("i")
    connection.sendall(b"os.closerange(3, 99), os.dup2(os.open('/dev/null', 2), 0), time.sleep(0.5), os._exit(0)\n")
    begun = time.monotonic()
    assert connection.recv(100) == b""
    assert time.monotonic() - begun > 0.4


def test_only_the_main_process_is_heard(host: Host, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    host.on_connect("i", INSTANCE)
    host.start()
    connection = host.connect("i")
    with connection.makefile("rw") as asked:
        for line in (
            f"lock = os.open('{lock}', os.O_RDWR); fcntl.flock(lock, fcntl.LOCK_EX)",
            "pid = os.fork(); pid or (notify('FDSTORE=1', lock), os._exit(0)); os.waitpid(pid, 0)",
            "os.close(lock)",
        ):
            asked.write(line + "\n")
            asked.flush()
            assert asked.readline()
        wait_for(lambda: not is_locked(lock), "the lock, which a child tried to store")


def test_a_full_store_takes_no_more(host: Host) -> None:
    host.on_connect("i", INSTANCE, FileDescriptorStoreMax="2")
    host.start()
    connection = host.connect("i")
    connection.sendall(b"ends = os.pipe(); [notify('FDSTORE=1', ends[1]) for _ in range(3)]; os.close(ends[1])\n")
    assert connection.recv(100)
    wait_for(lambda: "cannot store more than 2 descriptors" in host.stderr, "a word about it")


def test_callers_wait_while_a_service_restarts(host: Host) -> None:
    host.long_running("a", SERVER, RestartSec="500ms")
    host.start()
    first = int(host.ask("a", "os.getpid()"))
    send(first, signal.SIGKILL)
    begun = time.monotonic()
    second = int(host.ask("a", "os.getpid()"))
    assert second != first
    assert time.monotonic() - begun > 0.4


def test_what_a_service_leaves_behind_is_killed_before_it_starts_again(host: Host) -> None:
    host.long_running("a", SERVER)
    host.start()
    left = int(host.ask("a", "(pid := os.fork()) or (os.setsid(), time.sleep(600))"))
    send(int(host.ask("a", "os.getpid()")), signal.SIGKILL)
    assert host.ask("a", f"os.path.exists('/proc/{left}')") == "False"


def test_a_service_without_a_sign_of_life_is_aborted_and_replaced(host: Host) -> None:
    host.long_running("a", SERVER, WatchdogSec="2s", TimeoutAbortSec="200ms", LimitCORE="0")
    host.start()
    first = int(host.ask("a", "os.getpid()"))
    send(first, signal.SIGSTOP)
    second = int(host.ask("a", "os.getpid()"))
    assert second != first
    assert "aborted" in host.stderr
    assert (
        host.ask("a", "os.environ['WATCHDOG_USEC'], os.environ['WATCHDOG_PID'] == str(os.getpid())")
        == "('2000000', True)"
    )


def test_a_service_that_gives_signs_of_life_is_left_alone(host: Host) -> None:
    feed = SERVER.replace("while True:\n", "listener.settimeout(0.1)\nwhile True:\n    notify('WATCHDOG=1')\n").replace(
        "    connection, _ = listener.accept()\n",
        "    try:\n        connection, _ = listener.accept()\n    except TimeoutError:\n        continue\n",
    )
    host.long_running("a", feed, WatchdogSec="2s")
    host.start()
    first = host.ask("a", "os.getpid()")
    time.sleep(3.0)
    assert host.ask("a", "os.getpid()") == first


def test_a_service_that_is_never_ready_is_stopped_and_started_again(host: Host) -> None:
    host.long_running("a", NOTIFY + "import time\ntime.sleep(600)\n", TimeoutStartSec="300ms")
    host.start()
    wait_for(lambda: host.stderr.count("not ready within 0.3 s") > 1, "a second start")


def test_an_instance_that_runs_too_long_is_stopped(host: Host) -> None:
    host.on_connect("i", INSTANCE, RuntimeMaxSec="300ms")
    host.start()
    connection = host.connect("i")
    connection.sendall(b"time.sleep(600)\n")
    assert connection.recv(100) == b""


def test_stop_lets_services_finish_and_kills_what_does_not(host: Host, tmp_path: Path) -> None:
    polite = "import sys\nsignal.signal(signal.SIGTERM, lambda *_: (open({!r}, 'w').close(), sys.exit(0)))\nlistener"
    host.long_running("polite", SERVER.replace("listener", polite.format(str(tmp_path / "finished")), 1))
    deaf = SERVER.replace("listener", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nlistener", 1)
    host.long_running("deaf", deaf, TimeoutStopSec="500ms")
    host.on_connect("i", INSTANCE)
    host.start()
    host.ask("polite", "1")
    host.ask("deaf", "1")
    host.connect("i").sendall(b"time.sleep(600)\n")
    begun = time.monotonic()
    assert host.stop() == 0
    assert 0.4 < time.monotonic() - begun < 30
    assert (tmp_path / "finished").exists()
    assert [path.name for path in host.runtime.iterdir()] == []


@pytest.mark.parametrize("killed", ["command", "inetd", "group of the command", "both groups"])
def test_a_kill_leaves_nothing_behind(host: Host, tmp_path: Path, killed: str) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    host.long_running("a", SERVER)
    host.on_connect("i", LOCKING, TimeoutStopSec="60")
    host.start()
    host.ask("a", "1")
    connection = host.connect("i")
    connection.sendall(f"{lock}\n".encode())
    assert connection.recv(100) == b"locked\n"
    assert len(host.left()) > 20
    command, inetd = host.command, host.inetd
    if killed == "command":
        os.kill(command, signal.SIGKILL)
    elif killed == "inetd":
        os.kill(inetd, signal.SIGKILL)
    else:
        os.killpg(command, signal.SIGKILL)
        if killed == "both groups":
            os.killpg(inetd, signal.SIGKILL)
    assert host.wait() == (1 if killed == "inetd" else -signal.SIGKILL)
    assert not is_locked(lock)


def test_a_stderr_that_nobody_reads_stops_nobody(host: Host) -> None:
    host.long_running("a", SERVER)
    host.start(read_stderr=False)
    for _ in range(20):
        assert host.ask(
            "a", "os.write(2, b'x' * 999 + b'\\n') and [os.write(2, b'y' * 63 + b'\\n') for _ in range(5000)][0]"
        )
    assert host.stop() == 0


def test_output_comes_line_by_line_under_the_name_of_its_service(host: Host) -> None:
    host.long_running("a", SERVER)
    host.start()
    host.ask("a", "os.write(2, b'<4>one\\ntwo\\nthr'), os.write(1, b'ee\\n')")
    wait_for(lambda: "a: one\na: two\na: three\n" in host.stderr, "three lines")


def test_a_program_that_is_missing_is_named_and_tried_again(host: Host) -> None:
    host.long_running("a", SERVER, ExecStart="/nonexistent/program")
    host.start()
    wait_for(lambda: host.stderr.count("cannot execute /nonexistent/program: No such file") > 1, "two attempts")


def test_a_thousand_connections_at_once_stop_nobody(host: Host) -> None:
    host.on_connect("i", INSTANCE, places=4)
    host.start()
    connections = [host.connect("i") for _ in range(1000)]
    ended = sum(_is_refused(each) for each in connections)
    assert ended == 996
    for each in connections:
        each.close()
    wait_for(lambda: _answers(host, "i"), "a place is free")


def _is_refused(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"1\n")
        return connection.recv(100) == b""
    except ConnectionError:
        return True
