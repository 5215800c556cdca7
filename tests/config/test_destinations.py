"""Where a clone fetches from and pushes to is what git itself says, found out without running git in the clone."""

import os
import subprocess
from pathlib import Path

import pytest

from herald_config import clone, remote_url
from tests.config.installation import Installation, git

ORIGIN = '[remote "origin"]\n\turl = https://h/o/r.git\n'
SSH = '[remote "origin"]\n\turl = git@h:o\n'
TWO = '[remote "a"]\n\turl = git@h:a\n[remote "b"]\n\turl = git@h:b\n'
DOTS = '[remote "a.B"]\n\turl = git@h:dots\n[remote "a.b"]\n\turl = git@h:no\n'


def configured(herald: Installation, text: str, head: str = "main") -> Path:
    """A repository with that configuration besides what git itself writes."""
    path = herald.folder / "clone"
    git("init", "--quiet", f"--initial-branch={head}", str(path))
    with (path / ".git" / "config").open("a") as file:
        file.write(text)
    return path


def by_git(path: Path, *arguments: str) -> list[str]:
    plain = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", "-C", path, *arguments], capture_output=True, text=True, check=True, env=plain)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        ORIGIN,
        ORIGIN + "\tpushurl = git@h:fork/r.git\n",
        ORIGIN + '[url "git@h:"]\n\tinsteadOf = https://h/\n',
        ORIGIN + '[url "git@h:"]\n\tpushInsteadOf = https://h/\n',
        ORIGIN + '\tpushurl = gh:f/r.git\n[url "git@h:"]\n\tinsteadOf = gh:\n',
        ORIGIN + '\tpushurl = https://h/f.git\n[url "git@h:"]\n\tpushInsteadOf = https://h/\n',
        ORIGIN
        + '[url "git@a:"]\n\tinsteadOf = https://h/\n[url "git@b:"]\n\tinsteadOf = https://h/o/\n\tinsteadOf = ht\n',
        ORIGIN + '[url "git@a:"]\n\tinsteadOf = x:\n[url "git@b:"]\n\tinsteadOf = https://h/\n[url "git@a:"]\n'
        "\tinsteadOf = https://h/\n",
        ORIGIN + '[url "git@a:"]\n\tinsteadOf = https://h/\n[url "git@b:"]\n\tpushInsteadOf = https://h/o/\n',
        ORIGIN + '[url "git@a:"]\n\tinsteadOf = b:\n[url "b:"]\n\tpushInsteadOf = https://h/o/\n',
        '[REMOTE "origin"]\n\tURL = "https://h/a b.git" ; a comment\n\tPushURL = git@h:\\\nx/\\\ny.git # another\n',
        ORIGIN + '\tpushurl = ssh://git@h:22/p\n[Url "ssh://git@i/"]\n\tINSTEADOF = ssh://git@h:22/\n',
        ORIGIN + "\turl = https://h/second.git\n",
        ORIGIN + "\tpushurl = git@h:one\n\tpushurl = git@h:two\n",
    ],
)
def test_the_urls_are_those_of_git(herald: Installation, text: str) -> None:
    path = configured(herald, text)
    fetched, *_ = by_git(path, "remote", "get-url", "--all", "origin")
    pushed = by_git(path, "remote", "get-url", "--push", "--all", "origin")

    found = clone.read(str(path), [])

    if " " in fetched:
        assert "holds a blank" in found.fetch_problem
    else:
        assert found.fetch == fetched
    if len(pushed) > 1:
        assert (found.push_url, "has several push URLs" in found.push_problem) == ("", True)
        assert all(each in found.push_problem for each in pushed)
    else:
        assert [found.push_url or found.fetch] == pushed


@pytest.mark.parametrize(
    ("text", "fetch", "push"),
    [
        ('[remote "Up.Stream"]\n\turl = git@h:up\n', "git@h:up", ""),
        (TWO + '[branch "main"]\n\tremote = b\n', "git@h:b", ""),
        (TWO + SSH + '[branch "main"]\n\tremote = a\n', "git@h:o", ""),
        (TWO + SSH + "[remote]\n\tpushDefault = b\n", "git@h:o", "git@h:b"),
        (TWO + SSH + '[branch "main"]\n\tpushRemote = b\n[remote]\n\tpushDefault = a\n', "git@h:o", "git@h:b"),
        (DOTS + SSH + "[remote]\n\tpushDefault = a.B\n", "git@h:o", "git@h:dots"),
        (SSH + "[remote]\n\tpushDefault = git@h:url\n", "git@h:o", "git@h:url"),
        (SSH + '[branch "other"]\n\tpushRemote = git@h:url\n', "git@h:o", ""),
        (SSH + '[remote "w"]\n\tpushurl = git@h:w\n[remote]\n\tpushDefault = w\n', "git@h:o", "git@h:w"),
        (SSH + "\tpushurl = git@h:o\n", "git@h:o", ""),
        ('[remote "origin"]\n\turl = file:///srv/o.git\n\tpushurl = /srv//o.git/\n', "/srv/o.git", ""),
        ('[remote "origin"]\n\turl = /srv/o.git\n\tpushurl = file:///srv/a%20b.git\n', "/srv/o.git", "/srv/a b.git"),
        (SSH + "\tpushurl = git@h:x\n\tpushurl =\n", "git@h:o", ""),
    ],
)
def test_which_remote_counts(herald: Installation, text: str, fetch: str, push: str) -> None:
    found = clone.read(str(configured(herald, text)), [])

    assert (found.fetch, found.push_url, found.push_problem) == (fetch, push, "")


def test_the_default_branch_is_asked_for_where_another_is_checked_out(herald: Installation) -> None:
    text = (
        '[remote "a"]\n\turl = git@h:a\n[remote "b"]\n\turl = git@h:b\n[branch "3.x"]\n\tremote = b\n\tpushRemote = a\n'
    )
    path = configured(herald, text, head="topic")
    assert "default branch tracks none of the others (a, b)" in clone.read(str(path), []).fetch_problem
    git("-C", str(path), "symbolic-ref", "refs/remotes/b/HEAD", "refs/remotes/b/3.x")

    found = clone.read(str(path), [])

    assert (found.fetch, found.push_url) == ("git@h:b", "git@h:a")


def test_what_is_checked_out_in_a_work_tree_and_its_own_configuration_count_there(herald: Installation) -> None:
    path = configured(herald, ORIGIN + '[branch "topic"]\n\tpushRemote = git@h:topic\n')
    git("-C", str(path), "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-qm", "x")
    tree = herald.folder / "tree"
    git("-C", str(path), "worktree", "add", "-q", "-b", "topic", str(tree))
    assert clone.read(str(tree), []).push_url == "git@h:topic"
    assert clone.read(str(path), []).push_url == ""
    git("-C", str(path), "config", "extensions.worktreeConfig", "true")
    git("-C", str(tree), "config", "--worktree", "branch.topic.pushRemote", "git@h:own")

    assert clone.read(str(tree), []).push_url == "git@h:own"
    assert clone.read(str(path), []).push_url == ""


def test_a_relative_push_url_starts_at_the_clone(herald: Installation) -> None:
    path = configured(herald, ORIGIN + "\tpushurl = ../fork.git\n")

    assert clone.read(str(path), []).push_url == str(herald.folder / "fork.git")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("DISABLED", "has the push URL DISABLED"),
        ("no_push", "has the push URL no_push"),
        ("no-push", "has the push URL no-push"),
        ("DO-NOT-PUSH", "has the push URL DO-NOT-PUSH"),
        ("https://no_push", "has the push URL https://no_push"),
        ("/dev/null", "has the push URL /dev/null"),
        ("file:///dev/null", "has the push URL file:///dev/null"),
        ("./none", "has the push URL ./none"),
        ("git@DISABLED", "has the push URL git@DISABLED"),
        ("whatever", "has the push URL whatever"),
        ("nopush://h/x", "nopush:// is not used"),
        ("ext::sh -c id", "transport helper"),
        ("https://u:secret@h/r", "holds a password"),
        ("https://h", "names no repository"),
        ("--exec=x", "begins with '-'"),
        (".", "has itself"),
    ],
)
def test_a_push_url_that_cannot_be_one_is_named(herald: Installation, value: str, words: str) -> None:
    found = clone.read(str(configured(herald, f"{ORIGIN}\tpushurl = {value}\n")), [])

    assert found.fetch == "https://h/o/r.git"
    assert found.push_url == ""
    assert words in found.push_problem
    assert "secret" not in found.push_problem


@pytest.mark.parametrize(
    "value", ["git@github.com:none/push", "https://h/no/push", "/srv/disabled/r.git", "../no/x.git"]
)
def test_a_repository_that_merely_holds_such_a_word_is_one(value: str) -> None:
    assert not remote_url.says_no(value)


def test_several_push_urls_are_shown_without_passwords(herald: Installation) -> None:
    text = ORIGIN + "".join(f"\tpushurl = https://token{n}@h/{n}.git\n" for n in range(5))

    problem = clone.read(str(configured(herald, text)), []).push_problem

    assert "(https://h/0.git, https://h/1.git, https://h/2.git and 2 more)" in problem
    assert "token" not in problem


def test_a_large_configuration_is_read_and_a_larger_one_refused(herald: Installation) -> None:
    path = configured(herald, ORIGIN + "\tpushurl = git@h:fork\n")
    config = path / ".git" / "config"
    config.write_bytes(config.read_bytes().ljust((1 << 20) - 1, b"#") + b"\n")
    assert clone.read(str(path), []).push_url == "git@h:fork"
    with config.open("ab") as file:
        file.write(b"#")

    with pytest.raises(clone.NoOrigin, match="too large"):
        clone.read(str(path), [])


def test_many_remotes_do_not_take_long(herald: Installation) -> None:
    many = "".join(
        f'[remote "r{n}"]\n\turl = git@h:r{n}\n[url "git@h{n}:"]\n\tinsteadOf = x{n}:\n' for n in range(8000)
    )
    path = configured(herald, many + ORIGIN)

    assert clone.read(str(path), []).fetch == "https://h/o/r.git"


def test_an_address_that_is_not_utf_8_is_refused_and_can_be_told(herald: Installation) -> None:
    path = configured(herald, ORIGIN)
    with (path / ".git" / "config").open("ab") as file:
        file.write(b'[remote "origin"]\n\tpushurl = git@h:\xff\xfe\n')

    found = clone.read(str(path), [])

    assert found.push_problem == "has a push URL that is not UTF-8"


def test_what_the_clone_includes_is_named_and_not_read(herald: Installation) -> None:
    other = herald.folder / "other"
    other.write_text('[remote "origin"]\n\tpushurl = git@evil:x\n')
    path = configured(
        herald, f'{ORIGIN}[include]\n\tpath = {other}\n\tpath = ../b\n[includeIf "onbranch:*"]\n\tpath = c\n'
    )

    found = clone.read(str(path), [])

    assert (found.push_url, found.includes) == ("", [str(other), "../b", "c"])
