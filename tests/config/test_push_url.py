"""What a clone said when it was first seen holds until a person says otherwise, whatever becomes of its project."""

import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from herald.snapshot import Project
from tests.config.installation import Installation, git


def demo(herald: Installation) -> Project:
    return herald.snapshot().projects["demo"]


def set_url(path: Path, url: str, *, push: bool = False) -> None:
    git("-C", str(path), "remote", "set-url", *(["--push"] if push else []), "origin", url)


def ledger_of(herald: Installation) -> Path:
    return herald.state / "config" / "ledger.json"


def of_version_before(herald: Installation, remotes: dict[str, list[str]]) -> None:
    """A ledger in the form in which it was before there were push URLs."""
    write_ledger(herald, {"remotes": remotes})


def write_ledger(herald: Installation, content: dict[str, Any]) -> None:
    body: dict[str, Any] = {"generation": herald.snapshot().generation, **content}
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    ledger_of(herald).write_bytes(b'{"crc32":%d,"body":%s}\n' % (zlib.crc32(text), text))


def test_the_push_url_is_read_with_the_origin_and_a_later_change_is_told(herald: Installation) -> None:
    path = herald.clone("demo")
    set_url(path, "git@example.org:fork/r.git", push=True)
    herald.project("demo", path=path)
    assert herald.reload()["notices"] == []
    assert (demo(herald).remote, demo(herald).push_url) == ("git@example.org:o/r.git", "git@example.org:fork/r.git")
    set_url(path, "https://u@evil.example/x.git", push=True)

    (notice,) = herald.reload()["notices"]

    assert "git.push_url: the clone" in notice
    assert "now pushes to https://evil.example/x.git, which is not followed" in notice
    assert "in force stays git@example.org:fork/r.git; set git.push_url here" in notice
    assert demo(herald).push_url == "git@example.org:fork/r.git"
    herald.project("demo", "git: {push_url: 'git@example.org:mine.git'}\n", path)
    assert herald.reload()["notices"] == []
    assert demo(herald).push_url == "git@example.org:mine.git"


@pytest.mark.parametrize("change", ["origin", "push url", "insteadOf", "pushDefault", "pushRemote"])
@pytest.mark.parametrize("way", ["away and back", "another name", "another path and back"])
def test_a_project_that_was_away_takes_up_nothing_that_its_clone_said_meanwhile(
    herald: Installation, change: str, way: str
) -> None:
    path = herald.clone("demo")
    file = herald.project("demo", path=path)
    herald.reload()
    settings = {
        "origin": ("remote.origin.url", "git@evil:x"),
        "push url": ("remote.origin.pushurl", "git@evil:x"),
        "insteadOf": ("url.git@evil:.insteadOf", "git@example.org:"),
        "pushDefault": ("remote.pushDefault", "git@evil:x"),
        "pushRemote": ("branch.main.pushRemote", "git@evil:x"),
    }
    git("-C", str(path), "symbolic-ref", "HEAD", "refs/heads/main")
    git("-C", str(path), "config", *settings[change])
    if way == "away and back":
        file.rename(herald.folder / "away.yaml")
        herald.reload()
        (herald.folder / "away.yaml").rename(file)
    elif way == "another name":
        file.unlink()
        file = herald.project("other", path=path)
    else:
        herald.project("demo", path=herald.clone("elsewhere"))
        herald.reload()
        herald.project("demo", path=path)

    (notice,) = herald.reload()["notices"]

    (project,) = herald.snapshot().projects.values()
    assert "evil" in notice
    assert project.remote in ("git@example.org:o/r.git", "")
    assert project.push_url == ""
    assert (project.remote == "") == (way == "another name" and change in ("origin", "insteadOf"))
    assert herald.reload()["notices"] == [notice]


def test_a_project_with_another_name_goes_on_where_nothing_has_changed(herald: Installation) -> None:
    path = herald.clone("demo")
    set_url(path, "git@example.org:fork", push=True)
    herald.project("demo", path=path).unlink()
    herald.project("demo", path=path)
    herald.reload()
    (herald.config / "projects" / "demo.yaml").unlink()
    herald.project("other", path=path)

    assert herald.reload()["notices"] == []
    other = herald.snapshot().projects["other"]
    assert (other.remote, other.push_url) == ("git@example.org:o/r.git", "git@example.org:fork")


def test_another_project_in_a_folder_that_was_one_s_before_is_asked_for_its_remote(herald: Installation) -> None:
    path = herald.clone("demo")
    herald.project("demo", path=path)
    herald.reload()
    (herald.config / "projects" / "demo.yaml").unlink()
    set_url(path, "git@example.org:new.git")
    herald.project("new", path=path)

    (notice,) = herald.reload()["notices"]
    assert (
        "was the clone of project demo, of git@example.org:o/r.git, and is now one of git@example.org:new.git" in notice
    )
    herald.project("new", "git: {remote: 'git@example.org:new.git'}\n", path)

    assert herald.reload()["notices"] == []
    new = herald.snapshot().projects["new"]
    assert (new.remote, new.push_url, new.push_problem) == ("git@example.org:new.git", "", "")


@pytest.mark.parametrize("value", ["DISABLED", "no_push"])
def test_a_push_url_that_is_none_makes_a_project_that_cannot_be_pushed(herald: Installation, value: str) -> None:
    path = herald.clone("demo")
    set_url(path, value, push=True)
    herald.project("demo", path=path)

    (notice,) = herald.reload()["notices"]

    problem = f"the clone {path} has the push URL {value}; set git.push_url in "
    assert f"git.push_url: nothing can be pushed: {problem}" in notice
    assert demo(herald).push_problem.startswith(problem)
    assert herald.check()["notices"] == [notice]
    set_url(path, "git@evil:x", push=True)
    told, still = herald.reload()["notices"]
    assert "now pushes to git@evil:x, which is not followed; nothing is pushed; set git.push_url" in told
    assert still == notice
    assert (demo(herald).push_url, demo(herald).push_problem.startswith(problem)) == ("", True)


def test_a_key_that_is_a_word_for_nothing_forbids_pushes(herald: Installation) -> None:
    herald.project("demo", "git: {push_url: DISABLED}\n", herald.clone("demo"))

    (notice,) = herald.reload()["notices"]

    assert "demo.yaml forbids it; set it to a URL to push there" in notice
    assert demo(herald).push_problem


def test_a_key_that_is_no_address_is_a_problem(herald: Installation) -> None:
    herald.project("demo", "git: {push_url: github.com/o/r}\n", herald.clone("demo"))

    (problem,) = herald.reload()["problems"]

    assert (problem["field"], "no ssh:// or https:// URL" in problem["message"]) == ("git.push_url", True)


def test_a_push_url_that_is_the_remote_is_none_of_its_own(herald: Installation) -> None:
    herald.project("demo", "git: {push_url: 'git@example.org:o/r.git'}\n", herald.clone("demo"))
    herald.reload()

    assert demo(herald).push_url == ""


def test_with_the_key_for_the_remote_the_clone_still_says_where_pushes_go(herald: Installation) -> None:
    path = herald.clone("demo")
    set_url(path, "DISABLED", push=True)
    herald.project("demo", "git: {remote: 'git@example.org:key.git'}\n", path)
    herald.reload()

    assert demo(herald).remote == "git@example.org:key.git"
    assert "DISABLED" in demo(herald).push_problem


def test_with_the_key_for_the_remote_pushes_go_there_too(herald: Installation) -> None:
    path = herald.clone("demo")
    herald.project("demo", "git: {remote: 'git@example.org:key.git'}\n", path)
    herald.reload()
    assert (demo(herald).push_url, demo(herald).push_problem) == ("", "")
    git("-C", str(path), "config", "remote.pushDefault", "git@evil:x")

    (notice,) = herald.reload()["notices"]

    assert "now pushes to git@evil:x, which is not followed; in force stays the remote" in notice
    assert (demo(herald).push_url, demo(herald).push_problem) == ("", "")


def test_a_clone_that_comes_after_its_project_does_not_say_where_pushes_go(herald: Installation) -> None:
    path = herald.folder / "repos" / "demo"
    herald.project("demo", "git: {remote: 'git@example.org:o/r.git'}\n", path)
    herald.reload()
    herald.clone("demo")
    set_url(path, "git@evil:x", push=True)

    (notice,) = herald.reload()["notices"]

    assert "now pushes to git@evil:x, which is not followed" in notice
    assert demo(herald).push_url == ""


@pytest.fixture
def unreadable(herald: Installation) -> Path:
    """A clone that says where nothing may be pushed, and that herald-config cannot read."""
    path = herald.clone("demo")
    set_url(path, "DISABLED", push=True)
    (path / ".git").rename(path / "git")
    (path / ".git").symlink_to("git")
    return path


UNREAD = "could not be read, so where it pushes to is not known; set git.push_url in"


def test_a_clone_that_cannot_be_read_makes_a_project_that_cannot_be_pushed_until_somebody_says_where_to(
    herald: Installation, unreadable: Path
) -> None:
    key = "git@example.org:key.git"
    herald.project("demo", f"git: {{remote: '{key}'}}\n", unreadable)
    notices = herald.reload()["notices"]

    assert UNREAD in demo(herald).push_problem
    assert any(f"git.push_url: nothing can be pushed: the clone {unreadable} {UNREAD}" in each for each in notices)
    herald.project("demo", f"git: {{remote: '{key}', push_url: '{key}'}}\n", unreadable)
    herald.reload()
    assert (demo(herald).push_url, demo(herald).push_problem) == ("", "")
    herald.project("demo", f"git: {{remote: '{key}'}}\n", unreadable)
    herald.reload()
    assert UNREAD in demo(herald).push_problem
    (unreadable / ".git").unlink()
    (unreadable / "git").rename(unreadable / ".git")
    herald.reload()
    assert "has the push URL DISABLED" in demo(herald).push_problem


@pytest.mark.parametrize("form", ["remotes", "clones"])
def test_of_a_clone_that_no_version_could_read_nothing_is_taken_for_said(
    herald: Installation, unreadable: Path, form: str
) -> None:
    herald.project("demo", "git: {remote: 'git@example.org:key.git'}\n", unreadable)
    herald.reload()
    if form == "remotes":
        of_version_before(herald, {})
    else:
        write_ledger(herald, {"clones": {str(unreadable): ["demo", "", "", ""]}})

    herald.reload()

    assert UNREAD in demo(herald).push_problem


def test_a_clone_that_was_read_once_may_be_out_of_sight_later(herald: Installation) -> None:
    path = herald.clone("demo")
    herald.project("demo", path=path)
    herald.reload()
    (path / ".git").rename(path / "git")
    (path / ".git").symlink_to("git")
    herald.reload()

    assert (demo(herald).remote, demo(herald).push_problem) == ("git@example.org:o/r.git", "")


def test_what_is_first_seen_is_kept_though_nothing_changes_in_the_snapshot(herald: Installation) -> None:
    path = herald.clone("demo")
    herald.project("demo", "git: {remote: 'git@example.org:o/r.git'}\n", path)
    herald.reload()
    ledger_of(herald).unlink()
    git("-C", str(path), "remote", "remove", "origin")
    assert not herald.reload()["changed"]

    assert str(path) in ledger_of(herald).read_text()


def test_the_ledger_of_the_version_before_is_taken_over_and_a_new_push_url_has_to_be_confirmed(
    herald: Installation,
) -> None:
    path, same = herald.clone("demo"), herald.clone("same")
    herald.project("demo", path=path)
    herald.project("same", path=same)
    herald.project("keyed", "git: {remote: 'git@example.org:keyed.git'}\n", herald.clone("keyed"))
    herald.reload()
    of_version_before(
        herald, {"demo": [str(path), "git@example.org:old.git"], "same": [str(same), "git@example.org:o/r.git"]}
    )
    for name in ("demo", "keyed"):
        set_url(herald.folder / "repos" / name, "git@example.org:fork.git", push=True)

    notices = herald.reload()["notices"]

    projects = herald.snapshot().projects
    assert (projects["demo"].remote, projects["demo"].push_url) == ("git@example.org:old.git", "")
    for name in ("demo", "keyed"):
        assert "has the push URL git@example.org:fork.git, which nobody has confirmed; set git.push_url" in (
            projects[name].push_problem
        )
    assert projects["same"] == projects["same"]._replace(remote="git@example.org:o/r.git", push_url="", push_problem="")
    assert len(notices) == 3
    assert herald.reload()["notices"] == notices
    herald.project("demo", "git: {push_url: 'git@example.org:fork.git'}\n", path)
    herald.reload()
    assert (demo(herald).push_url, demo(herald).push_problem) == ("git@example.org:fork.git", "")


def test_what_the_clone_includes_is_named_until_both_keys_are_set(herald: Installation) -> None:
    path = herald.clone("demo")
    git("-C", str(path), "config", "include.path", "../shared.conf")
    herald.project("demo", path=path)
    (notice,) = herald.reload()["notices"]
    assert (
        "includes ../shared.conf, which is not read; if a remote is set there, set git.remote and git.push_url"
        in notice
    )

    herald.project("demo", "git: {remote: 'git@h:a', push_url: 'git@h:b'}\n", path)

    assert herald.reload()["notices"] == []


def test_in_a_try_the_person_s_own_configuration_counts_and_its_includes_too(herald: Installation) -> None:
    (herald.home / ".gitconfig").write_text("[include]\n\tpath = more\n")
    (herald.home / "more").write_text('[url "git@example.org:"]\n\tpushInsteadOf = https://example.org/\n')
    herald.project("demo", path=herald.clone("demo", "https://example.org/o/r.git"))
    assert herald.reload()["notices"] == []
    assert (demo(herald).remote, demo(herald).push_url) == ("https://example.org/o/r.git", "git@example.org:o/r.git")

    (herald.home / ".gitconfig").write_text("[broken\n")
    notice, changed = herald.reload()["notices"]

    assert "your own git configuration cannot be read by git" in notice
    assert "now pushes to its remote, which is not followed" in changed
    assert demo(herald).push_url == "git@example.org:o/r.git"


def test_on_a_server_nobody_s_own_configuration_counts(herald: Installation) -> None:
    (herald.home / ".gitconfig").write_text('[url "git@evil:"]\n\tinsteadOf = git@example.org:\n')
    herald.environment["HERALD_MODE"] = "user"
    herald.project("demo", path=herald.clone("demo"))
    herald.reload()

    assert demo(herald).remote == "git@example.org:o/r.git"
