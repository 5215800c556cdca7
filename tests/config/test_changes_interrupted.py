"""Changes of project files while others edit them, kills, a full disk: nothing of anybody is lost."""

import subprocess
import sys
import threading
from typing import Any

import pytest

from herald.signature import signature_of
from tests.config.asking import ask, change, in_projects, refusal
from tests.config.installation import Installation

MEANWHILE = """
import os, sys
from herald.errors import Conflict, NotFound
from herald_config import changing
file, text, steps, how, act = given
def by_hand():
    if how == "in place":
        with open(file, "w") as opened:
            opened.write(text)
    elif how == "by rename":
        with open(file + "~", "w") as opened:
            opened.write(text)
        os.rename(file + "~", file)
    else:
        os.unlink(file)
def step(event, arguments):
    global steps
    if event == "ctypes.dlsym" or (event.startswith(("open", "os.")) and "projects" in str(arguments)):
        steps -= 1
        if steps == 0:
            by_hand()
sys.addaudithook(step)
try:
    if act == "change":
        reply = changing.change("demo", [("enabled", "false")])
    else:
        reply = changing.add("new", [("path", '"/nowhere/new"')])
    print(reply["applied"], steps, end=" ", flush=True)
except (Conflict, NotFound) as error:
    print(error.message, end=" ", flush=True)
"""


@pytest.mark.parametrize("how", ["in place", "by rename", "removed"])
def test_a_change_by_hand_at_any_moment_is_never_overwritten(herald: Installation, how: str) -> None:
    text = "name: demo\npath: /nowhere/demo\ndisplay_name: by hand\n"
    file = herald.project("demo")
    conflicts = moment = 0
    with herald.forks(MEANWHILE) as change_meanwhile:
        while True:
            moment += 1
            herald.project("demo")
            told = change_meanwhile(str(file), text, moment, how, "change")
            if told.startswith("True") and int(told.split()[1]) > 0:
                break  # all was done before that moment
            conflicts += "somebody else meanwhile; nothing was written" in told
            if how == "removed":
                assert not file.exists(), (moment, told)
            else:
                assert "by hand" in file.read_text(), (moment, told)
            assert in_projects(herald) == ["demo.yaml"] * file.exists(), (moment, told)
    assert conflicts >= 2


def test_a_file_made_by_hand_meanwhile_is_never_overwritten(herald: Installation) -> None:
    text = "name: new\npath: /nowhere/by-hand\n"
    file = herald.config / "projects" / "new.yaml"
    conflicts = moment = 0
    with herald.forks(MEANWHILE) as add_meanwhile:
        while True:
            moment += 1
            file.unlink(missing_ok=True)
            told = add_meanwhile(str(file), text, moment, "in place", "add")
            if told.startswith("True") and int(told.split()[1]) > 0:
                break
            conflicts += "made by somebody else meanwhile; nothing was written" in told
            assert file.read_text() == text, (moment, told)
            assert in_projects(herald) == ["new.yaml"], (moment, told)
    assert conflicts >= 1


KILLED = """
import os, sys
steps, act = given
def step(event, arguments):
    global steps
    touches = event in ("open", "os.rename", "os.link", "os.remove", "os.chmod", "os.chown")
    if event == "ctypes.dlsym" or (touches and ".tmp" in str(arguments)) or (touches and event != "open"):
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), 9)
from herald_config import changing
sys.addaudithook(step)
if act == "change":
    changing.change("demo", [("display_name", '"new"')])
else:
    changing.add("new", [("path", '"/nowhere/new"')])
"""


@pytest.mark.parametrize("act", ["change", "add"])
def test_killed_at_every_step_the_file_is_the_old_or_the_new_one_and_what_is_not_in_force_shows(
    herald: Installation, act: str
) -> None:
    """The worker compiles whenever the signature differs from that of the snapshot."""
    demo, new = herald.project("demo"), herald.config / "projects" / "new.yaml"
    old = demo.read_text()
    seen = set()
    step = 0
    with herald.forks(KILLED) as kill, herald.reloader() as reload:
        reload()
        while True:
            step += 1
            ended = kill(step, act)
            assert ended in ("", "-9")
            text = demo.read_text()
            assert text in (old, old.replace("path", "display_name: new\npath"))
            assert not new.exists() or new.read_text().endswith("path: /nowhere/new\n")
            written = text != old or new.exists()
            project = herald.snapshot().projects.get("demo" if act == "change" else "new")
            in_force = project is not None and (act == "add" or project.display_name == "new")
            waits = signature_of(str(herald.config)) != herald.snapshot().signature
            assert (written, waits) == (True, False) if in_force else waits == written
            seen.add((written, in_force))
            if ended == "":
                break
            reload()
            new.unlink(missing_ok=True)
            demo.write_text(old)
            reload()
    assert seen == {(False, False), (True, False), (True, True)}
    assert [each for each in in_projects(herald) if each.startswith(".")] == []


def test_changes_at_the_same_time_are_all_kept(herald: Installation) -> None:
    file = herald.project("demo")
    settings: list[dict[str, Any]] = [
        {"display_name": "A"}, {"enabled": False}, {"agent_name": "P"}, {"threads": "task"},
        {"git__auto_commit": False},
    ]  # fmt: skip
    replies: list[Any] = []
    threads = [
        threading.Thread(target=lambda each=each: replies.append(change(herald, "demo", **each))) for each in settings
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [each["applied"] for each in replies] == [True] * 5
    assert len(file.read_text().splitlines()) == 2 + 6
    assert herald.snapshot().generation == 5


def test_a_change_waits_for_nobody_for_ever_and_no_file_is_written_without_the_lock(herald: Installation) -> None:
    herald.project("demo")
    (herald.state / "config").mkdir(parents=True)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(herald.state / "config" / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert refusal(ask(herald, "AddProject", "new", path="/nowhere/new"))[0] == "Busy"
        holder.kill()

    assert in_projects(herald) == ["demo.yaml"]


def test_a_disk_that_takes_no_more_leaves_the_file_as_it_was(herald: Installation) -> None:
    file = herald.project("demo", "# " + "x" * 5000 + "\n")
    before = file.read_text()
    herald.reload()
    code = "import resource; from herald_config import changing; from herald.errors import Unavailable\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
    code += "try: changing.change('demo', [('enabled', 'false')])\n"
    code += "except Unavailable as error: print(error.message)"

    done = subprocess.run([sys.executable, "-c", code], env=herald.environment, capture_output=True, text=True)

    assert "File too large" in done.stdout, done.stderr
    assert "Nothing was changed" in done.stdout
    assert file.read_text() == before
    assert in_projects(herald) == ["demo.yaml"]
