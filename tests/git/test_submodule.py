"""FetchSubmodule: where submodules are fetched from, and where not."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from herald.errors import Conflict, HeraldError, Invalid
from herald_git.submodule_url import resolved
from tests.git import unit
from tests.git.conftest import Workbench
from tests.support import repositories
from tests.support.repositories import Remote, git

FAR = "git@elsewhere.example:somebody/private.git"


def library(folder: Path, name: str = "library.git", object_format: str = "sha1") -> Remote:
    """A remote beside the project's."""
    remote = Remote(folder / name, object_format)
    seed = folder / f"seed of {name}"
    seed.mkdir()
    git(seed, "init", "--quiet", "--initial-branch=main", f"--object-format={object_format}", ".")
    git(seed, "remote", "add", "origin", str(remote.path))
    repositories.commit(seed, {"a.c": "one\n"}, "Begin")
    git(seed, "push", "--quiet", "origin", "main")
    return remote


def name_submodule(bench: Workbench, url: str, path: str = "lib", commit: str = "", name: str = "") -> str:
    """Somebody pushes a submodule to the default branch."""
    git(bench.clone, "checkout", "--quiet", "-B", "main", "origin/main")
    file = bench.clone / ".gitmodules"
    git(bench.clone, "config", "--file", str(file), f"submodule.{name or path}.path", path)
    git(bench.clone, "config", "--file", str(file), f"submodule.{name or path}.url", url)
    git(bench.clone, "add", ".gitmodules")
    git(bench.clone, "update-index", "--add", "--cacheinfo", f"160000,{commit or bench.base},{path}")
    git(bench.clone, "commit", "--quiet", "-m", f"Name {path}")
    git(bench.clone, "push", "--quiet", "origin", "main")
    bench.fetch()
    return commit or bench.base


def fetch(bench: Workbench, commit: str, *path: str, have: tuple[str, ...] = ()) -> tuple[dict[str, Any], bytes]:
    with tempfile.TemporaryFile() as pack:
        parameters = {
            "project": "sample",
            "path": list(path or ("lib",)),
            "commit": commit,
            "have": list(have),
            "pack": 0,
        }
        answer = unit.call(bench.state, "FetchSubmodule", parameters, pack.fileno())
        pack.seek(0)
        return answer, pack.read()


def accept(bench: Workbench, **urls: str) -> None:
    project = repositories.project(remote=str(bench.remote.path))
    repositories.write_snapshot(bench.state, project._replace(submodules_urls=tuple(urls.items())))


def known_addresses(bench: Workbench) -> dict[str, list[str]]:
    kept: dict[str, list[str]] = json.loads((bench.state / "git/sample.submodules.json").read_text())
    return kept


def test_a_submodule_beside_the_project_is_fetched_by_its_relative_address(bench: Workbench) -> None:
    beside = library(bench.folder)
    commit = name_submodule(bench, "../library.git", commit=beside.heads()["main"], name="the lib")

    answer, pack = fetch(bench, commit)

    assert answer["url"] == str(beside.path)
    assert answer["names"] == ["the lib"]
    git(bench.clone, "init", "-q", "--bare", "../there")
    git(bench.folder / "there", "index-pack", "--stdin", stdin=pack)
    assert git(bench.folder / "there", "cat-file", "-t", commit) == "commit"
    assert fetch(bench, commit, have=(commit,))[1] == b""


def test_a_commit_that_the_remote_of_a_submodule_does_not_have_is_told(bench: Workbench) -> None:
    library(bench.folder)
    commit = name_submodule(bench, "../library.git", commit="1" * 40)
    with pytest.raises(Conflict, match="does not have the commit 111111111111"):
        fetch(bench, commit)


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch /tmp/never'",
        "file::/etc",
        "ssh://-oProxyCommand=x/y",
        FAR,
        "/etc/private.git",
        "http://elsewhere.example/x.git",
        "../../elsewhere/private.git",
    ],
)
def test_an_address_elsewhere_is_not_fetched_with_what_herald_holds(bench: Workbench, url: str) -> None:
    commit = name_submodule(bench, url)
    with pytest.raises(Conflict, match=r"accept|given"):
        fetch(bench, commit)


def test_an_address_elsewhere_is_fetched_once_a_person_accepted_it(bench: Workbench, tmp_path: Path) -> None:
    far = library(tmp_path / "far" if (tmp_path / "far").mkdir() is None else tmp_path)
    commit = name_submodule(bench, FAR, commit=far.heads()["main"])
    with pytest.raises(Conflict, match=r'git\.submodules\.urls: \{"lib": "git@elsewhere'):
        fetch(bench, commit)

    accept(bench, lib=str(far.path))

    assert fetch(bench, commit)[0]["url"] == str(far.path)


def test_an_address_that_came_after_the_first_look_is_not_followed_even_beside_the_project(bench: Workbench) -> None:
    beside, private = library(bench.folder), library(bench.folder, "private.git")
    fetch(bench, name_submodule(bench, "../library.git", commit=beside.heads()["main"]))

    commit = name_submodule(bench, "../private.git", commit=private.heads()["main"])

    with pytest.raises(Conflict, match="is not accepted"):
        fetch(bench, commit)
    accept(bench, lib=str(private.path))
    assert fetch(bench, commit)[0]["url"] == str(private.path)


def test_an_address_that_came_after_the_first_fetch_is_not_the_first_even_if_none_was_needed_before(
    bench: Workbench,
) -> None:
    bench.fetch()
    private = library(bench.folder, "private.git")

    commit = name_submodule(bench, "../private.git", commit=private.heads()["main"])

    with pytest.raises(Conflict, match="is not accepted"):
        fetch(bench, commit)
    assert known_addresses(bench) == {str(bench.remote.path): []}
    assert not list(bench.state.glob("git/sample+*"))


def test_a_project_that_a_version_before_has_fetched_keeps_the_addresses_that_its_default_branch_had_then(
    bench: Workbench,
) -> None:
    beside, private = library(bench.folder), library(bench.folder, "private.git")
    lib = name_submodule(bench, "../library.git", commit=beside.heads()["main"])
    (bench.state / "git/sample.submodules.json").unlink()

    commit = name_submodule(bench, "../private.git", path="more", commit=private.heads()["main"])

    assert fetch(bench, lib)[0]["url"] == str(beside.path)
    with pytest.raises(Conflict, match="is not accepted"):
        fetch(bench, commit, "more")


def nest(bench: Workbench, url: str, commit: str) -> str:
    """Somebody pushes a submodule to the default branch of `outer.git`; returns the commit that names it."""
    seed = bench.folder / "seed of outer.git"
    (seed / ".gitmodules").write_text(f'[submodule "in"]\n\tpath = in\n\turl = {url}\n')
    git(seed, "add", ".gitmodules")
    git(seed, "update-index", "--add", "--cacheinfo", f"160000,{commit},in")
    git(seed, "commit", "--quiet", "-m", "Nested")
    git(seed, "push", "--quiet", "origin", "main")
    return git(seed, "rev-parse", "HEAD")


@pytest.mark.parametrize("noted", [True, False], ids=["first fetched now", "first fetched by a version before"])
def test_an_address_in_a_submodule_that_came_after_its_first_fetch_is_not_accepted(
    bench: Workbench, noted: bool
) -> None:
    outer, private = library(bench.folder, "outer.git"), library(bench.folder, "private.git")
    fetch(bench, name_submodule(bench, "../outer.git", commit=outer.heads()["main"]))
    if not noted:
        file = bench.state / "git/sample.submodules.json"
        file.write_text(json.dumps({str(bench.remote.path): [str(outer.path)]}))

    inner = private.heads()["main"]
    fetch(bench, name_submodule(bench, "../outer.git", commit=nest(bench, "../private.git", inner)))

    with pytest.raises(Conflict, match="is not accepted"):
        fetch(bench, inner, "lib", "in")
    assert known_addresses(bench)[str(outer.path)] == []


def test_an_address_on_a_branch_of_an_agent_is_not_looked_at(bench: Workbench) -> None:
    library(bench.folder)
    bench.fetch()
    with pytest.raises(Conflict, match="default branch has no submodule lib"):
        fetch(bench, bench.base)


def test_a_submodule_in_a_submodule_is_named_by_the_one_around_it(bench: Workbench) -> None:
    inner, outer = library(bench.folder, "inner.git"), library(bench.folder, "outer.git")
    seed = bench.folder / "seed of outer.git"
    (seed / ".gitmodules").write_text('[submodule "in"]\n\tpath = in side\n\turl = ../inner.git\n')
    git(seed, "add", ".gitmodules")
    git(seed, "update-index", "--add", "--cacheinfo", f"160000,{inner.heads()['main']},in side")
    git(seed, "commit", "--quiet", "-m", "Nested")
    git(seed, "push", "--quiet", "origin", "main")
    name_submodule(bench, "../outer.git", path="my lib", commit=outer.heads()["main"])

    answer, _ = fetch(bench, inner.heads()["main"], "my lib", "in side")

    assert (answer["url"], answer["names"]) == (str(inner.path), ["my lib", "in"])


@pytest.mark.parametrize("path", [[], ["../x"], ["a/.git"], ["/etc"], ["x"] * 9])
def test_what_is_no_path_of_a_submodule_is_refused(bench: Workbench, path: list[Any]) -> None:
    with tempfile.TemporaryFile() as pack, pytest.raises(Invalid):
        parameters = {"project": "sample", "path": path, "commit": bench.base, "have": [], "pack": 0}
        unit.call(bench.state, "FetchSubmodule", parameters, pack.fileno())


def test_a_damaged_list_of_known_addresses_is_set_aside_and_accepts_nothing(bench: Workbench) -> None:
    beside = library(bench.folder)
    commit = name_submodule(bench, "../library.git", commit=beside.heads()["main"])
    (bench.state / "git/sample.submodules.json").write_text("not json")
    for _ in range(2):  # what is named now is not taken for the first that was seen
        with pytest.raises(HeraldError, match=r"set aside; `git\.submodules\.urls"):
            fetch(bench, commit)
        bench.fetch()
    assert list(bench.state.glob("git/sample.submodules.json.damaged-*"))


@pytest.mark.parametrize(
    ("around", "url"),
    [
        ("git@host.example:me/project.git", "../lib.git"),
        ("git@host.example:project.git", "../lib.git"),
        ("ssh://git@host.example/me/project.git", "../../you/lib"),
        ("https://host.example/me/project", "./lib"),
        ("/srv/me/project.git/", "../lib.git"),
    ],
)
def test_relative_addresses_are_resolved_as_git_does(tmp_path: Path, around: str, url: str) -> None:
    git(tmp_path, "init", "-q", ".")
    git(tmp_path, "remote", "add", "origin", around)
    (tmp_path / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = x\n\turl = {url}\n')
    git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x")
    git(tmp_path, "submodule", "init", "--quiet")
    assert resolved(url, around) == git(tmp_path, "config", "submodule.x.url")


def test_the_known_addresses_are_kept_by_the_repository_that_names_them(bench: Workbench) -> None:
    beside = library(bench.folder)
    fetch(bench, name_submodule(bench, "../library.git", commit=beside.heads()["main"]))
    assert known_addresses(bench) == {str(bench.remote.path): [str(beside.path)], str(beside.path): []}
