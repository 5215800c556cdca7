"""TakeSubmodule and GiveSubmodule: what is refused, and what they leave."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def call(place: Place, method: str, pack: bytes = b"", **parameters: Any) -> dict[str, Any]:
    given = {"project": "pounce", "workspace": "pounce", "path": "lib", "commit": place.base, "have": [], "pack": 0}
    if method == "TakeSubmodule":
        given |= {"names": ["lib"], "url": "git@example.org:o/lib.git"}
    file = place.folder / "submodule.pack"
    file.write_bytes(pack)
    instance = place.instance()
    fd = os.open(file, os.O_RDWR)
    instance.send(method, given | parameters, (fd,))
    os.close(fd)
    reply = instance.receive()
    assert instance.wait() == 0
    return reply


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "../lib"},
        {"path": "lib/.git/hooks"},
        {"path": "/etc"},
        {"path": ""},
        {"names": ["../../hooks"]},
        {"names": ["lib", "-u"]},
        {"commit": "HEAD"},
    ],
)
def test_what_is_no_submodule_is_refused(place: Place, wrong: dict[str, Any]) -> None:
    assert call(place, "TakeSubmodule", **wrong)["error"] == "io.herald.Agent.Invalid"
    assert not list(place.state.glob("agent/stores/*/submodule-*"))


def test_what_is_lacking_is_asked_for_and_taken_once(place: Place) -> None:
    assert call(place, "TakeSubmodule")["parameters"] == {"complete": False, "held": []}
    taken = call(place, "TakeSubmodule", place.history())
    assert taken["parameters"] == {"complete": True, "held": [place.base]}
    assert call(place, "TakeSubmodule")["parameters"]["complete"]
    assert len(list(place.state.glob("agent/stores/pounce/submodule-*.git"))) == 1


def test_a_pack_that_does_not_hold_the_commit_is_not_enough(place: Place) -> None:
    reply = call(place, "TakeSubmodule", place.history(), commit="1" * 40)
    assert reply["error"] == "io.herald.Agent.Conflict"


def test_a_record_that_was_damaged_is_set_aside(place: Place) -> None:
    call(place, "TakeSubmodule", place.history())
    record = place.state / "agent/submodules/pounce.json"
    record.write_text("[")
    assert call(place, "TakeSubmodule")["parameters"]["complete"]
    assert list(record.parent.glob("pounce.json.damaged-*"))


def held(place: Place, *wanted: str) -> list[str]:
    reply = place.call("ListSubmodules", wanted=list(wanted))
    found: list[str] = reply["parameters"]["held"]
    return found


def damaged(store: Path) -> None:
    (pack,) = store.glob("objects/pack/*.pack")
    pack.chmod(0o600)
    pack.write_bytes(bytes(pack.stat().st_size))


def test_what_was_taken_needs_nothing_until_its_record_is_damaged(place: Place) -> None:
    call(place, "TakeSubmodule", place.history(), path="my lib")
    taken, lacking, unknown = f"{place.base} my lib", f"{'1' * 40} my lib", f"{place.base} lib"
    assert held(place, taken, lacking, unknown) == [taken]

    (place.state / "agent/submodules/pounce.json").write_text("[")

    assert held(place, taken) == []


def test_a_store_that_was_damaged_is_made_anew_from_a_pack_of_everything(place: Place) -> None:
    call(place, "TakeSubmodule", place.history())
    (store,) = place.state.glob("agent/stores/pounce/submodule-*.git")
    damaged(store)

    assert held(place, f"{place.base} lib") == []
    assert call(place, "TakeSubmodule")["parameters"] == {"complete": False, "held": []}
    assert call(place, "TakeSubmodule", place.history())["parameters"] == {"complete": False, "held": []}
    assert call(place, "TakeSubmodule", place.history())["parameters"]["complete"]
    assert held(place, f"{place.base} lib") == [f"{place.base} lib"]
    assert list(store.parent.glob("submodule-*.damaged-*"))


def test_one_that_is_not_initialised_in_a_person_s_folder_needs_nothing(place: Place) -> None:
    place.configure(workspace="path")
    assert held(place, f"{place.base} lib") == [f"{place.base} lib"]


@pytest.mark.parametrize("wrong", ["lib", f"{'1' * 40} ../lib", f"{'1' * 40} "])
def test_what_is_no_submodule_is_not_looked_for(place: Place, wrong: str) -> None:
    assert place.call("ListSubmodules", wanted=[wrong])["error"] == "io.herald.Agent.Invalid"


def test_a_commit_that_is_in_no_submodule_is_told(place: Place) -> None:
    place.run("create a.txt: a")
    assert call(place, "GiveSubmodule")["error"] == "io.herald.Agent.NotFound"
