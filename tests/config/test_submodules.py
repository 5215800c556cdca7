"""Which submodules a project has: what its clone has initialised, what its file says."""

from pathlib import Path

import pytest

from herald_config.clone_submodules import initialised
from tests.config.installation import Installation, git


def test_the_submodules_that_the_clone_has_initialised_are_known_by_name(herald: Installation) -> None:
    path = herald.clone("one")
    for name, key, value in (
        ("lib", "url", "git@example.org:o/lib.git"),
        ("src/the lib", "url", "../the lib.git"),
        ("away", "url", "x"),
        ("away", "active", "false"),
        ("on.ly", "active", "true"),
    ):
        git("-C", str(path), "config", f"submodule.{name}.{key}", value)
    herald.project("demo", path=path)
    herald.reload()
    assert herald.snapshot().projects["demo"].submodules_found == ("lib", "on.ly", "src/the lib")


@pytest.mark.parametrize(
    "content", [b"[submodule", b'\0\xff[submodule "x"]\n\turl', b"[include]\n\tpath = /etc/passwd\n"]
)
def test_a_configuration_that_is_none_names_no_submodule(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_bytes(content)
    assert initialised(str(tmp_path)) == ()


def test_a_configuration_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "other").write_text('[submodule "x"]\n\turl = y\n')
    (tmp_path / ".git/config").symlink_to(tmp_path / "other")
    assert initialised(str(tmp_path)) == ()


def test_accepted_addresses_are_checked_and_in_the_snapshot(herald: Installation) -> None:
    path = herald.clone("one")
    herald.project(
        "demo", "git: {submodules: {init: [lib], push: true, urls: {lib: 'git@example.org:o/lib.git'}}}\n", path
    )
    answer = herald.reload()
    project = herald.snapshot().projects["demo"]
    assert project.submodules_urls == (("lib", "git@example.org:o/lib.git"),)
    assert (project.submodules_init, project.submodules_push) == (("lib",), True)
    assert not [notice for notice in answer["notices"] if "not yet in effect" in notice]


@pytest.mark.parametrize("line", ["{lib: 'ext::sh -c x'}", "{'../lib': 'git@example.org:o/lib.git'}", "{lib: '-u/x'}"])
def test_an_address_or_path_that_git_must_not_be_given_is_refused(herald: Installation, line: str) -> None:
    herald.project("demo", f"git: {{submodules: {{urls: {line}}}}}\n", herald.clone("one"))
    answer = herald.reload()
    assert not answer["applied"]
    assert answer["problems"]
