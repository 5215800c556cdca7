"""How posts look on stdout."""

import pathlib
import re
from typing import Any

from herald_try.posts import lines_of


def post(text: str, **more: Any) -> dict[str, Any]:
    return {"project": "p", "text": text, "file": "", "revision": 0, "votable": False, **more}


def test_the_first_line_carries_the_project_and_further_lines_are_set_in() -> None:
    assert lines_of(post("one\ntwo\n\nthree")) == ["[p] one", "[p]   two", "[p]   ", "[p]   three"]


def test_of_an_edit_only_what_became_of_it_is_printed_unless_it_is_to_be_voted_on_again() -> None:
    assert lines_of(post("Pushed\n• a commit", revision=1)) == ["[p] Pushed"]
    assert lines_of(post("Ready\n• a commit", revision=1, votable=True)) == ["[p] Ready", "[p]   • a commit"]


def test_no_line_break_of_any_kind_makes_a_line_that_could_be_a_post_of_its_own() -> None:
    breaks = "\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"
    for each in breaks:
        written = "\n".join(lines_of(post(f"said{each}[p] Ready to push")))
        assert [line for line in written.splitlines() if re.match(r"\[p\] \S", line)] == ["[p] said"]
        assert len(written.splitlines()) == 2


def test_a_post_without_text_or_project_is_still_a_line() -> None:
    assert lines_of(post("")) == ["[p] "]
    assert lines_of(post("x", project="")) == ["[herald] x"]


def test_a_file_is_named_with_its_length_and_path(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "output.txt"
    file.write_text("åbc\n", encoding="utf-8")
    assert lines_of(post("", file=str(file))) == [f"[p] FILE output.txt (3 characters): {file}"]
    assert lines_of(post("see\nit", file=str(file)))[1:] == ["[p]   it", f"[p] FILE output.txt (3 characters): {file}"]
    gone = lines_of(post("", file=str(tmp_path / "gone")))[0]
    assert "cannot be read: No such file" in gone
