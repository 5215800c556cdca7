"""What is said in Discord on its way to the worker: where it is found, in which order, what comes with it."""

import sqlite3
import tarfile
import time
from pathlib import Path

import pytest

from herald.attachments import is_safe
from herald_gateway.discord_chat.unfit import Unfit, check_content, check_name, safe_name
from tests.discord.herald import Herald
from tests.gateway.running import posts, wait_for

BUSY = ["Busy", "not now"]
TAKEN = {"task": "7", "created": True, "ahead": 0, "steered": False}


def keys(herald: Herald) -> list[str]:
    return [each["key"] for each in herald.calls("Enqueue")]


def texts(herald: Herald) -> list[str]:
    return [each["text"] for each in herald.calls("Enqueue")]


def held(herald: Herald, said: str) -> Path:
    """The tar of a message's files, while the worker does not take it."""
    query = f"SELECT attachments FROM messages WHERE key = 'discord:{said}' AND attachments <> ''"
    wait_for(lambda: herald.state(query))
    return Path(herald.state(query)[0][0])


# Files that come with a message


def test_files_are_kept_as_a_tar_until_the_worker_has_them(gateway: Herald) -> None:
    gateway.answers("Enqueue", error=BUSY)
    files = {"notes.txt": b"some notes", "p\u202eng.txt": b"more", "..passwd": b"root", "notes.TXT": b"x"}
    said = gateway.discord.say(gateway.approver, gateway.demo, "look", files)

    tar = held(gateway, said)

    assert tar.stat().st_mode & 0o777 == 0o600
    assert tar.parent == gateway.bus.root / "state" / "gateway" / "attachments"
    with tarfile.open(tar) as archive:
        content = {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]
    assert sorted(content.values()) == sorted(files.values())
    assert content["notes.txt"] == b"some notes"
    assert not any("/" in name or "\u202e" in name or name.startswith(".") for name in content)
    gateway.answers("Enqueue", reply=TAKEN)
    gateway.eyes(said)
    wait_for(lambda: list(tar.parent.iterdir()) == [])


def test_files_survive_a_kill_and_leftovers_do_not(gateway: Herald) -> None:
    gateway.answers("Enqueue", error=BUSY)
    said = gateway.discord.say(gateway.approver, gateway.demo, "look", {"notes.txt": b"some notes"})
    tar = held(gateway, said)
    gateway.kill()
    (tar.parent / "of-nobody.tar").write_bytes(b"")
    (tar.parent / ".new-abc").mkdir()
    (tar.parent / ".new-abc" / "0").write_bytes(b"half")
    gateway.restart()
    assert list(tar.parent.iterdir()) == [tar]

    gateway.answers("Enqueue", reply=TAKEN)

    gateway.eyes(said)
    wait_for(lambda: list(tar.parent.iterdir()) == [])


def test_what_is_not_passed_on_is_said_in_one_line_and_in_the_task(gateway: Herald) -> None:
    files = {
        "a.zip": b"PK\3\4", "setup.exe": b"MZ", "hidden.txt": b"\x7fELF\2\1", "packed.dat": b"\x1f\x8b\x08",
        "big.txt": b"x" * ((10 << 20) + 1), "fine.md": b"# fine",
    }  # fmt: skip
    gateway.discord.say(gateway.approver, gateway.demo, "look", files)

    (task,) = gateway.tasks(1)

    line = gateway.posted(gateway.demo, "Not passed on").content
    assert "\n" not in line
    for name in ("a.zip", "setup.exe", "hidden.txt", "packed.dat", "big.txt"):
        assert name in line
        assert name in task["text"]
    assert "fine.md" not in line
    assert task["text"].startswith("look\n\n[Herald did not pass on: ")
    assert len(gateway.discord.changes("download")) == 3  # the names of the others told enough


def test_files_alone_are_a_task_unless_none_of_them_is_passed_on(gateway: Herald) -> None:
    discord = gateway.discord
    discord.say(gateway.approver, gateway.demo, "", {"a.zip": b"PK\3\4"})
    gateway.posted(gateway.demo, "Not passed on: a.zip")
    discord.say(gateway.approver, gateway.demo, "", {"do.md": b"# do this"})

    (task,) = gateway.tasks(1)

    assert task["text"] == "The attached files are the message."
    assert task["attachments"] is not None


def test_files_of_people_who_may_not_give_tasks_are_not_fetched(gateway: Herald) -> None:
    discord = gateway.discord
    discord.say(gateway.reader, gateway.demo, "look", {"a.txt": b"a"})
    discord.say(gateway.stranger, gateway.demo, "look", {"a.txt": b"a"})
    discord.say(gateway.approver, gateway.elsewhere, "look", {"a.txt": b"a"})
    said = discord.say(gateway.approver, gateway.demo, "last")

    gateway.eyes(said)

    assert texts(gateway) == ["last"]
    assert discord.changes("download") == []


@pytest.mark.parametrize(("times", "told"), [(2, False), (0, True)])
def test_a_file_that_cannot_be_fetched_is_tried_again_and_then_told(gateway: Herald, times: int, told: bool) -> None:
    gateway.discord.trouble.fault("GET", ".*attachments.*", times=times, status=503)
    gateway.discord.say(gateway.approver, gateway.demo, "look", {"a.txt": b"a"})

    (task,) = gateway.tasks(1)

    assert ("a.txt: it could not be fetched" in task["text"]) == told
    if told:
        assert "send it again" in gateway.posted(gateway.demo, "Not passed on").content


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.tar.gz", b"", "archive"),
        ("A.ZIP. ", b"", "archive"),
        ("a.zip\u200b", b"", "archive"),
        ("run.sh", b"", "executable"),
        ("a.ps1", b"", "executable"),
        ("a.txt", b"Rar!\x1a\x07\x00", "archive"),
        ("a.txt", b"\0" * 257 + b"ustar\x0000", "archive"),
        ("a.txt", b"MZ\x90", "executable"),
        ("a.txt", b"#!/bin/sh\n", "executable"),
        ("a.txt", b"\xca\xfe\xba\xbe", "executable"),
        ("a.py", b"print()", ""),
        ("a.png", b"\x89PNG\r\n", ""),
        ("zip", b"", ""),
    ],
)
def test_archives_and_executables_are_known_by_name_and_by_content(
    tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    (tmp_path / "file").write_bytes(data)
    problem = ""
    try:
        check_name(name)
        check_content(str(tmp_path / "file"))
    except Unfit as unfit:
        problem = str(unfit)
    assert (why in problem) if why else not problem


@pytest.mark.parametrize("name", ["", ".", "..", "/", "-rf", "\u202e", "\u200b.txt", "é" * 300, "a\nb.txt", "\ud800"])
def test_any_file_name_becomes_one_that_can_stand_in_a_folder(name: str) -> None:
    made = safe_name(name, 0, set())
    again = safe_name(name, 1, {made})

    assert is_safe(made)
    assert is_safe(again)
    assert again != made


# Replies


def test_a_reply_names_the_task_that_it_answers(gateway: Herald) -> None:
    discord = gateway.discord
    asked = discord.say(gateway.approver, gateway.demo, "do it")
    gateway.tasks(1)
    gateway.progress("reading", answers=f"discord:{asked}", task="41")
    progress = gateway.posted(gateway.demo, "reading")
    gateway.post("done", "t41", answers=f"discord:{asked}", task="41", last=True)
    answer = gateway.posted(gateway.demo, "done")

    for number, message in enumerate((asked, progress.id, answer.id)):
        discord.say(gateway.approver, gateway.demo, f"more {number}", reply_to=message)
    chatter = discord.say(gateway.stranger, gateway.demo, "nice")
    discord.say(gateway.approver, gateway.demo, "unrelated", reply_to=chatter)

    tasks = gateway.tasks(5)
    assert [each.get("replies_to") or "" for each in tasks] == ["", "41", "41", "41", ""]


def test_what_is_said_in_the_thread_of_a_task_answers_it(gateway: Herald) -> None:
    discord = gateway.discord
    asked = discord.say(gateway.approver, gateway.demo, "do it")
    gateway.tasks(1)
    gateway.post("begun", "t41", "notice", answers=f"discord:{asked}", task="41")
    gateway.posted(gateway.demo, "begun")
    thread = discord.thread(gateway.approver, gateway.demo, "about it", asked)

    discord.say(gateway.approver, thread, "and this")

    assert (gateway.tasks(2)[1].get("replies_to") or "") == "41"


# What was missed


def test_channels_and_threads_of_a_project_are_caught_up_in_the_order_in_which_things_were_said(
    gateway: Herald,
) -> None:
    discord = gateway.discord
    known = discord.thread(gateway.approver, gateway.demo, "known")
    discord.say(gateway.approver, known, "before")
    gateway.tasks(1)
    gateway.stop()
    born = discord.thread(gateway.approver, gateway.demo, "born meanwhile")
    said = [
        discord.say(gateway.approver, (gateway.demo, known, born)[number % 3], f"missed {number}")
        for number in range(12)
    ]
    discord.archive(known)
    discord.archive(born)

    gateway.restart()

    gateway.tasks(13)
    assert keys(gateway)[1:] == [f"discord:{each}" for each in said]


def test_a_channel_that_is_made_while_herald_watches_counts_from_its_first_message(gateway: Herald) -> None:
    discord = gateway.discord
    gateway.channels["other"] = made = discord.channel("made-later")
    gateway.configure(generation=2)
    wait_for(lambda: gateway.state(f"SELECT 1 FROM cursors WHERE channel = '{made}'"))
    gateway.kill()
    said = discord.say(gateway.approver, made, "first words")

    gateway.restart()

    assert [each["key"] for each in gateway.tasks(1)] == [f"discord:{said}"]


def test_a_channel_that_herald_sees_for_the_first_time_begins_at_its_newest_message(gateway: Herald) -> None:
    discord = gateway.discord
    gateway.stop()
    gateway.channels["other"] = made = discord.channel("made-while-away")
    thread = discord.thread(gateway.approver, made, "its thread")
    discord.say(gateway.approver, thread, "in the thread before")
    discord.say(gateway.approver, made, "before")
    gateway.configure(generation=2)
    gateway.restart()

    discord.say(gateway.approver, made, "after")
    discord.say(gateway.approver, thread, "in the thread after")

    gateway.tasks(2)
    assert texts(gateway) == ["after", "in the thread after"]


def test_a_first_start_waits_until_it_is_known_where_a_channel_begins(herald: Herald) -> None:
    discord = herald.discord
    discord.say(herald.approver, herald.demo, "before")
    discord.trouble.settings(newest_told=False)
    discord.trouble.fault("GET", f"/channels/{herald.demo}/messages", status=503, times=2)
    herald.start()
    discord.say(herald.approver, herald.demo, "after")
    herald.stop()
    discord.say(herald.approver, herald.demo, "meanwhile")
    herald.restart()

    herald.tasks(2)
    assert texts(herald) == ["after", "meanwhile"]


def test_the_cursor_moves_with_the_record_and_never_before(gateway: Herald) -> None:
    discord = gateway.discord
    query = f"SELECT seen FROM cursors WHERE channel = '{gateway.demo}'"
    said = discord.say(gateway.approver, gateway.demo, "one")
    gateway.tasks(1)
    assert gateway.state(query) == [(said,)]
    with locked(gateway):
        discord.say(gateway.approver, gateway.demo, "two")
        discord.say(gateway.stranger, gateway.demo, "three")
        discord.wait(lambda: discord.gateway().ready)
        gateway.kill()
    assert gateway.state(query) == [(said,)]

    gateway.restart()

    gateway.tasks(2)
    assert texts(gateway) == ["one", "two"]


def locked(herald: Herald) -> sqlite3.Connection:
    """Somebody else holds the database; nothing can be written."""

    class Lock(sqlite3.Connection):
        def __exit__(self, *_: object) -> None:  # type: ignore[override]
            self.rollback()
            self.close()

    path = herald.bus.root / "state" / "gateway" / "gateway.sqlite"
    connection = sqlite3.connect(path, isolation_level=None, factory=Lock)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_messages_that_come_while_the_history_is_read_keep_their_place(gateway: Herald) -> None:
    discord = gateway.discord
    gateway.stop()
    missed = [discord.say(gateway.approver, gateway.demo, f"missed {number}") for number in range(5)]
    discord.trouble.fault("GET", f"/channels/{gateway.demo}/messages.*", times=0, status=503)
    gateway.bus.gateway()
    discord.wait_ready()
    discord.wait(lambda: discord.requests("GET", f"/channels/{gateway.demo}/messages"))
    new = [discord.say(gateway.approver, gateway.demo, f"new {number}") for number in range(5)]
    other = discord.say(gateway.approver, gateway.other, "elsewhere")
    gateway.tasks(1)
    assert keys(gateway) == [f"discord:{other}"]  # who cannot be read keeps nobody else waiting

    discord.trouble.clear_faults()

    gateway.tasks(11)
    assert keys(gateway)[1:] == [f"discord:{each}" for each in (*missed, *new)]


def test_more_messages_than_can_wait_are_read_from_the_history(gateway: Herald) -> None:
    discord = gateway.discord
    gateway.stop()
    discord.trouble.fault("GET", f"/channels/{gateway.demo}/messages.*", times=0, status=503)
    first = discord.say(gateway.approver, gateway.demo, "missed")
    gateway.bus.gateway()
    discord.wait_ready()
    new = [discord.say(gateway.approver, gateway.demo, f"new {number}") for number in range(230)]

    discord.trouble.clear_faults()

    gateway.tasks(231, 60)
    assert keys(gateway) == [f"discord:{each}" for each in (first, *new)]


def test_more_messages_than_can_wait_for_the_disk_are_read_from_the_history(gateway: Herald) -> None:
    discord = gateway.discord
    with locked(gateway):
        said = [discord.say(gateway.approver, gateway.demo, f"new {number}") for number in range(230)]

    gateway.tasks(230, 60)
    assert keys(gateway) == [f"discord:{each}" for each in said]
    assert (discord.gateway().identifies, discord.gateway().resumes) == (1, 0)


def test_a_message_that_is_overtaken_by_a_later_one_is_taken_without_a_look_into_the_history(
    gateway: Herald,
) -> None:
    discord = gateway.discord
    discord.trouble.hold("MESSAGE_CREATE")
    said = [discord.say(gateway.approver, gateway.demo, text) for text in ("a", "b", "c")]
    read = len(discord.requests("GET", "/messages"))
    discord.trouble.release("reversed")

    gateway.tasks(3, 10)

    assert keys(gateway) == [f"discord:{each}" for each in reversed(said)]
    assert len(discord.requests("GET", "/messages")) == read


# Late messages


def backdate(herald: Herald) -> None:
    """Let Herald have seen the channels two days ago."""
    path = herald.bus.root / "state" / "gateway" / "gateway.sqlite"
    connection = sqlite3.connect(path)
    old = (int((time.time() - 172800) * 1000) - 1420070400000) << 22
    with connection:
        connection.execute("UPDATE cursors SET first = ?, seen = ?", (str(old), str(old)))
    connection.close()


@pytest.fixture
def question(herald: Herald) -> tuple[str, str]:
    herald.start()
    herald.stop()
    backdate(herald)
    said = herald.discord.say(herald.operator, herald.demo, "long ago", at=time.time() - 90000)
    herald.restart()
    asked = herald.posted(herald.demo, "long ago")
    herald.discord.wait(lambda: "👎" in herald.discord.message(asked.id).reactions)
    return said, asked.id


def test_a_thumb_under_the_question_runs_a_late_message_once(herald: Herald, question: tuple[str, str]) -> None:
    said, asked = question
    discord = herald.discord
    assert herald.calls("Enqueue") == []
    discord.react(herald.stranger, asked, "👍")
    discord.react(herald.reader, asked, "👍")
    herald.posted(herald.demo, "needs the right operator")

    discord.react(herald.approver, asked, "👍🏾")
    (task,) = herald.tasks(1)
    discord.react(herald.operator, asked, "👍")
    discord.wait(lambda: discord.message(asked).button_ids == [])
    last = discord.say(herald.approver, herald.demo, "last")
    herald.eyes(last)

    assert (task["key"], task["text"]) == (f"discord:{said}:late", "long ago")
    assert task["author"]["id"] == f"discord:{herald.operator}"
    assert len(herald.calls("Enqueue")) == 2
    assert "Done now" in discord.message(asked).content


def test_a_late_message_that_is_not_wanted_stays_undone(herald: Herald, question: tuple[str, str]) -> None:
    _, asked = question
    herald.discord.react(herald.operator, asked, "👎")

    herald.discord.wait(lambda: "Left undone" in herald.discord.message(asked).content)

    herald.kill()
    herald.restart()
    assert herald.calls("Enqueue") == []
    assert len([each for each in posts() if each["key"].startswith("late:")]) == 2


def test_a_thumb_for_a_late_message_counts_that_was_given_while_herald_was_away(
    herald: Herald, question: tuple[str, str]
) -> None:
    said, asked = question
    herald.kill()
    herald.discord.react(herald.approver, asked, "👍")

    herald.restart()

    assert [each["key"] for each in herald.tasks(1)] == [f"discord:{said}:late"]
