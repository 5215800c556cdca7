"""A run starts at most once, holds its locks to the end, and is refused before it has done anything."""

import array
import os
import socket
from pathlib import Path

import psutil
import pytest

from tests.agent.place import Place, RunFiles, git, is_locked, wait_for


def error_of(reply: dict[str, object]) -> str:
    return str(reply["error"]).rpartition(".")[2]


def test_a_run_answers_started_with_its_locks_held_and_ended_with_its_result_on_disk(place: Place) -> None:
    instance, files = place.start("sleep 30")
    assert instance.receive() == {"parameters": {"state": "started"}, "continues": True}
    assert files.read("lock") == f"started boot-1 {instance.process.pid}\n"
    agent = place.state / "agent"
    assert files.is_locked()
    assert is_locked(agent / "slots/slot.0")
    assert is_locked(agent / "locks/pounce")
    assert files.read("result") == ""
    files.cancel()
    assert instance.receive() == {"parameters": {"state": "ended"}}
    assert files.end["outcome"] == "cancelled"
    assert instance.wait() == 0
    assert not files.is_locked()


def test_a_run_goes_on_when_its_caller_dies(place: Place) -> None:
    instance, files = place.start("create a.txt: still here")
    instance.receive()
    instance.hang_up()
    assert instance.process.wait(30) == 0
    assert files.end["outcome"] == "ok"
    assert place.show("agent/pounce-1", "a.txt") == "still here"


@pytest.mark.parametrize("cell", ["void\n", "started another-boot 12\n"])
def test_a_cell_that_is_not_empty_is_never_started(place: Place, cell: str) -> None:
    files = RunFiles(place.folder / "run", b"create a.txt: no")
    (files.folder / "lock").write_text(cell)
    instance, _ = place.start("", files=files)
    assert error_of(instance.receive()) == "Conflict"
    instance.wait()
    assert files.read("lock") == cell
    assert files.read("result") == ""
    assert place.branches() == []


def test_of_two_instances_with_one_cell_one_runs(place: Place) -> None:
    place.configure(max_active=2)
    files = RunFiles(place.folder / "run", b"create a.txt: once")
    instances = [place.start("", files=files, run="same", branch="agent/pounce-1")[0] for _ in range(2)]
    replies = [instance.receive() for instance in instances]
    refused = [reply for reply in replies if "error" in reply]
    assert len(refused) == 1
    assert error_of(refused[0]) in ("Conflict", "Busy")
    for instance in instances:
        instance.wait()
    assert files.end["commits"] == 1
    assert git(place.tree, "rev-list", "--count", f"{place.base}..agent/pounce-1") == "1"


def test_a_second_run_is_busy_while_the_only_slot_is_taken_and_its_cell_stays_empty(place: Place) -> None:
    first, files = place.start("sleep 30")
    first.receive()
    second, refused = place.start("create b.txt: b")
    assert error_of(second.receive()) == "Busy"
    second.wait()
    assert refused.read("lock") == ""
    assert not refused.is_locked()
    files.cancel()
    first.receive()
    first.wait()
    again, _ = place.start("", files=refused)
    again.receive()
    again.receive()
    assert again.wait() == 0
    assert refused.end["outcome"] == "ok"


def test_a_workspace_takes_one_run_although_a_slot_is_free(place: Place) -> None:
    place.configure(max_active=3)
    first, files = place.start("sleep 30")
    first.receive()
    second, _ = place.start("create b.txt: b")
    reply = second.receive()
    assert error_of(reply) == "Busy"
    assert "at work in pounce" in reply["parameters"]["message"]
    second.wait()
    assert not is_locked(place.state / "agent/slots/slot.1")
    assert error_of(place.call("Prepare", have=[])) == "Busy"
    assert error_of(place.call("Discard", branch="agent/pounce-1", head=place.base)) == "Busy"
    files.cancel()
    first.wait()


def test_the_service_manager_gets_all_locks_before_the_run_starts(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(10)
        instance, files = place.start("sleep 30", notify=path)
        instance.receive()
        stored: dict[str, int] = {}
        while len(stored) < 3:
            data, ancillary, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(4))
            fields = dict(line.split("=") for line in data.decode().splitlines())
            for _, _, payload in ancillary:
                stored[fields["FDNAME"]] = array.array("i", payload)[0]
        assert set(stored) == {"run", "slot", "workspace"}
        instance.process.kill()
        instance.wait()
        assert files.is_locked()  # until the manager lets go, which it does when no process is left
        for fd in stored.values():
            os.close(fd)
        wait_for(lambda: not files.is_locked(), "the end of what the driver was just starting")
    path.unlink()


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"project": "nobody"}, "NotFound"),
        ({"run": "../up"}, "Invalid"),
        ({"branch": "-D"}, "Invalid"),
        ({"branch": "a..b"}, "Invalid"),
        ({"base": "HEAD"}, "Invalid"),
        ({"deadline": 0}, "Invalid"),
        ({"deadline": "soon"}, "InvalidParameter"),
    ],
)
def test_a_call_that_can_never_succeed_is_refused(place: Place, parameters: dict[str, object], code: str) -> None:
    instance, files = place.start("say hi", **parameters)
    assert error_of(instance.receive()) == code
    instance.wait()
    assert files.read("lock") == ""


def test_half_a_request_does_nothing(place: Place) -> None:
    instance = place.instance()
    instance.send_bytes(b'{"method":"io.herald.Agent.Discard","parameters":{"pro')
    assert instance.wait() == 0
    assert not (place.state / "agent").exists()


def test_a_killed_driver_takes_its_agent_along_and_frees_its_locks(place: Place) -> None:
    instance, files = place.start("sleep 60")
    instance.receive()
    wait_for(lambda: files.progress, "progress")
    (agent,) = psutil.Process(instance.process.pid).children()
    instance.process.kill()
    instance.wait()
    agent.wait(60)
    assert not files.is_locked()
    assert files.read("result") == ""
    assert files.read("lock").startswith("started ")
