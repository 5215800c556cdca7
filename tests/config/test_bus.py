"""herald-config on its connection: framing, both methods, and callers that misbehave."""

import os
import signal
import subprocess
import sys

import pytest

from tests.config.installation import Installation


def test_check_and_reload_answer_what_is_wrong_and_what_is_in_force(herald: Installation) -> None:
    herald.project("demo")

    assert not herald.call("Check")["applied"]
    assert herald.call("Reload")["applied"]
    assert herald.call("Check")["applied"]
    herald.project("demo", "x: 1\n")
    reply = herald.call("Reload")

    assert set(reply) == {"applied", "changed", "generation", "problems", "notices"}
    assert (reply["applied"], reply["generation"]) == (False, 1)
    assert reply["problems"][0]["line"] == 3


def test_a_wrong_parameter_is_refused(herald: Installation) -> None:
    with herald.connection() as connection:
        connection.send("Reload", force=True)

        assert connection.receive()["error"] == "org.varlink.service.InvalidParameter"


def test_an_unusable_state_folder_is_answered_as_unavailable(herald: Installation) -> None:
    herald.state.write_text("a file, where a folder should be")

    with herald.connection() as connection:
        connection.send("Reload")
        message = connection.receive()

    assert message["error"] == "io.herald.Config.Unavailable"
    assert str(herald.state) in message["parameters"]["message"]


def test_a_caller_that_goes_away_does_not_stop_the_reload(herald: Installation) -> None:
    herald.project("demo")

    with herald.connection() as connection:
        connection.send("Reload")
        connection.socket.close()

    assert "demo" in herald.snapshot().projects


def test_half_a_call_does_nothing(herald: Installation) -> None:
    with herald.connection() as connection:
        connection.socket.sendall(b'{"method": "io.herald.Config.Reload"}')

    assert not herald.state.exists()


def test_a_reload_that_hangs_makes_others_busy_and_not_hang_as_well(herald: Installation) -> None:
    herald.project("demo")
    held = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
        " print(flush=True); sys.stdin.read()"
    )
    (herald.state / "config").mkdir(parents=True)
    command = [sys.executable, "-c", held, str(herald.state / "config" / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        os.kill(holder.pid, signal.SIGSTOP)
        with herald.connection() as connection:
            connection.send("Reload")
            message = connection.receive()
        holder.kill()

    assert message["error"] == "io.herald.Config.Busy"


@pytest.mark.parametrize("module", ["pydantic", "ruamel", "croniter", "asyncio", "logging"])
def test_nothing_heavy_is_imported_before_the_first_call(herald: Installation, module: str) -> None:
    code = f"import sys, herald_config.__main__, herald_config.service; sys.exit({module!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], env=herald.environment).returncode == 0
