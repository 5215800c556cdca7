"""The compiled configuration: what is read is exactly what was written, or nothing."""

import json
import os
import zlib
from pathlib import Path

import pytest

from herald import snapshot
from herald.durable import write_atomic
from herald.errors import NotFound, Unavailable
from herald.people import may, role_of
from herald.snapshot import Current, Operator, Project, Snapshot
from tests.support.snapshots import in_format_1

_PROJECT = Project(
    "demo", "Démo", "/srv/demo", "1", "Pounce", True, "own", True, True, "agent/demo", "git@host:demo.git"
)
_OPERATORS = (
    Operator("11", "ada", "Ada", "approver", ()),
    Operator("12", "bob", "Bob", "operator", ("demo",)),
    Operator("13", "", "Reader", "reader", ()),
)
_SNAPSHOT = Snapshot(3, "s", "2026-01-31T00:00:00.000Z", 2, 60.0, _OPERATORS, {"demo": _PROJECT})


def test_what_was_written_is_read() -> None:
    assert snapshot.decode(snapshot.encode(_SNAPSHOT)) == _SNAPSHOT


def test_any_flipped_byte_is_noticed() -> None:
    data = snapshot.encode(_SNAPSHOT)

    for offset in range(len(data) - 1):
        damaged = bytearray(data)
        damaged[offset] ^= 0x01
        try:
            read = snapshot.decode(bytes(damaged))
        except ValueError:
            continue
        assert read == _SNAPSHOT, f"byte {offset}"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b'{"crc32": 1}', b'{"crc32": 1, "body": 7}'])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        snapshot.decode(data)


def test_any_cut_is_noticed() -> None:
    data = snapshot.encode(_SNAPSHOT).rstrip(b"\n")

    for length in range(len(data)):
        with pytest.raises(ValueError, match=r".+"):
            snapshot.decode(data[:length])


def test_another_format_is_refused_by_its_number() -> None:
    body = json.loads(snapshot.encode(_SNAPSHOT))["body"] | {"format": 99}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))

    with pytest.raises(ValueError, match="format 99, this version reads format 3"):
        snapshot.decode(json.dumps({"crc32": zlib.crc32(text.encode()), "body": body}).encode())


def test_one_of_the_format_before_is_read_with_defaults_and_asks_to_be_compiled_anew(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_bytes(in_format_1(_SNAPSHOT))

    found = snapshot.read(str(path))

    assert found == _SNAPSHOT._replace(signature="")
    assert Current(str(path)).get() == found


def test_in_one_of_format_2_a_worktree_is_an_own_workspace_and_it_asks_to_be_compiled_anew() -> None:
    body = json.loads(snapshot.encode(_SNAPSHOT))["body"] | {"format": 2}
    body["projects"]["demo"]["workspace"] = "worktree"
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))

    found = snapshot.decode(json.dumps({"crc32": zlib.crc32(text.encode()), "body": body}).encode())

    assert found == _SNAPSHOT._replace(signature="")


def test_before_the_first_compile_nothing_is_configured(tmp_path: Path) -> None:
    assert snapshot.read(str(tmp_path / "snapshot.json")) == snapshot.EMPTY
    with pytest.raises(NotFound, match=r"no project named 'demo' \(known: none is configured yet\)"):
        snapshot.EMPTY.project("demo")


def test_a_damaged_or_unreadable_file_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_bytes(b"damaged")

    with pytest.raises(Unavailable, match=r"is damaged .*; `heraldctl reload` compiles it anew"):
        snapshot.read(str(path))
    with pytest.raises(Unavailable, match="cannot be read: Is a directory"):
        snapshot.read(str(tmp_path))


def test_what_the_service_manager_hands_over_goes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over, state = tmp_path / "handed-over", tmp_path / "state"
    handed_over.mkdir()
    (state / "config").mkdir(parents=True)
    (state / "config/snapshot.json").write_bytes(snapshot.encode(_SNAPSHOT))
    monkeypatch.setenv("HERALD_STATE", str(state))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed_over))

    assert snapshot.read().generation == _SNAPSHOT.generation  # nothing was handed over
    (handed_over / "snapshot.json").write_bytes(b"\n")
    assert snapshot.read() == snapshot.EMPTY
    (handed_over / "snapshot.json").write_bytes(snapshot.encode(_SNAPSHOT._replace(generation=7)))
    assert snapshot.read().generation == 7
    (handed_over / "snapshot.json").write_bytes(b"damaged")
    with pytest.raises(Unavailable, match=r"handed-over/snapshot\.json is damaged"):
        snapshot.read()


def test_a_blank_file_in_the_state_is_damage(tmp_path: Path) -> None:
    (tmp_path / "snapshot.json").write_bytes(b"\n")

    with pytest.raises(Unavailable, match="is damaged"):
        snapshot.read(str(tmp_path / "snapshot.json"))


def test_the_one_in_force_follows_the_file_and_outlives_damage(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    current = Current(str(path))
    assert current.get() == snapshot.EMPTY

    for generation in (1, 2):
        write_atomic(str(path), snapshot.encode(_SNAPSHOT._replace(generation=generation)))
        assert current.get().generation == generation
    write_atomic(str(path), b"damaged")
    assert current.get().generation == 2
    os.unlink(path)
    assert current.get().generation == 2


def test_who_was_never_read_is_not_taken_from_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_bytes(b"damaged")

    with pytest.raises(Unavailable):
        Current(str(path)).get()


@pytest.mark.parametrize(
    ("author", "project", "role"),
    [
        ("discord:11", "demo", "approver"),
        ("discord:12", "demo", "operator"),
        ("discord:12", "other", None),
        ("discord:13", "demo", "reader"),
        ("discord:99", "demo", None),
        ("unix:ada", "demo", "approver"),
        ("unix:bob", "demo", "operator"),
        ("unix:bob", "other", None),
        ("unix:root", "demo", "approver"),
        ("unix:", "demo", None),
        ("herald:gateway", "demo", None),
        ("", "demo", None),
    ],
)
def test_people_have_the_role_that_the_operators_list_gives_them(author: str, project: str, role: str | None) -> None:
    assert role_of(_SNAPSHOT, author, project) == role


def test_a_role_includes_those_below_it() -> None:
    assert may("approver", "operator")
    assert may("operator", "operator")
    assert not may("reader", "operator")
    assert not may(None, "reader")
