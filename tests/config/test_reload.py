"""What a reload leaves on disk, whatever happens to it."""

import json
import os
import resource
import shutil
import subprocess
import sys
import threading

import pytest

from herald.signature import signature_of
from herald.snapshot import EMPTY, Deploy, Discord, Operator, Project, decode, encode, without_secrets
from tests.config.installation import Installation, compiled_of, places
from tests.support.snapshots import in_format_1

_FILES = ["handed-over.json", "ledger.json", "lock", "snapshot.json"]


def test_the_snapshot_holds_what_is_in_effect_with_all_defaults(herald: Installation) -> None:
    clone = herald.clone("chortle")
    herald.server("operators: [{discord_id: 99, unix_user: al, name: Al, role: operator, projects: [chortle]}]\n")
    herald.project("chortle", "discord_channel_id: 123\nagent_name: Pounce\nautonomous: {enabled: true}\n", clone)

    compiled = herald.reload()

    assert (compiled["applied"], compiled["changed"], compiled["generation"]) == (True, True, 1)
    found = herald.snapshot()
    assert found.operators == (Operator("99", "al", "Al", "operator", ("chortle",)),)
    assert found.projects["chortle"] == Project(
        name="chortle",
        display_name="chortle",
        path=str(clone),
        channel="123",
        agent_name="Pounce",
        enabled=True,
        workspace="path",
        auto_commit=True,
        push_requires_approval=True,
        branch_prefix="agent/chortle",
        remote="git@example.org:o/r.git",
    )
    assert (found.generation, found.max_active, found.task_limit) == (1, 1, 1800.0)
    assert "autonomous" not in (herald.state / "config" / "snapshot.json").read_text()


def test_the_snapshot_holds_what_discord_and_deploys_need(herald: Installation) -> None:
    herald.server(
        "projects_root: /srv/r/\n"
        "deploy: {command: podman compose, socket: /run/podman/podman.sock, time_limit: 1m30s}\n"
        "discord: {guild_id: 1, system_channel: 2, work_channel: 3, api: 'http://h:1/api/v10/', gateway: 'ws://h:1/'}\n"
    )
    herald.project(
        "demo",
        "webhook_url: https://discord.com/api/webhooks/1/abcdefgh\nwebhook_avatar_url: https://h/a.png\n"
        "replies: steer\nthreads: task\ndeploy: {compose_path: ./c.yaml, auto_deploy_on_push: true}\n",
    )

    assert herald.reload()["applied"]

    found = herald.snapshot()
    project = found.projects["demo"]
    assert found.projects_root == "/srv/r"
    assert found.deploy == Deploy("podman compose", "/run/podman/podman.sock", 90.0)
    assert found.discord == Discord("1", "2", "3", "http://h:1/api/v10", "ws://h:1")
    assert (project.webhook_url, project.webhook_avatar_url, project.replies, project.threads) == (
        "https://discord.com/api/webhooks/1/abcdefgh", "https://h/a.png", "steer", "task",
    )  # fmt: skip
    assert (project.compose_path, project.auto_deploy_on_push) == ("c.yaml", True)


def test_units_that_run_agents_are_handed_no_address_of_a_webhook(herald: Installation) -> None:
    herald.project("demo", "webhook_url: https://discord.com/api/webhooks/1/abcdefgh\nthreads: task\n")
    herald.reload()
    path = herald.state / "config" / "handed-over.json"
    handed_over = path.read_text()

    assert "abcdefgh" not in handed_over
    assert decode(handed_over.encode()) == without_secrets(herald.snapshot())
    assert decode(handed_over.encode()).projects["demo"].threads == "task"

    other = encode(herald.snapshot()._replace(max_active=7))  # left by one that was killed, for an edit since undone
    for damage in (path.unlink, lambda: path.write_bytes(b"{}"), lambda: path.write_bytes(other)):
        damage()
        assert herald.reload()["changed"]
        assert decode(path.read_bytes()) == without_secrets(herald.snapshot())
    assert not herald.reload()["changed"]


def test_after_an_upgrade_it_is_compiled_anew_with_the_remotes_that_were_known(herald: Installation) -> None:
    """As the version before left it: a snapshot of format 1, of the very files that are there, and the ledger."""
    clone = herald.clone("demo")
    herald.project("demo", "threads: task\n", path=clone)
    herald.reload()
    path = herald.state / "config" / "snapshot.json"
    path.write_bytes(in_format_1(herald.snapshot()))
    subprocess.run(["git", "-C", clone, "remote", "set-url", "origin", "git@evil.example:x.git"], check=True)

    before = herald.snapshot()
    assert (before.generation, before.projects["demo"].remote) == (1, "git@example.org:o/r.git")
    assert before.signature != signature_of(str(herald.config))  # which is why the worker has it compiled
    assert not herald.check()["applied"]
    compiled = herald.reload()

    assert (compiled["applied"], compiled["changed"], compiled["generation"]) == (True, True, 2)
    assert not any("damaged" in each for each in compiled["notices"])
    project = herald.snapshot().projects["demo"]
    assert (project.threads, project.remote) == ("task", "git@example.org:o/r.git")
    assert json.loads(path.read_text())["body"]["format"] == 3
    assert sorted(each.name for each in path.parent.iterdir()) == _FILES
    assert not herald.reload()["changed"]


def test_after_an_upgrade_with_a_key_that_is_now_wrong_what_was_in_force_stays(herald: Installation) -> None:
    herald.project("demo")
    herald.reload()
    path = herald.state / "config" / "snapshot.json"
    path.write_bytes(in_format_1(herald.snapshot()))
    herald.server("discord: {system_channel: '#herald'}\n")

    compiled = herald.reload()

    assert places(compiled["problems"]) == [("herald.yaml", 1, "discord.system_channel")]
    assert "demo" in herald.snapshot().projects


def test_a_reload_without_any_edit_changes_nothing(herald: Installation) -> None:
    herald.project("demo")
    herald.reload()
    file = herald.state / "config" / "snapshot.json"
    before = file.stat()

    compiled = herald.reload()

    assert (compiled["applied"], compiled["changed"], compiled["generation"]) == (True, False, 1)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_broken_file_leaves_the_last_good_snapshot_in_force(herald: Installation) -> None:
    herald.project("demo")
    herald.reload()
    before = herald.snapshot()
    herald.project("second", "colour: red\n")

    compiled = herald.reload()

    assert (compiled["applied"], compiled["changed"], compiled["generation"]) == (False, False, 1)
    assert places(compiled["problems"]) == [("second.yaml", 3, "colour")]
    assert herald.snapshot() == before

    herald.project("second")
    assert herald.reload()["generation"] == 2
    assert set(herald.snapshot().projects) == {"demo", "second"}


def test_a_missing_folder_leaves_the_last_good_snapshot_in_force(herald: Installation) -> None:
    herald.project("demo")
    herald.reload()
    shutil.rmtree(herald.config)

    assert not herald.reload()["applied"]
    assert "demo" in herald.snapshot().projects


def test_nothing_is_in_force_after_a_first_reload_of_a_broken_file(herald: Installation) -> None:
    herald.server("max_active: none\n")

    assert herald.reload()["generation"] == 0
    assert herald.snapshot() == EMPTY


def test_a_check_writes_nothing(herald: Installation) -> None:
    herald.project("demo")

    compiled = herald.check()

    assert (compiled["applied"], compiled["changed"], compiled["problems"]) == (False, False, [])
    assert not herald.state.exists()

    herald.reload()
    assert herald.check()["applied"]


def test_problems_are_printed_as_file_line_field_and_message(herald: Installation) -> None:
    file = herald.project("demo", "colour: red\n")
    herald.server("\tx: 1\n")

    code, output, _ = herald.run("--check")

    assert code == 1
    first, second = output.splitlines()
    assert first.startswith(f"{herald.config}/herald.yaml:1: is not valid YAML: ")
    assert second.startswith(f"{file}:3: colour: is no key here; known are ")


def test_without_a_connection_and_without_arguments_it_says_how_it_is_used(herald: Installation) -> None:
    code, _, errors = herald.run()

    assert code == 2
    assert "--check" in errors
    assert "listens:  io.herald.Config" in herald.run("--help")[1]


@pytest.mark.parametrize("file", ["snapshot.json", "ledger.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_state_file_is_set_aside_and_compiled_anew(herald: Installation, file: str, damage: str) -> None:
    clone = herald.clone("demo")
    herald.project("demo", path=clone)
    herald.reload()
    herald.project("demo", "enabled: false\n", path=clone)
    herald.reload()
    path = herald.state / "config" / file
    data = path.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    path.write_bytes({"cut": data[:middle], "flipped": flipped, "emptied": b""}[damage])
    subprocess.run(["git", "-C", clone, "remote", "set-url", "origin", "git@evil.example:x.git"], check=True)

    compiled = herald.reload()

    assert (compiled["applied"], compiled["changed"], compiled["generation"]) == (True, True, 3)
    assert any(f"{file} was damaged" in notice for notice in compiled["notices"])
    assert len(list(path.parent.glob(f"{file}.damaged-*"))) == 1
    assert herald.snapshot().generation == 3
    assert herald.snapshot().projects["demo"].remote == "git@example.org:o/r.git"
    assert not herald.reload()["changed"]


def test_a_generation_is_never_given_twice_even_when_all_state_is_damaged(herald: Installation) -> None:
    herald.project("demo")
    herald.reload()
    for name in ("snapshot.json", "ledger.json"):
        (herald.state / "config" / name).write_bytes(b"{")

    assert herald.reload()["generation"] > 1_700_000_000


def test_a_damaged_snapshot_stays_where_it_is_while_a_file_is_broken(herald: Installation) -> None:
    herald.project("demo")
    herald.reload()
    (herald.state / "config" / "snapshot.json").write_bytes(b"{")
    broken = herald.project("other", "x: 1\n")

    compiled = herald.reload()
    assert not compiled["applied"]
    assert any("is damaged" in notice for notice in compiled["notices"])

    broken.unlink()
    assert herald.reload()["generation"] == 2


def test_of_reloads_at_the_same_time_one_compiles_and_the_others_see_its_work(herald: Installation) -> None:
    herald.project("demo")
    processes = [herald.start("--reload", "--json") for _ in range(6)]

    answers = []
    for process in processes:
        with process:
            output, errors = process.communicate(timeout=60)
        answers.append(compiled_of(process.returncode, output, errors))

    assert [each["generation"] for each in answers] == [1] * 6
    assert sum(each["changed"] for each in answers) == 1


def test_a_hundred_edits_one_after_the_other_are_all_noticed(herald: Installation) -> None:
    """Same length, same inode, one right after the other: nothing but the clock tells them apart."""
    with herald.reloader() as reload:
        for number in range(100):
            herald.project("demo", f"display_name: edit {number:03}\n")
            reply = reload()
            assert (reply["changed"], reply["generation"]) == (True, number + 1)
            assert herald.snapshot().projects["demo"].display_name == f"edit {number:03}"


def test_edits_during_reloads_end_with_the_last_one_in_force(herald: Installation) -> None:
    def edit() -> None:
        for number in range(100):
            file = herald.project("demo", f"display_name: edit {number:03}\n")
            with file.open("rb") as written:
                os.fsync(written.fileno())

    herald.project("demo")
    writer = threading.Thread(target=edit)
    writer.start()
    generations = [0]
    while writer.is_alive():
        code, output, errors = herald.run("--reload", "--json")
        if code == 4:
            assert "kept changing" in errors
        else:
            generations.append(compiled_of(code, output, errors)["generation"])
    writer.join()
    generations.append(herald.reload()["generation"])

    assert generations == sorted(generations)
    assert herald.snapshot().projects["demo"].display_name == "edit 099"


EDITED_MEANWHILE = """
import sys
def step(event, arguments):
    if event == "open" and str(arguments[0]).endswith("b.yaml") and texts:
        with open(sys.argv[1], "w") as file:
            file.write(texts.pop())
texts = [sys.argv[2]]
from herald_config import compiler
sys.addaudithook(step)
assert compiler.reload()["applied"]
"""


def test_an_edit_of_a_file_that_was_read_already_is_read_again(herald: Installation) -> None:
    file = herald.project("a")
    herald.project("b")
    text = file.read_text() + "display_name: edited\n"

    command = [sys.executable, "-c", EDITED_MEANWHILE, str(file), text]
    subprocess.run(command, env=herald.environment, check=True, timeout=60)

    assert herald.snapshot().projects["a"].display_name == "edited"
    assert herald.snapshot().signature == signature_of(str(herald.config))


KILLED = """
import os, sys
(steps,) = given
state = os.environ["HERALD_STATE"]
def step(event, arguments):
    global steps
    if event.startswith(("open", "os.")) and any(str(each).startswith(state) for each in arguments):
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), 9)
from herald_config import compiler
sys.addaudithook(step)
compiler.reload()
"""


def test_killed_at_every_step_the_old_or_the_new_snapshot_is_in_force(herald: Installation) -> None:
    herald.project("demo", "display_name: old 0\n")
    herald.reload()
    folder = herald.state / "config"
    killed = 0
    done = False
    with herald.forks(KILLED) as kill, herald.reloader() as reload:
        while not done:
            before = herald.snapshot()
            herald.project("demo", f"display_name: new {killed}\n")
            done = kill(killed + 1) == ""
            after = herald.snapshot()
            assert after == before or after.projects["demo"].display_name == f"new {killed}"
            assert after.generation >= before.generation
            compiled = reload()
            assert compiled["applied"]
            assert compiled["generation"] >= after.generation
            assert herald.snapshot().projects["demo"].display_name == f"new {killed}"
            assert sorted(each.name for each in folder.iterdir()) == _FILES
            killed += not done
    assert killed >= 8


def test_an_unreadable_file_is_a_problem_that_says_whom_to_let_read(herald: Installation) -> None:
    file = herald.project("demo")
    file.chmod(0)

    code, output, errors = herald.run("--check", without_privileges=True)

    assert (code, errors) == (1, "")
    assert f"{file}:0: cannot be read: Permission denied; make it readable for the user of herald-config" in output


def test_a_state_folder_that_cannot_be_written_is_told_with_path_and_next_step(herald: Installation) -> None:
    herald.project("demo")
    herald.state.mkdir(mode=0o555)

    code, _, errors = herald.run("--reload", without_privileges=True)

    assert code == 6
    assert f"{herald.state}/config" in errors
    assert "Permission denied; make" in errors
    assert "writable for the user of herald-config" in errors


def test_a_disk_that_takes_no_more_leaves_the_old_snapshot_and_no_rest(herald: Installation) -> None:
    herald.project("demo")
    herald.reload()
    before = herald.snapshot()
    herald.project("demo", "enabled: false\n")

    def no_bytes() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))

    code, _, errors = herald.run("--reload", limit=no_bytes)

    assert code == 6
    assert "ledger.json: File too large" in errors
    assert herald.snapshot() == before
    assert not list((herald.state / "config").glob(".*"))
    assert herald.reload()["generation"] == 2


def test_json_output_is_the_answer_of_the_bus(herald: Installation) -> None:
    herald.project("demo", "x: 1\n")

    assert herald.call("Check") == json.loads(herald.run("--check", "--json")[1])
