"""The remote is read from the clone once, as data, and a change in the clone is told and never followed."""

import os
from pathlib import Path

import pytest

from herald_config import clone, remote_url
from tests.config.installation import Installation, git


def reason_of(path: Path) -> str:
    try:
        return clone.read(str(path), []).fetch_problem
    except clone.NoOrigin as error:
        return str(error)


def hostile(path: Path) -> Path:
    """A repository without a configuration, to be given one."""
    git("init", "--quiet", str(path))
    config = path / ".git" / "config"
    config.unlink()
    return config


def test_the_origin_is_read_from_the_clone_and_kept_when_the_clone_changes(herald: Installation) -> None:
    path = herald.clone("demo")
    herald.project("demo", path=path)
    assert herald.reload()["notices"] == []
    git("-C", str(path), "remote", "set-url", "origin", "https://u:token@evil.example/x.git")
    git("-C", str(path), "remote", "set-url", "origin", "https://user@evil.example/x.git")
    herald.project("demo", "enabled: true\n", path=path)

    (notice,) = herald.reload()["notices"]

    assert herald.snapshot().projects["demo"].remote == "git@example.org:o/r.git"
    assert "origin" in notice
    assert "https://evil.example/x.git, which is not followed" in notice
    assert herald.reload()["notices"] == [notice]


def test_a_vanished_clone_keeps_its_remote(herald: Installation) -> None:
    path = herald.clone("demo")
    herald.project("demo", path=path)
    herald.reload()
    path.rename(herald.folder / "away")

    (notice,) = herald.reload()["notices"]

    assert "does not exist" in notice
    assert herald.snapshot().projects["demo"].remote == "git@example.org:o/r.git"


def test_the_key_wins_and_taking_it_away_reads_the_clone(herald: Installation) -> None:
    path = herald.clone("demo")
    herald.project("demo", "git: {remote: 'git@example.org:by/key.git'}\n", path)
    assert herald.reload()["notices"] == []
    assert herald.snapshot().projects["demo"].remote == "git@example.org:by/key.git"

    herald.project("demo", path=path)
    herald.reload()

    assert herald.snapshot().projects["demo"].remote == "git@example.org:o/r.git"


def test_a_project_moved_by_the_operator_is_read_anew(herald: Installation) -> None:
    herald.project("demo", path=herald.clone("one"))
    herald.reload()
    herald.project("demo", path=herald.clone("two", "git@example.org:other.git"))

    assert herald.reload()["notices"] == []
    assert herald.snapshot().projects["demo"].remote == "git@example.org:other.git"


@pytest.mark.parametrize("state", ["missing", "no repository", "no remote"])
def test_without_a_remote_the_rest_is_in_force_and_a_later_reload_finds_it(herald: Installation, state: str) -> None:
    path = herald.folder / "repos" / "demo"
    if state != "missing":
        path.mkdir(parents=True)
    if state == "no remote":
        git("init", "--quiet", str(path))
    herald.project("demo", path=path)

    compiled = herald.reload()

    assert (compiled["applied"], compiled["problems"]) == (True, [])
    (notice,) = compiled["notices"]
    assert {"missing": "does not exist", "no repository": "is no git", "no remote": "no remote named"}[state] in notice
    assert "set git.remote, then reload" in notice
    assert herald.snapshot().projects["demo"].remote == ""

    herald.clone("demo")
    assert herald.reload()["changed"]
    assert herald.snapshot().projects["demo"].remote == "git@example.org:o/r.git"


def test_a_relative_origin_becomes_an_absolute_path(herald: Installation) -> None:
    path = herald.clone("demo", "../bare.git")

    assert clone.read(str(path), []).fetch == str(herald.folder / "repos" / "bare.git")


def test_a_worktree_and_a_submodule_lead_to_their_repository(herald: Installation) -> None:
    path = herald.clone("demo")
    git("-C", str(path), "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-qm", "x")
    git("-C", str(path), "worktree", "add", "-q", str(herald.folder / "tree"))
    assert clone.read(str(herald.folder / "tree"), []).fetch == "git@example.org:o/r.git"

    submodule = path / "sub"
    submodule.mkdir()
    (submodule / ".git").write_text("gitdir: ../.git\n")
    assert clone.read(str(submodule), []).fetch == "git@example.org:o/r.git"


def test_includes_are_not_followed(herald: Installation) -> None:
    other = herald.folder / "other"
    other.write_text('[remote "origin"]\n\turl = git@evil.example:x\n')
    config = hostile(herald.folder / "r")
    config.write_text(f'[include]\n\tpath = {other}\n[includeIf "gitdir:/**"]\n\tpath = {other}\n')

    assert reason_of(herald.folder / "r") == "has no remote named origin"


def test_nothing_named_in_the_configuration_is_run(herald: Installation) -> None:
    trace = herald.folder / "trace"
    config = hostile(herald.folder / "r")
    config.write_text(
        f"[core]\n\tfsmonitor = touch {trace}\n\tsshCommand = touch {trace}\n\tpager = touch {trace}\n"
        f'[alias]\n\tconfig = !touch {trace}\n[remote "origin"]\n\turl = git@example.org:x\n'
    )

    assert clone.read(str(herald.folder / "r"), []).fetch == "git@example.org:x"
    assert not trace.exists()


def test_what_is_no_plain_file_is_not_opened_and_never_waited_for(herald: Installation) -> None:
    target = herald.folder / "target"
    target.write_text('[remote "origin"]\n\turl = git@evil.example:x\n')
    hostile(herald.folder / "link").symlink_to(target)
    os.mkfifo(hostile(herald.folder / "fifo"))
    hostile(herald.folder / "folder").mkdir()
    with hostile(herald.folder / "huge").open("wb") as file:
        file.truncate(1 << 30)
    (herald.folder / "dotlink").mkdir()
    (herald.folder / "dotlink" / ".git").symlink_to(herald.folder / "huge" / ".git")
    (herald.folder / "dotfifo").mkdir()
    os.mkfifo(herald.folder / "dotfifo" / ".git")
    (herald.folder / "pointer").mkdir()
    (herald.folder / "pointer" / ".git").write_bytes(b"gitdir: " + b"\xff\0" * 9)
    (herald.folder / "long").mkdir()
    (herald.folder / "long" / ".git").write_text("gitdir: " + "x/" * 5000)

    assert "symbolic link" in reason_of(herald.folder / "link")
    assert "no regular file" in reason_of(herald.folder / "fifo")
    assert "no regular file" in reason_of(herald.folder / "folder")
    assert "too large" in reason_of(herald.folder / "huge")
    assert "neither a folder nor a file" in reason_of(herald.folder / "dotlink")
    assert "neither a folder nor a file" in reason_of(herald.folder / "dotfifo")
    assert "is not used" in reason_of(herald.folder / "pointer")
    assert "too large" in reason_of(herald.folder / "long")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[remote", "cannot be read by git"),
        ('[remote "origin"]\n\turl\n', "no remote named origin"),
        ('[remote "origin"]\n\turl = ext::sh -c id\n', "transport helper"),
        ('[remote "origin"]\n\turl = --upload-pack=id\n', "begins with '-'"),
        ('[remote "origin"]\n\turl = "git@h:a\\nb"\n', "control character"),
        ('[remote "origin"]\n\turl = https://u:secret@h/r\n', "holds a password"),
        ('[remote "origin"]\n\turl = ftp://h/r\n', "ftp:// is not used"),
        ('[remote "origin"]\n\turl = ' + "a" * 5000 + "\n", "far too long"),
    ],
)
def test_an_origin_that_git_should_not_be_given_is_refused(herald: Installation, content: str, words: str) -> None:
    hostile(herald.folder / "r").write_text(content)

    reason = reason_of(herald.folder / "r")

    assert words in reason
    assert "secret" not in reason


def test_of_several_urls_the_first_counts_as_it_does_for_a_fetch(herald: Installation) -> None:
    hostile(herald.folder / "r").write_text('[remote "origin"]\n\turl = git@a:x\n\turl = git@b:x\n')

    assert clone.read(str(herald.folder / "r"), []).fetch == "git@a:x"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("git@github.com:user/chortle.git", "git@github.com:user/chortle.git"),
        ("host:path", "host:path"),
        ("git@[::1]:path", "git@[::1]:path"),
        ("ssh://git@h:22/p", "ssh://git@h:22/p"),
        ("/srv//r.git/", "/srv/r.git"),
        ("file:///srv/a%20b.git", "/srv/a b.git"),
    ],
)
def test_a_remote_is_kept_in_one_form(text: str, kept: str) -> None:
    assert remote_url.check(text) == kept
