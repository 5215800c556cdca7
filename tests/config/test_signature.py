"""The signature changes with every edit and with nothing else."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from herald import signature
from tests.config.installation import Installation


def rewrite_in_place(file: Path) -> None:
    status = file.stat()
    file.write_text(file.read_text().swapcase())
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def make_a_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


EDITS: list[Callable[[Path], object]] = [
    lambda file: file.write_text("more"),
    lambda file: file.unlink(),
    lambda file: file.rename(file.with_name("other.yaml")),
    lambda file: file.with_name("new.yaml").write_text(""),
    lambda file: file.chmod(0o600),
    lambda file: (file.parents[1] / "herald.yaml").write_text(""),
    lambda file: shutil.rmtree(file.parent),
    make_a_loop,
    rewrite_in_place,
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_the_signature(herald: Installation, edit: Callable[[Path], object]) -> None:
    file = herald.project("demo")
    before = signature.settled(str(herald.config))

    edit(file)

    assert signature.signature_of(str(herald.config)) != before


def test_reading_and_the_files_of_editors_do_not_change_it(herald: Installation) -> None:
    file = herald.project("demo")
    before = signature.settled(str(herald.config))

    file.read_text()
    for name in ("demo.yaml~", ".demo.yaml.swp", ".#demo.yaml", "example.yaml", "4913"):
        (file.parent / name).write_text("x")

    assert signature.signature_of(str(herald.config)) == before


def test_it_waits_until_a_fresh_edit_has_settled(herald: Installation) -> None:
    file = herald.project("demo")

    signature.settled(str(herald.config))

    assert time.time_ns() - file.stat().st_ctime_ns >= 20_000_000


def test_a_clock_set_back_does_not_make_it_wait(herald: Installation) -> None:
    herald.project("demo")
    os.utime(herald.project("demo"), (2**32, 2**32))

    assert signature.settled(str(herald.config)) == signature.signature_of(str(herald.config))


def test_the_folder_may_be_missing(tmp_path: Path) -> None:
    assert signature.files(str(tmp_path / "gone")) == []
    assert signature.signature_of(str(tmp_path / "gone"))
