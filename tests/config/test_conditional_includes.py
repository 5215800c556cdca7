"""What a person's configuration includes for some folders alone holds where git itself would take it."""

import os
import subprocess
from pathlib import Path

import pytest

from herald_config import conditional_includes
from tests.config.installation import Installation, git


def by_git(path: Path, home: Path) -> str:
    plain = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(home)}
    done = subprocess.run(
        ["git", "-C", path, "remote", "get-url", "--push", "origin"],
        capture_output=True,
        text=True,
        check=True,
        env=plain,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("gitdir:~/desk/", True),
        ("gitdir:~/desk/x/.git", True),
        ("gitdir:~/desk", False),
        ("gitdir:desk/", True),
        ("gitdir:x/.git", True),
        ("gitdir:./desk/", True),
        ("gitdir:~/d*k/", True),
        ("gitdir:~/*/.git", False),
        ("gitdir:~/**/.git", True),
        ("gitdir:~/d[a-p]sk/", True),
        ("gitdir:~/d[!a-p]sk/", False),
        ("gitdir:~/des?/x/", True),
        ("gitdir:~/DESK/", False),
        ("gitdir/i:~/DESK/", True),
        ("gitdir:/", True),
        ("gitdir:~/other/", False),
        ("gitdir:.git", True),
    ],
)
def test_a_condition_holds_where_it_does_for_git(herald: Installation, condition: str, holds: bool) -> None:
    path = herald.home / "desk" / "x"
    git("init", "--quiet", str(path))
    git("-C", str(path), "remote", "add", "origin", "git@example.org:o/r.git")
    (herald.home / ".gitconfig").write_text(f'[includeIf "{condition}"]\n\tpath = sub/more\n')
    (herald.home / "sub").mkdir()
    (herald.home / "sub" / "more").write_text('[include]\n\tpath = yet\n[includeIf "gitdir:desk/"]\n\tpath = inner\n')
    (herald.home / "sub" / "yet").write_text('[url "git@elsewhere:"]\n\tpushInsteadOf = git@example.org:\n')
    expected = by_git(path, herald.home)
    assert (expected == "git@elsewhere:o/r.git") == holds, "what git does here"
    herald.project("demo", path=path)

    assert herald.reload()["notices"] == []

    demo = herald.snapshot().projects["demo"]
    assert (demo.push_url or demo.remote) == expected


def test_a_file_that_includes_itself_is_read_to_an_end(herald: Installation) -> None:
    path = herald.clone("demo")
    (herald.home / ".gitconfig").write_text('[includeIf "gitdir:/"]\n\tpath = .gitconfig\n')
    herald.project("demo", path=path)
    herald.reload()

    assert herald.snapshot().projects["demo"].remote == "git@example.org:o/r.git"


@pytest.mark.parametrize("name", ["include.path", "includeif.onbranch:main.path", "includeif.gitdir:/srv/.other"])
def test_other_entries_lead_nowhere(name: str) -> None:
    assert conditional_includes.leads_to(name, "more", "/home/.gitconfig", "/srv/x/.git") == ""
