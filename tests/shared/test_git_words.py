"""What git says on stderr becomes the first telling line and the last."""

import os
import subprocess
from pathlib import Path

import pytest

from herald import git_words
from tests.support import repositories
from tests.support.repositories import git

CASES = [
    ("", ""),
    ("fatal: not a tree object\n", "not a tree object"),
    (
        "git-lfs filter-process: 1: git-lfs: not found\nfatal: the remote end hung up unexpectedly\n",
        "git-lfs filter-process: 1: git-lfs: not found … the remote end hung up unexpectedly",
    ),
    ("hint: Updates were rejected\nerror: failed to push\nhint: See the manual\n", "failed to push"),
    ("warning: LF will be replaced by CRLF\nfatal: no space\n", "no space"),
    ("warning: only a warning\n", "warning: only a warning"),
    (
        (
            "remote: Enumerating objects: 5, done.\nremote: Counting objects:  20% (1/5)\rWriting objects: 3% (1/3)\r"
            "error: inflate: data stream error\nfatal: early EOF\n"
        ),
        "inflate: data stream error … early EOF",
    ),
    ("remote: \nremote: Internal error\nfatal: died\n", "remote: Internal error … died"),
    ("fatal: unable to access 'https://ada:p4ss@h/r.git/': no\n", "unable to access 'https://h/r.git/': no"),
    ("fatal: 'https://t0ken@h/r.git' and sk-ant-abcdefghij\n", "'https://h/r.git' and [secret]"),
    ("\x1b[31merror:\x1b[0m evil\x07\u202etxt\n", "evil txt"),
    ("error: a\n" * 3, "a"),
    (
        (
            "error: Your local changes to the following files would be overwritten by checkout:\n\tREADME\n"
            "Please commit your changes or stash them before you switch branches.\nAborting\n"
        ),
        "Your local changes to the following files would be overwritten by checkout: … README",
    ),
]


@pytest.mark.parametrize(("words", "told"), CASES)
def test_the_first_telling_line_and_the_last_are_told(words: str, told: str) -> None:
    assert git_words.telling(words) == told


def test_what_is_told_is_short_and_the_journal_has_it_all() -> None:
    words = "fatal: " + "x" * 10_000 + "\n" + "middle\n" * 10 + "y" * 10_000

    assert len(git_words.telling(words)) < 600
    assert git_words.whole(words).count("middle") == 10
    assert "p4ss" not in git_words.whole("https://a:p4ss@h/x")
    assert "\x1b" not in git_words.whole("\x1b[2J")


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", ".")
    repositories.commit(tmp_path, {".gitattributes": "*.bin filter=lfs\n", "a.bin": "content"})
    git(tmp_path, "config", "filter.lfs.process", "git-lfs-that-is-missing filter-process")
    git(tmp_path, "config", "filter.lfs.required", "true")
    (tmp_path / "a.bin").unlink()
    checkout = ["git", "checkout", "--", "a.bin"]
    done = subprocess.run(checkout, cwd=tmp_path, env=os.environ | repositories.environment(), capture_output=True)

    told = git_words.telling(done.stderr.decode())

    assert "git-lfs-that-is-missing" in told.partition("…")[0]
    assert told.endswith("hung up unexpectedly") or "a.bin" in told
