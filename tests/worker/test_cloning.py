"""Who may add projects; the first task of a new one."""

import sqlite3

import pytest

from herald.errors import Denied
from herald.interfaces.worker import Author
from herald.snapshot import EMPTY, Operator
from herald_worker import bootstrap, tasks
from herald_worker.cloning import check_right

ADA = Author(id="discord:1", name="ada")


@pytest.mark.parametrize(
    ("role", "projects", "may"),
    [
        ("approver", (), True),
        ("operator", (), True),
        ("operator", ("pounce",), False),
        ("reader", (), False),
    ],
)
def test_only_an_operator_of_all_projects_adds_one(role: str, projects: tuple[str, ...], may: bool) -> None:
    operators = (Operator("1", "", "ada", role, projects),)  # type: ignore[arg-type]
    settings = EMPTY._replace(operators=operators)
    if may:
        check_right(settings, ADA)
    else:
        with pytest.raises(Denied, match="ada may not add projects"):
            check_right(settings, ADA)


def test_a_stranger_adds_none_and_a_service_does() -> None:
    with pytest.raises(Denied):
        check_right(EMPTY, ADA)
    check_right(EMPTY, Author(id="herald:gateway", name="gateway"))


def test_the_first_task_is_queued_once_and_carries_who_asked(db: sqlite3.Connection) -> None:
    new = bootstrap.task("bootstrap:pounce:1", "pounce", ADA)
    first, again = tasks.enqueue(db, new), tasks.enqueue(db, new)
    assert (first["created"], again["created"]) == (True, False)
    due = tasks.next_due(db)
    assert due is not None
    assert (due.bootstrap, due.author, due.text.splitlines()[0]) == (True, ADA, "Introduce yourself")
    for place in (".herald/SOUL.md", ".herald/MEMORY.md", ".herald/humans/", "CLAUDE.md"):
        assert place in due.text
