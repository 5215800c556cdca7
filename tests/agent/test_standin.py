"""The stand-in: what it understands, what it refuses, and that it always says what it is."""

from pathlib import Path

import pytest

from herald_agent.standin import own_words
from tests.agent.place import Place, RunFiles, git, wait_for

STAND_IN = "I am the stand-in"


def test_create_writes_a_file_with_its_folders_and_commits_it(place: Place) -> None:
    files = place.run("create docs/deep/hello.txt: hi: there")
    assert files.end["outcome"] == "ok"
    assert files.end["commits"] == 1
    assert git(place.tree, "show", "agent/pounce-1:docs/deep/hello.txt") == "hi: there"
    assert files.text.startswith(STAND_IN)
    assert git(place.tree, "log", "-1", "--format=%an <%ae> %cn", "agent/pounce-1") == (
        "Pounce <pounce@herald.invalid> Pounce"
    )


@pytest.mark.parametrize(
    "name", ["/tmp/herald-standin", "../up.txt", "a/../../up.txt", ".git/hooks/post-commit", "a/.GIT/x", "link/x.txt"]
)
def test_create_refuses_what_leads_out_of_the_project(place: Place, name: str) -> None:
    (place.clone / "link").symlink_to(place.folder)
    git(place.clone, "add", "link")
    git(place.clone, "commit", "--quiet", "-m", "A link")
    files = place.run(f"create {name}: text", base=git(place.clone, "rev-parse", "HEAD"))
    assert "I refuse" in files.text
    assert files.end["commits"] == 0
    assert not Path("/tmp/herald-standin").exists()
    assert not list(place.folder.rglob("up.txt"))
    assert not (place.folder / "x.txt").exists()


def test_anything_else_is_noted_and_committed(place: Place) -> None:
    files = place.run("please make it faster")
    assert place.show("agent/pounce-1", "NOTES.md") == "please make it faster"
    assert files.text.startswith(STAND_IN)


def test_say_answers_without_a_commit_and_leaves_no_branch(place: Place) -> None:
    files = place.run("say Good morning!")
    assert files.text == f"{STAND_IN}, a script and no model. Good morning!"
    assert files.end["commits"] == 0
    assert files.end["pack_bytes"] == 0
    assert place.branches() == []


def test_fail_ends_as_a_crash(place: Place) -> None:
    files = place.run("fail")
    assert files.end["outcome"] == "crash"
    assert "exit code 70" in files.end["message"]
    assert files.text == ""


def test_sleep_says_each_second_how_far_it_is(place: Place) -> None:
    files = place.run("sleep 2")
    assert files.progress[:2] == ["slept 1 of 2 s", "slept 2 of 2 s"]
    assert files.end["outcome"] == "ok"


def test_sleep_can_be_cancelled(place: Place) -> None:
    instance, files = place.start("sleep 60")
    instance.receive()
    wait_for(lambda: files.progress, "progress")
    files.cancel()
    instance.receive()
    instance.wait()
    assert files.end["outcome"] == "cancelled"
    assert files.end["duration"] < 30
    assert "slept 1 of 60 s" in files.text


def test_the_operators_words_are_found_behind_history_and_framing() -> None:
    prompt = "Rules.\n> old: create x: y\n--- message ---\ncreate a.txt: hi\n--- message ---\nmore\n"
    assert own_words(prompt) == "create a.txt: hi\n--- message ---\nmore"
    assert own_words("say hi") == "say hi"


def test_a_framed_prompt_is_obeyed(place: Place) -> None:
    files = place.run("History:\n> create evil.txt: no\n\n--- message ---\ncreate good.txt: yes\n")
    assert git(place.tree, "diff", "--name-only", place.base, "agent/pounce-1") == "good.txt"
    assert files.end["outcome"] == "ok"


def test_the_session_is_told_in_the_log_and_in_the_result(place: Place) -> None:
    session = "0f7a3c5e-7f1d-4f5e-8f3a-0123456789ab"
    files = place.run("say hi", session=session)
    assert {"type": "session", "session": session} in files.entries("log")
    assert files.end["session"] == session


def test_a_message_of_one_megabyte_is_taken_whole(place: Place) -> None:
    text = "0123456789" * 100_000
    files: RunFiles = place.run(f"create big.txt: {text}")
    assert files.end["outcome"] == "ok"
    assert place.show("agent/pounce-1", "big.txt") == text


def test_the_shell_of_the_tests_is_closed_without_its_variable(place: Place) -> None:
    del place.environment["CLAUDE_STANDIN_SHELL"]
    place.run("shell touch /tmp/herald-standin-shell")
    assert place.show("agent/pounce-1", "NOTES.md") == "shell touch /tmp/herald-standin-shell"
    assert not Path("/tmp/herald-standin-shell").exists()
