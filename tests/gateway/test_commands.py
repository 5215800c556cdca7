import pytest

from herald_gateway.commands import Given, Invocation, Misuse
from herald_gateway.meaning import Plain, Vote, kind_of, lane_of, read_message
from herald_gateway.operations import TABLE

PROJECTS = ("chortle", "demo", "other")


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
    "text", ['!run other "fix it"', "!run 'other' 'fix it'", "!run “other” “fix it”", "!RUN #Other  fix it"]
)
def test_quotes_and_case_do_not_matter(text: str) -> None:
    assert given(text) == Given("other", "fix it", frozenset())


def test_quotes_inside_a_task_stay() -> None:
    assert given('!run other "a" or "b"').text == '"a" or "b"'


@pytest.mark.parametrize("text", ["!cancel other --running", "!cancel --running other"])
def test_flags_stand_anywhere(text: str) -> None:
    assert given(text) == Given("other", "", frozenset({"running"}))


def test_the_project_is_that_of_the_channel() -> None:
    assert given("!cancel") == Given("demo", "", frozenset())
    assert given("!push").project == "demo"
    assert given("!queue", channel="") == Given("", "", frozenset())


@pytest.mark.parametrize(
    ("text", "near"),
    [("!stats", "!status"), ("!que", "!queue"), ("!halp", "!help"), ("!psuh", "!push"), ("!rum x y", "!run")],
)
def test_an_unknown_command_is_answered_with_the_nearest(text: str, near: str) -> None:
    assert f"nearest is {near}" in misuse(text)


@pytest.mark.parametrize("text", ["!", "!!!", "! ", "!важно fix this"])
def test_what_starts_with_a_mark_is_never_a_task(text: str) -> None:
    assert "!help" in misuse(text)


@pytest.mark.parametrize(
    "text",
    [
        "!run",
        "!run demo",
        '!run ""',
        '!run demo ""',
        '!cancel "demo',
        "!cancel demo other",
        "!cancel --all",
        "!status x",
    ],
)
def test_wrong_use_is_answered_with_the_right_form(text: str) -> None:
    command = TABLE[text.split()[0][1:]]

    assert f"The form is {command.form}." in misuse(text)


def test_an_unknown_project_is_answered_with_the_nearest() -> None:
    assert "nearest is chortle" in misuse("!run chortel do it")


def test_the_kinds_of_messages() -> None:
    assert kind_of(read_message("!x", "demo", PROJECTS)) == "command"
    assert isinstance(read_message("👍🏽", "demo", PROJECTS), Vote)
    assert read_message("fix it!", "demo", PROJECTS) == Plain("fix it!")


def test_what_changes_something_keeps_the_order_of_its_project() -> None:
    def lane(text: str) -> str:
        return lane_of(read_message(text, "demo", PROJECTS), "demo")

    assert lane("a task") == lane("+1") == lane("!push") == lane("!cancel demo") == "demo"
    assert lane("!run other a task") == "other"
    assert lane("!status") == lane("!nothing") == "demo?"
