"""Posts: block or file, once, masked, for slow readers too."""

import os
import socket
from pathlib import Path

import pytest

from herald import names
from herald.bus.blocking import call
from herald.bus.frames import Frames
from herald.errors import Invalid
from tests.gateway.running import WORKER, Bus, Reader, post, posts, wait_for

TOKEN = "sk-ant-api03-" + "t" * 40


def post_file(path: Path, key: str = "p1", text: str = "", **rest: object) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        parameters = {"key": key, "project": "demo", "kind": "answer", "text": text, "file": 0, **rest}
        call(names.GATEWAY, "Post", parameters, deadline=30, fds=(descriptor,))
    finally:
        os.close(descriptor)


def test_the_same_key_and_revision_is_one_post_and_a_higher_one_an_edit(chat: Bus) -> None:
    post("card", kind="card")
    post("again", kind="card")
    post("pushed", kind="card", revision=2)
    post("too late", kind="card", revision=1)

    assert [(each["text"], each["revision"]) for each in posts()] == [("card", 0), ("pushed", 2)]


@pytest.mark.parametrize("length", [1899, 1900, 5000])
def test_block_and_file_by_length(chat: Bus, length: int) -> None:
    post("x" * length)

    (found,) = posts()
    if length < 1900:
        assert found["text"] == f"```\n{'x' * length}\n```"
        assert found["file"] == ""
    else:
        assert Path(found["file"]).name == "output.txt"
        assert Path(found["file"]).read_text() == "x" * length + "\n"
        assert len(found["text"]) < 200


def test_a_file_of_5_mb_that_was_handed_over(chat: Bus) -> None:
    source = chat.root / "source"
    source.write_text("0123456789abcdef\n" * (5 << 16))
    post_file(source, file_name="../../log of.txt")

    (found,) = posts()
    assert Path(found["file"]).name == "log-of.txt"
    assert Path(found["file"]).is_relative_to(chat.root / "state" / "gateway" / "files")
    assert Path(found["file"]).read_text() == source.read_text()


def test_a_short_file_is_a_block_and_its_lead_stays(chat: Bus) -> None:
    source = chat.root / "source"
    source.write_text("short\n")
    post_file(source, text="The log:")

    assert posts()[0]["text"] == "The log:\n```\nshort\n```"


def test_a_file_beyond_25_mb_is_cut_not_refused(chat: Bus) -> None:
    source = chat.root / "source"
    with source.open("wb") as file:
        file.write(b"begin\n")
        file.truncate(30 << 20)
    post_file(source)

    stored = Path(posts()[0]["file"])
    assert 25 << 20 < stored.stat().st_size < 26 << 20
    assert stored.read_text().endswith("[cut here, after 25 MB]\n")


def test_what_is_no_file_is_refused_at_once(chat: Bus) -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(Invalid, match="regular file"):
            call(
                names.GATEWAY,
                "Post",
                {"key": "p", "project": "demo", "kind": "answer", "text": "", "file": 0},
                fds=(reader,),
            )
    finally:
        os.close(reader)
        os.close(writer)


def test_a_token_appears_nowhere(bus: Bus) -> None:
    credentials = bus.root / "credentials"
    credentials.mkdir()
    (credentials / "discord_token").write_text("my-very-own-credential\n")
    bus.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    bus.peer(names.WORKER, {**WORKER, "Enqueue": {"error": ["Failed", f"cannot use {TOKEN}"]}})
    bus.gateway()
    source = bus.root / "source"
    source.write_text(f"{TOKEN} my-very-own-credential\n" + "x" * 5000)
    post_file(source, key="file", identity=TOKEN)
    post(f"{TOKEN} my-very-own-credential", key="block")
    post(f"{TOKEN} my-very-own-credential", key="card", kind="card")
    call(names.GATEWAY, "Say", {"key": "m", "project": "demo", "text": "go"})

    found = posts()
    assert len(found) == 4
    shown = "".join(f"{each}" for each in found) + Path(found[0]["file"]).read_text() + bus.journal()
    for secret in (TOKEN, "my-very-own-credential"):
        assert secret not in shown
    assert shown.count("[secret]") >= 7


def test_terminal_posts_are_harmless(chat: Bus) -> None:
    post("\x1b[2Jcleared \u202eright to left", kind="notice")

    assert posts()[0]["text"] == "␛[2Jcleared right to left"


def test_a_post_is_on_disk_before_it_is_answered(chat: Bus) -> None:
    post("kept")
    chat.end(names.GATEWAY, kill=True)
    chat.gateway()
    post("kept")

    assert len(posts()) == 1


def test_watch_resumed_after_a_kill_misses_and_repeats_nothing(chat: Bus) -> None:
    reader = Reader()
    for number in range(20):
        post(str(number), key=f"a{number}")
    wait_for(lambda: len(reader.posts) == 20)
    chat.end(names.GATEWAY, kill=True)
    chat.gateway()
    for number in range(20):
        post(str(number), key=f"b{number}")
    second = Reader(since=reader.posts[-1]["id"])
    wait_for(lambda: len(second.posts) == 20)

    assert [each["id"] for each in reader.posts + second.posts] == list(range(1, 41))


def test_minus_one_shows_new_posts_alone_and_a_cursor_of_a_lost_log_all(chat: Bus) -> None:
    post("old", key="old")
    fresh, lost = Reader(since=-1), Reader(since=999)
    wait_for(lambda: len(lost.posts) == 1)
    post("new", key="new")

    wait_for(lambda: fresh.posts and len(lost.posts) == 2)
    assert [each["key"] for each in fresh.posts] == ["new"]


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_reader_that_does_not_read_costs_no_memory_and_stops_nobody(bus: Bus) -> None:
    gateway = bus.gateway()
    post("x" * 1000, key="first")
    with socket.socket(socket.AF_UNIX) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(str(bus.root / "bus" / "io.herald.Gateway"))
        frames = Frames(slow, 1 << 20)
        frames.send({"method": "io.herald.Gateway.Watch", "parameters": {"since": 0}, "more": True})
        for number in range(100):
            post("x" * 20_000, key=f"warm{number}", kind="notice")
        before = resident(gateway.pid)
        for number in range(700):
            post("x" * 20_000, key=f"p{number}", kind="notice")
            for task in range(3):
                progress = {"project": "demo", "task": str(number * 3 + task), "text": "y" * 200}
                call(names.GATEWAY, "ShowProgress", progress)
        assert resident(gateway.pid) - before < 4 << 20
        seen = 0
        while seen < 801:
            received = frames.receive()
            assert received is not None
            seen += received[0]["parameters"]["post"] is not None
        assert received[0]["parameters"]["post"]["key"] == "p699"


def test_progress_reaches_a_reader_on_one_line_and_is_not_kept(chat: Bus) -> None:
    reader = Reader()
    post("first")
    wait_for(lambda: reader.posts)
    progress = {"project": "demo", "task": "7", "answers": "m1", "started_at": "", "tokens": 5, "cost_usd": 0.5}
    call(names.GATEWAY, "ShowProgress", {**progress, "text": "reading\n\x1b[31mfiles"})
    wait_for(lambda: reader.progress)

    assert reader.progress == [{**progress, "text": "reading ␛[31mfiles"}]
    assert len(posts()) == 1
