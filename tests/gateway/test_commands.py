"""Commands as they are written: read, refused, answered with the right form."""

import pytest

from herald.snapshot import Operator, Project, Snapshot
from herald_gateway.arguments import cron_problem, write_command
from herald_gateway.commands import Given, Invocation, Misuse
from herald_gateway.meaning import Plain, Vote, is_command, kind_of, lane_of, read_message, refusal_of
from herald_gateway.operations import TABLE

NOWHERE: dict[str, str] = {}


def project(name: str, channel: str = "") -> Project:
    return Project(name, name.title(), f"/srv/{name}", channel, name, True, "path", True, True, f"agent/{name}", "")


PROJECTS = {name: project(name, channel) for name, channel in (("chortle", "11"), ("demo", "12"), ("other", "13"))}


def given(text: str, channel: str = "demo") -> Given:
    meaning = read_message(text, channel, PROJECTS)
    assert isinstance(meaning, Invocation), meaning
    return meaning.given


def misuse(text: str, channel: str = "demo") -> str:
    meaning = read_message(text, channel, PROJECTS)
    assert isinstance(meaning, Misuse), meaning
    return meaning.text


def test_the_task_of_run_is_taken_as_it_is() -> None:
    text = 'don\'t break "it",\n  keep   the blanks  --running'

    assert given(f"!run other {text}") == Given("other", text, frozenset())


@pytest.mark.parametrize(
    "text",
    [
        '!run other "fix it"', "!run 'other' 'fix it'", "!run “other” “fix it”", "!RUN #Other  fix it",
        "!run „other“ ”fix it”", "!run <#13> fix it",
    ],
)  # fmt: skip
def test_quotes_and_case_do_not_matter(text: str) -> None:
    assert given(text) == Given("other", "fix it", frozenset())


def test_quotes_inside_a_task_stay() -> None:
    assert given('!run other "a" or "b"').text == '"a" or "b"'


@pytest.mark.parametrize("text", ["!cancel other --running", "!cancel --running other", "!cancel —running 'other'"])
def test_flags_stand_anywhere(text: str) -> None:
    assert given(text) == Given("other", "", frozenset({"running"}))


@pytest.mark.parametrize(
    "name", ["deploy", "push", "reset", "stash", "own", "cancel", "queue", "webhook", "pause", "resume"]
)
def test_the_project_is_that_of_the_channel_or_the_one_named(name: str) -> None:
    assert given(f"!{name}") == Given("demo", "", frozenset())
    assert given(f"!{name} other").project == given(f"!{name} #other", channel="").project == "other"


@pytest.mark.parametrize("name", ["deploy", "push", "cancel", "webhook", "pause", "resume"])
def test_where_no_channel_tells_the_project_it_is_asked_for(name: str) -> None:
    assert f"!{name} needs a project" in misuse(f"!{name}", channel="")
    assert given("!queue", channel="") == Given("", "", frozenset())


@pytest.mark.parametrize(
    "rest",
    [
        "chortle2 git@host:user/chortle.git 'Big Cat' #pounce",
        "chortle2 git@host:user/chortle.git #pounce “Big Cat”",
        '#pounce chortle2 git@host:user/chortle.git "Big Cat"',
        '"chortle2" "git@host:user/chortle.git" "Big Cat" "#pounce"',
    ],
)
def test_the_channel_of_a_new_project_stands_anywhere(rest: str) -> None:
    values = {
        "name": "chortle2", "repo_url": "git@host:user/chortle.git", "agent_name": "Big Cat", "channel": "#pounce"
    }  # fmt: skip

    assert given(f"!addproject {rest}") == Given("", "", frozenset(), values)


def test_the_channel_of_a_new_project_may_be_mentioned_and_the_rest_left_out() -> None:
    assert given("!addproject a https://host/a <#99>").values == {
        "name": "a", "repo_url": "https://host/a", "channel": "99"
    }  # fmt: skip
    assert given("!addproject a https://host/a").values == {"name": "a", "repo_url": "https://host/a"}


@pytest.mark.parametrize(
    "text",
    [
        "!schedule 0 8 * * 1-5 --entry 2", "!schedule demo 0 8 * * 1-5 --entry 2",
        "!schedule --entry=2 demo '0 8 * * 1-5'",
        "!schedule --entry 2  0  8 * * 1-5",
    ],
)  # fmt: skip
def test_a_cron_line_is_written_with_or_without_quotes(text: str) -> None:
    assert given(text) == Given("demo", "0 8 * * 1-5", frozenset(), {"entry": "2"})


@pytest.mark.parametrize(
    "line", ["0 8 * * *", "*/15 0-6 1,15 jan-mar mon", "@daily", "59 23 31 12 7", "0 8 * * MON-FRI"]
)
def test_cron_lines_that_are_right(line: str) -> None:
    assert cron_problem(line) == ""


@pytest.mark.parametrize(
    "line", ["", "0 8 * *", "60 8 * * *", "0 8 0 * *", "@never", "0 8 * * x", "*/0 * * * *", "1-2-3 * * * *"]
)
def test_cron_lines_that_are_wrong(line: str) -> None:
    assert cron_problem(line)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("!autonomy on", {"action": "on"}),
        ("!autonomy demo ON 120", {"action": "on", "minutes": "120"}),
        ("!autonomy budget 60", {"action": "budget", "minutes": "60"}),
        ("!autonomy #demo status", {"action": "status"}),
    ],
)
def test_autonomy_is_read_with_and_without_the_project(text: str, values: dict[str, str]) -> None:
    assert given(text) == Given("demo", "", frozenset(), values)


def test_a_project_that_is_named_like_a_word_of_a_command_is_still_a_project() -> None:
    projects = {**PROJECTS, "status": project("status"), "0": project("0")}

    def read(text: str) -> Given:
        meaning = read_message(text, "demo", projects)
        assert isinstance(meaning, Invocation), meaning
        return meaning.given

    assert read("!autonomy status on").project == "status"
    assert read("!autonomy status") == Given("demo", "", frozenset(), {"action": "status"})
    assert read("!schedule 0 8 * * *") == Given("demo", "0 8 * * *", frozenset())
    assert read("!schedule 0 0 8 * * *") == Given("0", "0 8 * * *", frozenset())


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("!stats", "!status"), ("!que", "!queue"), ("!halp", "!help"), ("!psuh", "!push"), ("!rum x y", "!run"),
        ("!addprojekt", "!addproject"), ("!deply", "!deploy"), ("!resum", "!resume"),
    ],
)  # fmt: skip
def test_an_unknown_command_is_answered_with_the_nearest(text: str, near: str) -> None:
    assert f"nearest is {near}" in misuse(text)


@pytest.mark.parametrize("text", ["!", "!!!", "! ", "!важно fix this"])
def test_what_starts_with_a_mark_is_never_a_task(text: str) -> None:
    assert "!help" in misuse(text)
    assert not is_command(text)


@pytest.mark.parametrize(
    "text",
    [
        "!run", "!run demo", '!run ""', '!run demo ""', "!run fix the tests",
        '!cancel "demo', "!cancel demo other", "!cancel --all", "!deploy demo now", "!push demo other", "!queue 3 4",
        "!status x", "!projects demo", "!reload demo", "!help me", "!help run now",
        "!addproject", "!addproject pounce", "!addproject Pounce git@host:x", "!addproject -a git@host:x",
        "!addproject a git@host:x Big Cat", "!addproject a '' b", f"!addproject {'a' * 41} git@host:x",
        "!webhook demo other", "!webhook nothing",
        "!schedule", "!schedule demo", "!schedule demo 0 8 * *", "!schedule 0 8 * * 9",
        "!schedule demo 0 8 * * * --entry", "!schedule demo 0 8 * * * --entry x", "!schedule demo 0 8 * * * --entry 0",
        "!pause demo now", "!resume all of them",
        "!autonomy", "!autonomy demo", "!autonomy demo maybe", "!autonomy demo budget", "!autonomy demo off 5",
        "!autonomy demo on -3", "!autonomy demo on 2.5", "!autonomy demo reserve ٣",
    ],
)  # fmt: skip
def test_wrong_use_is_answered_with_the_right_form(text: str) -> None:
    command = TABLE[text.split()[0][1:]]

    assert misuse(text).endswith(f"The form is {command.form}.")
    assert "\n" not in misuse(text)
    assert is_command(text)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("!run chortel do it", "chortle"), ("!webhook otter", "other"), ("!autonomy demo budge 5", "budget"),
        ("!cancel --runing", "--running"), ("!help !statsu", "!status"), ("!queue <#99>", "!projects lists them"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_answered_with_the_nearest(text: str, near: str) -> None:
    assert near in misuse(text)


@pytest.mark.parametrize("form", ["!{}", "!help {}", "!run {} it", "!push --{}", "!autonomy demo on {}"])
def test_of_a_secret_in_a_wrong_word_no_part_is_repeated(form: str) -> None:
    secret = f"sk-ant-api03-{'Canary42' * 12}"
    meaning = read_message(form.format(secret), "demo", PROJECTS)
    assert isinstance(meaning, Misuse)
    assert "canary" not in meaning.text.lower()


def test_a_blank_where_a_name_belongs_leads_to_the_quotes() -> None:
    assert "quotes" in misuse("!addproject a git@host:x Big Cat")


def test_the_forms_are_those_of_the_manual() -> None:
    assert [command.form for command in TABLE.values()] == [
        "!run <project> <task>",
        "!deploy [project]",
        "!push [project]",
        "!reset [project] [--yes]",
        "!stash [project]",
        "!own [project]",
        "!cancel [project] [--running]",
        "!status",
        "!queue [project]",
        "!projects",
        "!addproject <name> <repo_url> [agent_name] [#channel]",
        "!webhook <project>",
        "!schedule <project> <cron> [--entry N]",
        "!pause [project]",
        "!resume [project]",
        "!autonomy <project> <on|off|status|budget|reserve> [minutes]",
        "!reload",
        "!help [command]",
    ]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("run", {"project": "demo", "task": '"quoted" and --flagged #x'}),
        ("cancel", {"project": "demo", "running": ""}),
        ("reset", {"project": "demo", "yes": ""}),
        ("addproject", {"name": "a", "repo_url": "git@host:x", "agent_name": 'O\'Neil "X"', "channel": "99"}),
        ("addproject", {"name": "a", "repo_url": "git@host:x", "agent_name": "--agent"}),
        ("addproject", {"name": "a", "repo_url": "git@host:x", "agent_name": "#one", "channel": "99"}),
        ("schedule", {"project": "demo", "cron": "0 8 * * *", "entry": "3"}),
        ("autonomy", {"project": "demo", "action": "on", "minutes": "5"}),
        ("help", {"command": "run"}),
    ],
)
def test_what_comes_as_fields_is_written_so_that_it_reads_the_same(name: str, values: dict[str, str]) -> None:
    read = given(write_command(TABLE[name], values), channel="")

    found = {**read.values, "project": read.project, **dict.fromkeys(read.flags, "")}
    text = TABLE[name].has("text", "cron")
    if text:
        found[text.name] = read.text
    assert {key: value for key, value in found.items() if value or key in values} == values


def test_the_kinds_of_messages() -> None:
    assert kind_of(read_message("!x", "demo", PROJECTS)) == "command"
    assert isinstance(read_message("👍🏽", "demo", PROJECTS), Vote)
    assert read_message("fix it!", "demo", PROJECTS) == Plain("fix it!")


def test_what_changes_something_keeps_the_order_of_its_project() -> None:
    def lane(text: str) -> str:
        return lane_of(read_message(text, "demo", PROJECTS), "demo")

    assert lane("a task") == lane("+1") == lane("!push") == lane("!cancel demo") == lane("!deploy") == "demo"
    assert lane("!run other a task") == "other"
    assert lane("!addproject fresh git@host:x") == "fresh"
    assert lane("!status") == lane("!nothing") == lane("!queue other") == "demo?"


PEOPLE = Snapshot(
    1, "", "", 1, 60.0,
    (
        Operator("1", "", "Ada", "approver", ()),
        Operator("2", "", "Bob", "operator", ()),
        Operator("3", "", "Cid", "reader", ()),
        Operator("4", "", "Dee", "approver", ("demo",)),
    ),
    PROJECTS,
)  # fmt: skip
WHO = {"approver": "1", "operator": "2", "reader": "3", "stranger": "9"}
READERS = {"status", "queue", "projects", "help"}
APPROVERS = {"deploy", "reset", "stash", "own"}
RIGHT = {
    "run": "!run demo x", "addproject": "!addproject a git@host:x", "schedule": "!schedule 0 8 * * *",
    "autonomy": "!autonomy on",
}  # fmt: skip


def refusal(text: str, author: str, channel: str = "demo") -> str:
    return refusal_of(read_message(text, channel, PROJECTS), f"discord:{author}", channel, PEOPLE)


@pytest.mark.parametrize("name", TABLE)
def test_each_command_needs_its_right(name: str) -> None:
    text = RIGHT.get(name, f"!{name}")
    needed = "reader" if name in READERS else "approver" if name in APPROVERS else "operator"

    allowed = {who for who, author in WHO.items() if not refusal(text, author)}
    assert (
        allowed
        == {
            "reader": {"reader", "operator", "approver"},
            "operator": {"operator", "approver"},
            "approver": {"approver"},
        }[needed]
    )
    assert f"needs the right {needed}" in refusal(text, WHO["stranger"])
    assert "\n" not in refusal(text, WHO["stranger"])


def test_a_right_in_one_project_is_none_in_another_nor_in_all() -> None:
    assert refusal("!deploy", "4") == refusal("+1", "4") == refusal("do it", "4") == ""
    assert "needs the right approver in other; you have none" in refusal("!deploy other", "4")
    assert "in all projects; you have one in some projects only" in refusal("!addproject a git@host:x", "4")
    assert refusal("!reload", "4") != ""
    assert refusal("!help", "4") == ""
