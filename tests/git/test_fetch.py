"""Fetch: the remote's default branch and a pack of what the caller lacks."""

import tempfile
from pathlib import Path

import pytest

from herald.errors import Busy, Conflict, Failed, Invalid, NotFound
from herald_git import repository
from tests.git import unit
from tests.git.conftest import Workbench
from tests.support import repositories
from tests.support.repositories import git


def unpack(bench: Workbench, pack: bytes, head: str, have: str = "") -> None:
    """The pack and what was said to be here give a whole history."""
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    git(folder, "init", "--quiet", "--bare", ".")
    if have:
        git(folder, "fetch", "--quiet", str(bench.clone), have)
    git(folder, "index-pack", "--stdin", "--fix-thin", stdin=pack)
    git(folder, "rev-list", "--objects", head)


def test_the_first_fetch_clones_and_packs_the_default_branch(bench: Workbench) -> None:
    branch, head, pack = bench.fetch()
    assert (branch, head) == ("main", bench.base)
    unpack(bench, pack, head)


def test_nothing_is_packed_when_the_caller_has_the_head(bench: Workbench) -> None:
    bench.fetch()
    assert bench.fetch(bench.base) == ("main", bench.base, b"")


def test_what_is_new_is_packed_against_what_the_caller_has(bench: Workbench) -> None:
    bench.fetch()
    head = bench.advance()
    branch, fetched, pack = bench.fetch(bench.base, "1" * 40)
    assert (branch, fetched) == ("main", head)
    unpack(bench, pack, head, have=bench.base)
    assert len(pack) < len(bench.fetch()[2])


def test_nothing_new_takes_one_git_process(bench: Workbench) -> None:
    bench.fetch()
    log = bench.folder / "calls"
    counting = bench.folder / "bin" / "git"
    counting.parent.mkdir()
    counting.write_text(f'#!/bin/sh\necho "$@" >> {log}\nPATH=${{PATH#*:}} exec git "$@"\n')
    counting.chmod(0o755)
    bench.fetch(bench.base, PATH=f"{counting.parent}:/usr/local/bin:/usr/bin:/bin")
    assert [line.split()[1] for line in log.read_text().splitlines()] == ["ls-remote"]


def test_another_default_branch_is_noticed_at_once(bench: Workbench) -> None:
    bench.fetch()
    git(bench.remote.path, "branch", "trunk", "main")
    git(bench.remote.path, "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert bench.fetch(bench.base)[0] == "trunk"


def test_a_branch_that_went_away_makes_room_for_one_below_its_name(bench: Workbench) -> None:
    git(bench.remote.path, "branch", "topic", "main")
    bench.fetch()
    git(bench.remote.path, "branch", "-D", "topic")
    git(bench.remote.path, "branch", "topic/one", "main")
    bench.fetch()
    refs = git(bench.own, "for-each-ref", "--format=%(refname)").split()
    assert refs == ["refs/remotes/origin/main", "refs/remotes/origin/topic/one"]


def test_a_rewritten_default_branch_is_followed(bench: Workbench) -> None:
    bench.fetch()
    git(bench.clone, "checkout", "--quiet", "--orphan", "fresh")
    head = repositories.commit(bench.clone, {"fresh": "start"})
    git(bench.clone, "push", "--quiet", "--force", "origin", "HEAD:main")
    branch, fetched, pack = bench.fetch(bench.base)
    assert (branch, fetched) == ("main", head)
    unpack(bench, pack, head)


def test_a_head_that_names_no_branch_falls_back_to_main(bench: Workbench) -> None:
    git(bench.remote.path, "symbolic-ref", "HEAD", "refs/heads/absent")
    assert bench.fetch()[0] == "main"
    git(bench.remote.path, "branch", "-m", "main", "only")
    assert bench.fetch()[0] == "only"
    git(bench.remote.path, "branch", "second", "only")
    with pytest.raises(Conflict, match="set its default branch"):
        bench.fetch()


def test_a_detached_head_is_the_branch_with_its_hash(bench: Workbench) -> None:
    bench.advance()
    git(bench.remote.path, "branch", "old", bench.base)
    (bench.remote.path / "HEAD").write_text(f"{bench.base}\n")
    assert bench.fetch()[:2] == ("old", bench.base)


def test_the_remote_follows_the_configuration(bench: Workbench) -> None:
    bench.fetch()
    other = repositories.remote_with_commit(bench.folder / "elsewhere")
    git(bench.folder / "elsewhere" / "seed", "commit", "--quiet", "--allow-empty", "--message", "More")
    git(bench.folder / "elsewhere" / "seed", "push", "--quiet", "origin", "main")
    bench.configure(str(other.path))
    _branch, head, pack = bench.fetch()
    assert head == other.heads()["main"] != bench.base
    unpack(bench, pack, head)


@pytest.mark.parametrize("form", ["file://{}", "file://localhost{}"])
def test_a_file_url_is_taken_as_its_path(bench: Workbench, form: str) -> None:
    bench.configure(form.format(bench.remote.path))
    assert bench.fetch()[1] == bench.base


def test_a_remote_without_a_branch_says_what_to_do(bench: Workbench) -> None:
    empty = repositories.Remote(bench.folder / "empty.git")
    bench.configure(str(empty.path))
    with pytest.raises(Conflict, match="push a first commit"):
        bench.fetch()


def test_a_project_without_a_remote_says_what_to_do(bench: Workbench) -> None:
    bench.configure("")
    with pytest.raises(Conflict, match=r"set git\.remote"):
        bench.fetch()


def test_an_unknown_project_is_named(bench: Workbench) -> None:
    with pytest.raises(NotFound, match="sample"):
        unit.fetch(bench.state, [], project="other")


@pytest.mark.parametrize("kind", ["absent", "a plain folder", "a file"])
def test_a_remote_that_is_no_repository_is_told(bench: Workbench, kind: str) -> None:
    path = bench.folder / "nothing"
    if kind == "a plain folder":
        path.mkdir()
    elif kind == "a file":
        path.touch()
    bench.configure(str(path))
    with pytest.raises(Failed, match="not a git repository"):
        bench.fetch()


@pytest.mark.parametrize(
    "url", ["ext::sh -c 'touch {}'", "http://127.0.0.1:1/x", "git://127.0.0.1:1/x", "--upload-pack=touch {}"]
)
def test_other_ways_to_a_remote_are_refused_and_run_nothing(bench: Workbench, url: str) -> None:
    witness = bench.folder / "witness"
    bench.configure(url.format(witness))
    with pytest.raises(Failed):
        bench.fetch()
    assert not witness.exists()


@pytest.mark.parametrize("have", ["main", "--all", "^HEAD", ""])
def test_what_is_no_hash_is_refused(bench: Workbench, have: str) -> None:
    with pytest.raises(Invalid, match="not a commit hash"):
        bench.fetch(have)


def test_two_fetches_at_once_take_turns(bench: Workbench) -> None:
    call = {"project": "sample", "have": [], "pack": 0}
    with (
        tempfile.TemporaryFile() as first,
        tempfile.TemporaryFile() as second,
        unit.Unit(bench.state) as one,
        unit.Unit(bench.state) as two,
    ):
        one.send("Fetch", call, first.fileno())
        two.send("Fetch", call, second.fileno())
        assert one.answer()["head"] == two.answer()["head"] == bench.base
    git(bench.own, "fsck", "--full")


def test_a_project_that_stays_in_use_is_busy(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERALD_STATE", str(bench.state))
    monkeypatch.setattr(repository, "_LOCK_WAIT", 0.2)
    with repository.locked("sample"), pytest.raises(Busy, match="another fetch or push"), repository.locked("sample"):
        pass
    with repository.locked("sample"), repository.locked("another"):
        pass


@pytest.mark.parametrize(
    "kind", ["pack cut", "pack flipped", "pack gone", "head gone", "ref torn", "config torn", "a file"]
)
def test_a_damaged_repository_is_set_aside_and_cloned_anew(bench: Workbench, kind: str) -> None:
    bench.fetch()
    damage(bench.own, kind)
    with tempfile.TemporaryFile() as pack, unit.Unit(bench.state) as instance:
        instance.send("Fetch", {"project": "sample", "have": [], "pack": 0}, pack.fileno())
        answer = instance.answer()
        journal = instance.end()
        pack.seek(0)
        unpack(bench, pack.read(), answer["head"])
    assert answer["head"] == bench.base
    assert "damaged" in journal
    (kept,) = bench.own.parent.glob("sample.git.damaged-*")
    assert str(kept) in journal
    git(bench.own, "fsck", "--full")


def damage(own: Path, kind: str) -> None:
    (pack,) = (own / "objects" / "pack").glob("*.pack")
    pack.chmod(0o600)
    data = pack.read_bytes()
    if kind == "pack cut":
        pack.write_bytes(data[: len(data) // 2])
    elif kind == "pack flipped":
        pack.write_bytes(data[:30] + bytes(byte ^ 0xFF for byte in data[30:-20]) + data[-20:])
    elif kind == "pack gone":
        pack.unlink()
    elif kind == "head gone":
        (own / "HEAD").unlink()
    elif kind == "ref torn":
        (own / "refs" / "remotes" / "origin" / "main").write_text("1234\n")
        (own / "herald-advertised").unlink()
    elif kind == "config torn":
        (own / "config").write_text("[core\n")
    else:
        own.rename(own.with_suffix(".away"))
        own.write_text("no repository")


def test_what_a_killed_fetch_left_does_not_disturb(bench: Workbench) -> None:
    bench.fetch()
    head = bench.advance()
    (bench.own / "refs" / "remotes" / "origin" / "main.lock").touch()
    (bench.own / "packed-refs.lock").touch()
    half = bench.own / "objects" / "pack" / "tmp_pack_half"
    half.write_bytes(b"half")
    (bench.own.parent / "sample.git.new").mkdir()
    assert bench.fetch()[1] == head
    assert not half.exists()
    assert not list(bench.own.parent.glob("*.damaged-*"))


def test_a_clone_that_was_killed_is_begun_again(bench: Workbench) -> None:
    (bench.own.parent / "sample.git.new" / "refs").mkdir(parents=True)
    assert bench.fetch()[1] == bench.base


def test_a_repeated_fetch_with_one_file_leaves_one_pack_in_it(bench: Workbench) -> None:
    with tempfile.TemporaryFile() as pack:
        for _ in range(2):
            answer = unit.call(bench.state, "Fetch", {"project": "sample", "have": [], "pack": 0}, pack.fileno())
        pack.seek(0)
        data = pack.read()
    assert len(data) == answer["pack_bytes"]
    unpack(bench, data, bench.base)


def test_many_packs_are_joined_and_nothing_is_lost(bench: Workbench) -> None:
    bench.fetch()
    packs = bench.own / "objects" / "pack"
    for number in range(55):
        crafted = repositories.Crafted()
        crafted.blob(f"{number}\n".encode())
        git(bench.own, "index-pack", "--stdin", stdin=crafted.pack())
    before = git(bench.own, "cat-file", "--batch-all-objects", "--batch-check")
    bench.fetch(bench.base)
    assert git(bench.own, "cat-file", "--batch-all-objects", "--batch-check") == before
    assert len(list(packs.glob("*.pack"))) < 10


def test_a_deadline_that_is_no_number_is_told(bench: Workbench) -> None:
    with pytest.raises(Failed, match="HERALD_GIT_DEADLINE"):
        bench.fetch(HERALD_GIT_DEADLINE="soon")
