"""AddProject and SetProject: validated first, written so that nothing of anybody is lost, and in force at once."""

import os
import subprocess
import sys
from typing import Any

import pytest

from herald.signature import signature_of
from tests.config.asking import PREFIX, add, ask, change, in_projects, refusal
from tests.config.installation import Installation, places


def test_a_project_is_added_in_the_order_of_the_example_and_is_in_force(herald: Installation) -> None:
    schedule = [{"cron": "0 8 * * *", "task": "Read.\nWrite."}, {"cron": "0 9 * * 1"}]

    reply = add(
        herald, "chortle", schedule=schedule, agent_name="Pounce", git__remote="git@example.org:o/r.git",
        path="/nowhere/chortle", discord_channel_id="1234567890123456789",
    )  # fmt: skip

    assert (reply["applied"], reply["changed"], reply["generation"], reply["problems"]) == (True, True, 1, [])
    file = herald.config / "projects" / "chortle.yaml"
    assert file.read_text() == (
        "# yaml-language-server: $schema=../schemas/project.schema.json\n"
        "\n"
        "name: chortle\n"
        "path: /nowhere/chortle\n"
        'discord_channel_id: "1234567890123456789"\n'
        "agent_name: Pounce\n"
        "git:\n"
        "  remote: git@example.org:o/r.git\n"
        "schedule:\n"
        '  - cron: "0 8 * * *"\n'
        "    task: |-\n"
        "      Read.\n"
        "      Write.\n"
        '  - cron: "0 9 * * 1"\n'
    )
    assert file.stat().st_mode & 0o777 == 0o640
    assert in_projects(herald) == ["chortle.yaml"]
    assert herald.snapshot().projects["chortle"].channel == "1234567890123456789"
    assert herald.snapshot().signature == signature_of(str(herald.config))


def test_a_change_is_in_force_at_once_and_leaves_every_other_byte(herald: Installation) -> None:
    file = herald.project("demo", "# mine\nreplies: steer   # why\nfoo:\n".replace("foo:\n", ""))
    file.chmod(0o664)
    before = file.read_text()

    reply = change(herald, "demo", replies="queue", threads="task")

    assert reply["applied"]
    assert reply["changed"]
    assert file.read_text() == before.replace("steer", "queue").replace("# why\n", "# why\nthreads: task\n")
    assert file.stat().st_mode & 0o777 == 0o664
    assert herald.snapshot().projects["demo"].threads == "task"
    assert in_projects(herald) == ["demo.yaml"]
    again = file.stat()
    assert change(herald, "demo", replies="queue", threads="task")["applied"]
    assert file.stat() == again


def test_null_removes_a_key(herald: Installation) -> None:
    file = herald.project("demo", "agent_name: Pounce\n")
    before = file.read_text()

    assert change(herald, "demo", agent_name=None)["applied"]

    assert file.read_text() == before.replace("agent_name: Pounce\n", "")


def test_nothing_is_written_when_anything_is_wrong_and_the_problems_have_the_lines_they_would_have(
    herald: Installation,
) -> None:
    herald.project("other", "discord_channel_id: 42\n")
    file = herald.project("demo")
    herald.reload()
    before = file.stat(), file.read_text(), herald.snapshot()

    wrong = change(herald, "demo", agent_name="Clyde", colour="red", threads="on")
    clash = change(herald, "demo", discord_channel_id="42")
    new = add(herald, "third", path="/nowhere/demo")
    incomplete = add(herald, "fourth")

    assert places(wrong["problems"]) == [
        ("demo.yaml", 3, "agent_name"), ("demo.yaml", 4, "threads"), ("demo.yaml", 5, "colour"),
    ]  # fmt: skip
    assert places(clash["problems"]) == [("other.yaml", 3, "discord_channel_id")]
    assert places(new["problems"]) == [("third.yaml", 4, "path")]
    assert places(incomplete["problems"]) == [("fourth.yaml", 1, "path")]
    assert not any(each["applied"] or each["changed"] for each in (wrong, clash, new, incomplete))
    assert (file.stat(), file.read_text(), herald.snapshot()) == before
    assert in_projects(herald) == ["demo.yaml", "other.yaml"]


def test_while_another_file_is_broken_nothing_is_changed(herald: Installation) -> None:
    file = herald.project("demo")
    herald.project("broken").write_text("name: [\n")

    assert places(change(herald, "demo", enabled=False)["problems"]) == [("broken.yaml", 2, "")]
    assert places(add(herald, "new", path="/nowhere/new")["problems"]) == [("broken.yaml", 2, "")]
    assert "enabled" not in file.read_text()


def test_a_change_can_mend_what_is_wrong(herald: Installation) -> None:
    herald.project("demo", "threads: on\n")

    assert change(herald, "demo", threads="task")["applied"]


def test_a_name_that_is_taken_by_a_project_or_a_file_is_a_conflict(herald: Installation) -> None:
    herald.project("demo")
    (herald.config / "projects" / "taken.yaml").write_text("name: else\npath: /nowhere/x\n")
    taken = {"demo": "exists already", "taken": "exists already", "else": "in ", "example": "documentation"}

    for name, words in taken.items():
        code, message = refusal(ask(herald, "AddProject", name, path="/nowhere/y"))
        assert code == "Conflict", name
        assert words in message
    (herald.config / "projects" / "link.yaml").symlink_to("nowhere")
    assert refusal(ask(herald, "AddProject", "link", path="/nowhere/y"))[0] == "Conflict"
    assert in_projects(herald) == ["demo.yaml", "link.yaml", "taken.yaml"]


def test_a_project_is_found_in_a_file_of_another_name(herald: Installation) -> None:
    file = herald.project("demo").rename(herald.config / "projects" / "other.yaml")
    (herald.config / "projects" / "demo.yaml").write_text("name: third\npath: /nowhere/third\n")

    assert change(herald, "demo", enabled=False)["applied"]

    assert file.read_text().endswith("enabled: false\n")
    assert not herald.snapshot().projects["demo"].enabled


@pytest.mark.parametrize(
    ("method", "name", "settings", "code", "words"),
    [
        ("SetProject", "nobody", {"enabled": True}, "NotFound", "known: demo"),
        ("SetProject", "../demo", {"enabled": True}, "NotFound", "known: demo"),
        ("SetProject", "demo", {"name": "other"}, "Invalid", "by hand"),
        ("SetProject", "demo", {"path.x": 1}, "Invalid", "no mapping"),
        ("AddProject", "../x", {}, "Invalid", "is no name of a project"),
        ("AddProject", "Upper", {}, "Invalid", "is no name of a project"),
        ("AddProject", "new", {"name": "other"}, "Invalid", "by hand"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    herald: Installation, method: str, name: str, settings: dict[str, Any], code: str, words: str
) -> None:
    herald.project("demo")

    found, message = refusal(ask(herald, method, name, **settings))

    assert found == code
    assert words in message
    assert in_projects(herald) == ["demo.yaml"]


@pytest.mark.parametrize(
    "settings", [[{"key": "a"}], [{"key": "a", "value": 1}], [{"key": "a", "value": "1", "x": "1"}], [{}], ["a"], "a"]
)
def test_settings_of_another_shape_are_refused(herald: Installation, settings: Any) -> None:
    herald.project("demo")
    with herald.connection() as connection:
        connection.send("SetProject", name="demo", settings=settings)

        assert connection.receive()["error"] in ("org.varlink.service.InvalidParameter", PREFIX + "Invalid")


def test_a_symbolic_link_is_not_written_through(herald: Installation) -> None:
    target = herald.project("demo").rename(herald.folder / "elsewhere.yaml")
    link = herald.config / "projects" / "demo.yaml"
    link.symlink_to(target)
    before = target.read_text()

    code, message = refusal(ask(herald, "SetProject", "demo", enabled=False))

    assert code == "Conflict"
    assert f"change {target}" in message
    assert link.is_symlink()
    assert target.read_text() == before


def test_a_folder_that_cannot_be_written_is_told_with_the_command(herald: Installation) -> None:
    file = herald.project("demo")
    (herald.config / "projects").chmod(0o555)
    code = "from herald_config import changing\nfrom herald.errors import Unavailable\n"
    code += "try: changing.change('demo', [('enabled', 'false')])\n"
    code += "except Unavailable as error: print(error.message)"
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []

    done = subprocess.run(
        [*drop, sys.executable, "-c", code], env=herald.environment, capture_output=True, text=True, timeout=60
    )

    folder = herald.config / "projects"
    assert done.stdout == (
        f"{folder} cannot be written: Permission denied; `chmod u+rwx {folder}`. Nothing was changed\n"
    ), done.stderr
    assert "enabled" not in file.read_text()
