"""Every way in which a file cannot be used is told with file, line and a next step."""

import os
from pathlib import Path

import pytest

from herald.interfaces.config import Problem
from herald_config import document
from herald_config.problem import Flawed


def problems_of(path: Path) -> list[Problem]:
    with pytest.raises(Flawed) as caught:
        document.read(str(path))
    assert all(each["file"] == str(path) for each in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize(
    ("content", "line", "field", "words"),
    [
        (b"", 0, "", "is empty"),
        (b"  \n\n", 0, "", "is empty"),
        (b"- a\n- b\n", 1, "", "is no mapping"),
        (b"just words\n", 1, "", "is no mapping"),
        (b"a: 1\nb: 2\na: 3\n", 3, "a", "second time (first in line 1)"),
        (b"git:\n  x: 1\n  x: 2\n", 3, "git.x", "second time (first in line 2)"),
        (b"a:\n\tb: 1\n", 2, "", "replace the tab"),
        (b"a: b: c\n", 1, "", "needs quotes"),
        (b"a: 1\n---\nb: 2\n", 2, "", "second document"),
        (b"a: 'x\n", 2, "", "is not valid YAML"),
        (b"a: {b\n", 2, "", "is not valid YAML"),
        (b"a: 1\nb: \xe9t\xe9\n", 2, "", "0xe9 is not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "", "not UTF-8"),
        (b"a: 1\nb: \x01\n", 2, "", "control character"),
        (b"a: 1\nb: !!python/object:os.system x\n", 2, "b", "carries the tag"),
        (b"a: 1\nb: *x\n", 2, "b", "stands for nothing"),
        (b"a: &x [*x]\n", 1, "a.0", "stands for nothing"),
        (b"x: &x {a: 1}\ny:\n  <<: *x\n", 3, "y.<<", "merge keys"),
        (b"? [a]\n: 1\n", 1, "", "plain word"),
        (b"a: " + b"[" * 5000, 1, "a.0.0", "nested deeper"),
        (b"a: [" + b"1," * 500_000 + b"]", 1, "a.19998", "more than 20000 values"),
        (b"a: 1\n" + b"#" * (1 << 20), 0, "", "larger than 1048576 bytes"),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, content: bytes, line: int, field: str, words: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)

    (first, *_) = problems_of(path)

    assert (first["line"], first["field"]) == (line, field)
    assert words in first["message"]


def test_a_few_lines_of_aliases_do_not_unfold_to_millions_of_values(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = tmp_path / "x.yaml"
    path.write_text("\n".join(["l0: &l0 x", *levels]))

    (only,) = problems_of(path)

    assert "more than 20000 values" in only["message"]


def test_what_is_no_regular_file_is_told_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "dangling.yaml").symlink_to("nothing")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")

    words = {path.stem: problems_of(path)[0]["message"] for path in tmp_path.iterdir()}

    assert "regular file" in words["fifo"]
    assert "regular file" in words["folder"]
    assert "Too many levels of symbolic links" in words["loop"]
    assert "leads nowhere" in words["dangling"]
    assert "regular file" in words["endless"]


def test_every_scalar_is_kept_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(
        b"\xef\xbb\xbf# words\na: 12345678901234567890\nb: 007\nc: no\nd: 1e3\ne: '~'\nf: ~\ng:\nh: 0x1F\n"
    )

    found = document.read(str(path))

    assert found.data == {
        "a": "12345678901234567890", "b": "007", "c": "no", "d": "1e3", "e": "~", "f": None, "g": None, "h": "0x1F",
    }  # fmt: skip
    assert found.line(("c",)) == 4
    assert found.line(("c", "deeper", 1)) == 4


def test_a_file_of_comments_alone_is_an_empty_mapping(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("# nothing\n")

    assert document.read(str(path)).data == {}


def test_a_symbolic_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("a: 1\n")
    (tmp_path / "x.yaml").symlink_to("real")

    assert document.read(str(tmp_path / "x.yaml")).data == {"a": "1"}
