"""The worker asks the agent's unit what is missing, says it in its status, and stops asking once all is there."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herald import names
from herald.bus.blocking import call
from herald_worker.api import duty_line
from tests.gateway.running import Bus, wait_for

_READY = {"agent": "/opt/herald/claude/bin/claude", "credential": "an API key", "missing": [], "not_held": []}
_LACKING = {**_READY, "credential": "", "missing": ["There is no credential for Claude. Do this."], "not_held": ["x"]}


class Installation(Bus):
    """A worker in user mode; the parts beside it are stand-ins."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.config = root / "etc"
        (self.config / "projects").mkdir(parents=True)
        (self.config / "credentials").mkdir()
        self.environment |= {"HERALD_MODE": "user", "HERALD_CONFIG": str(self.config)}
        self.peer(names.CONFIG, {"Reload": {"reply": self.compiled()}})
        self.peer(names.GATEWAY, {})

    def compiled(self) -> dict[str, Any]:
        return {"applied": True, "changed": False, "generation": 1, "problems": [], "notices": []}

    def worker(self) -> None:
        self.start(names.WORKER, "herald_worker")

    def asked(self) -> int:
        return len(self.calls(names.AGENT, "Check"))

    def status(self) -> dict[str, Any]:
        return call(names.WORKER, "GetStatus", deadline=20)


@pytest.fixture
def herald(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    root = Path(tempfile.mkdtemp(prefix="hw"))
    made = Installation(root)
    monkeypatch.setenv("HERALD_BUS", made.environment["HERALD_BUS"])
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(root)


def test_what_is_missing_is_in_the_status_and_gone_once_a_credential_is_there(herald: Installation) -> None:
    herald.peer(names.AGENT, {"Check": {"reply": _LACKING}})
    herald.worker()

    assert "no project is configured yet" in herald.status()["duty"]
    wait_for(lambda: herald.status()["missing"])
    status = herald.status()
    assert status["missing"] == _LACKING["missing"]
    assert status["not_held"] == ["x"]
    assert status["duty"].endswith("; There is no credential for Claude. Do this")
    assert "There is no credential for Claude. Do this." in herald.journal(names.WORKER)

    herald.script(names.AGENT, {"Check": {"reply": _READY}})
    (herald.config / "credentials" / "anthropic_api_key").write_text("x")
    wait_for(lambda: not herald.status()["missing"])
    assert herald.status()["duty"].startswith("no project is configured yet")


def test_a_new_generation_is_a_reason_to_ask_and_idleness_is_none(herald: Installation) -> None:
    herald.peer(names.AGENT, {"Check": {"reply": _READY}})
    herald.worker()
    wait_for(lambda: herald.asked() > 0)
    time.sleep(3.0)
    asked = herald.asked()
    assert asked <= 2

    herald.configure()
    wait_for(lambda: herald.asked() == asked + 1)


def test_a_person_who_has_logged_in_need_not_wait(herald: Installation) -> None:
    herald.peer(names.AGENT, {"Check": {"reply": _LACKING}})
    herald.worker()
    wait_for(lambda: herald.status()["missing"])
    herald.script(names.AGENT, {"Check": {"reply": _READY}})

    assert call(names.WORKER, "CheckAgent", deadline=20) == _READY
    assert herald.status()["missing"] == []


@pytest.mark.parametrize("error", ["MethodNotFound", "Busy"])
def test_a_unit_that_cannot_say_is_not_held_against_anybody(herald: Installation, error: str) -> None:
    herald.peer(names.AGENT, {"Check": {"error": [error, "not now"]}})
    herald.worker()
    wait_for(lambda: herald.asked() >= 2)

    assert herald.status()["missing"] == []


def test_a_unit_that_does_not_come_up_is_named_with_where_to_look(herald: Installation) -> None:
    herald.peer(names.AGENT, {"Check": {"error": ["Unavailable", "it ended"]}})
    herald.worker()
    wait_for(lambda: herald.status()["missing"])

    (missing,) = herald.status()["missing"]
    assert "the agent's unit cannot be asked: it ended; `journalctl -u 'herald-agent@*'` says why" in missing


def test_the_status_line_stays_one_line_of_what_matters() -> None:
    assert duty_line(0, 0, [], 0, [], ["No claude. Do."]) == (
        "no project is configured yet: add one below projects/ of the configuration; No claude. Do"
    )
    assert duty_line(1, 2, [], 1, [], []) == "idle, 2 queued, 1 waiting for a vote"
    assert duty_line(1, 0, [], 0, ["a.yaml:1: x"], ["y"]).startswith("configuration broken")
    assert len(duty_line(1, 0, [], 0, [], ["z" * 5000])) < 300
    assert duty_line(1, 0, [], 0, [], ["a.", "b.", "c.", "d."]) == "idle; a; b; 2 more in `heraldctl status`"
