"""The worker's mirror: what it takes from a run's pack, what it refuses, and what a refused pack leaves: nothing."""

import asyncio
import os
import stat
import subprocess
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from herald.errors import Conflict, HeraldError, Invalid, Unavailable
from herald_worker import confined_git
from herald_worker.mirror import Mirror
from tests.support import repositories
from tests.support.repositories import ABSENT, Crafted, git

_LIMIT = 64 << 20


class Workshop:
    """A mirror that knows the remote's main, and a clone in which runs commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = repositories.remote_with_commit(folder)
        self.base = self.remote.heads()["main"]
        self.clone = repositories.clone(self.remote, folder / "clone")
        self.path = folder / "state" / "worker" / "mirrors" / "sample.git"
        self.import_base(self.base)

    def import_base(self, head: str) -> None:
        self.mirror("import_base", self.file(repositories.pack(self.clone, head)), head)

    def fetch(self) -> None:
        """What the worker does before each run: ask herald-git for what the mirror lacks, for all if it is damaged."""
        nothing: list[str] = []
        for known in (self.mirror("known"), nothing):
            data = b"" if self.base in known else repositories.pack(self.clone, self.base)
            try:
                self.mirror("import_base", self.file(data), self.base)
            except Unavailable:
                if not known:
                    raise
            else:
                return

    def mirror(self, method: str, *arguments: Any) -> Any:
        """One act of the mirror."""
        return asyncio.run(self._act(method, arguments))

    async def _act(self, method: str, arguments: tuple[Any, ...]) -> Any:
        act: Callable[..., Coroutine[Any, Any, Any]] = getattr(Mirror("sample"), method)
        return await act(*arguments)

    def file(self, data: bytes) -> str:
        """A pack in a file."""
        path = self.folder / "handed-over.pack"
        path.write_bytes(data)
        return str(path)

    def run(self, head: str, run: str = "7-1-abc", base: str = "") -> None:
        """Hand over a commit of the clone as a run does."""
        data = repositories.pack(self.clone, head, base or self.base)
        self.mirror("import_run", run, self.file(data), head, base or self.base, _LIMIT)

    def hand_over(self, data: bytes, head: str, limit: int = _LIMIT) -> None:
        """Hand over a pack as it is."""
        self.mirror("import_run", "7-1-abc", self.file(data), head, self.base, limit)

    def objects(self) -> set[str]:
        """All objects of the mirror, reachable or not."""
        lines = git(self.path, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)", "--unordered")
        return set(lines.split())

    def refs(self) -> dict[str, str]:
        lines = git(self.path, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)

    def refuses(self, words: str, data: bytes, head: str, limit: int = _LIMIT) -> HeraldError:
        """The pack is refused in such words, and nothing of it stays behind."""
        before = self.objects(), self.refs()
        with pytest.raises(HeraldError, match=words) as caught:
            self.hand_over(data, head, limit)
        assert (self.objects(), self.refs()) == before
        assert not (self.path / "quarantine").exists()
        git(self.path, "fsck", "--full")
        return caught.value


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("HERALD_STATE", str(tmp_path / "state"))
    return Workshop(tmp_path)


def test_commits_of_a_run_are_taken_and_summed_up(shop: Workshop) -> None:
    repositories.commit(shop.clone, {"a.txt": "one\ntwo\n"}, "Add a", branch="agent/sample-1")
    head = repositories.commit(shop.clone, {"README.md": "B\n"}, "Change b\n\nBecause.\n\nTests: 3 passed\n")
    shop.run(head)
    assert shop.refs()["refs/runs/7-1-abc"] == head
    summary = shop.mirror("summary", head)
    assert summary == shop.mirror("summary", head, shop.base)
    assert summary.commits == 2
    assert summary.subjects == ("Change b", "Add a")
    assert (summary.files, summary.insertions, summary.deletions) == (2, 3, 1)
    assert summary.flags == ()
    assert summary.trailer_tests == "3 passed"
    assert shop.mirror("known") == sorted([head, shop.base])
    assert shop.mirror("is_ancestor", shop.base, head)
    assert not shop.mirror("is_ancestor", head, shop.base)


def test_the_same_run_handed_over_twice_is_taken_once(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {"a": "1"})
    shop.run(head)
    before = shop.objects(), shop.refs()
    shop.run(head)
    assert (shop.objects(), shop.refs()) == before


def test_a_crash_between_objects_and_ref_is_repeated_without_harm(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {"a": "1"})
    shop.run(head)
    git(shop.path, "update-ref", "-d", "refs/runs/7-1-abc")
    shop.run(head)
    assert shop.refs()["refs/runs/7-1-abc"] == head


def test_a_run_hands_over_one_commit_only(shop: Workshop) -> None:
    shop.run(repositories.commit(shop.clone, {"a": "1"}))
    with pytest.raises(Conflict, match="another commit"):
        shop.run(repositories.commit(shop.clone, {"a": "2"}))


def test_leftovers_of_a_killed_worker_do_not_disturb(shop: Workshop) -> None:
    (shop.path / "quarantine" / "pack").mkdir(parents=True)
    (shop.path / "quarantine" / "pack" / "tmp_pack_x").write_bytes(b"half")
    (shop.path / "refs" / "runs").mkdir(exist_ok=True)
    (shop.path / "refs" / "runs" / "7-1-abc.lock").touch()
    head = repositories.commit(shop.clone, {"a": "1"})
    shop.run(head)
    assert shop.refs()["refs/runs/7-1-abc"] == head
    assert not (shop.path / "quarantine").exists()


def test_objects_are_readable_by_the_group_and_by_nobody_else(shop: Workshop) -> None:
    shop.run(repositories.commit(shop.clone, {"a": "1"}))
    for path in (shop.path / "objects").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o040, path
        assert not mode & 0o027, path


@pytest.mark.parametrize("name", [".git", "..", ".", "a/b", ".GIT", "git~1", ".g\u200cit", ""])
def test_a_tree_that_would_write_where_it_must_not_is_refused(shop: Workshop, name: str) -> None:
    crafted = Crafted()
    inner = crafted.tree(("100644", "config", crafted.blob(b"[core]\n\tfsmonitor = evil\n")))
    head = crafted.commit(crafted.tree(("40000", name, inner)), shop.base)
    shop.refuses("git's check refused", crafted.pack(), head)


@pytest.mark.parametrize("url", ["-u./payload", "--upload-pack=evil", "ext::sh -c evil"])
def test_a_submodule_with_an_option_for_a_url_is_refused_or_flagged(shop: Workshop, url: str) -> None:
    crafted = Crafted()
    modules = crafted.blob(f'[submodule "x"]\n\tpath = x\n\turl = {url}\n'.encode())
    entries = ("100644", ".gitmodules", modules), ("160000", "x", shop.base)
    head = crafted.commit(crafted.tree(*entries), shop.base)
    if url.startswith("-"):
        shop.refuses("disallowed submodule url", crafted.pack(), head)
    else:
        shop.hand_over(crafted.pack(), head)
        assert shop.mirror("summary", head).flags == ("submodule: x",)


def test_a_bad_submodule_file_smuggled_in_by_an_earlier_run_is_refused(shop: Workshop) -> None:
    first = Crafted()
    modules = first.blob(b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n')
    earlier = first.commit(first.tree(("100644", "harmless.txt", modules)), shop.base)
    shop.mirror("import_run", "6-1-abc", shop.file(first.pack()), earlier, shop.base, _LIMIT)
    second = Crafted()
    head = second.commit(second.tree(("100644", ".gitmodules", modules)), shop.base)
    shop.refuses("disallowed submodule url", second.pack(), head)


def test_a_missing_parent_is_refused(shop: Workshop) -> None:
    crafted = Crafted()
    tree = crafted.tree(("100644", "a", crafted.blob(b"a")))
    parent = crafted.commit(tree, shop.base, message="kept back")
    head = crafted.commit(tree, parent)
    shop.refuses("incomplete or damaged", crafted.pack(set(crafted.hashes()) - {parent}), head)


def test_a_missing_blob_is_refused(shop: Workshop) -> None:
    crafted = Crafted()
    blob = crafted.blob(b"kept back")
    head = crafted.commit(crafted.tree(("100644", "a", blob)), shop.base)
    shop.refuses("incomplete or damaged", crafted.pack(set(crafted.hashes()) - {blob}), head)


def test_a_hash_that_is_not_in_the_pack_is_refused(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {"a": "1"})
    data = repositories.pack(shop.clone, head, shop.base)
    shop.refuses("not a commit of the pack", data, "1" * 40)


def test_the_hash_of_another_run_is_refused(shop: Workshop) -> None:
    other = repositories.commit(shop.clone, {"secret": "1"})
    shop.mirror(
        "import_run", "6-1-abc", shop.file(repositories.pack(shop.clone, other, shop.base)), other, shop.base, _LIMIT
    )
    git(shop.clone, "reset", "--quiet", "--hard", shop.base)
    head = repositories.commit(shop.clone, {"a": "1"})
    shop.refuses("not a commit of the pack", repositories.pack(shop.clone, head, shop.base), other)
    shop.refuses("not a commit of the pack", repositories.pack(shop.clone, head, shop.base), shop.base)


def test_a_blob_as_the_head_is_refused(shop: Workshop) -> None:
    crafted = Crafted()
    blob = crafted.blob(b"no commit")
    crafted.commit(crafted.tree(("100644", "a", blob)), shop.base)
    shop.refuses("not a commit of the pack", crafted.pack(), blob)


def test_a_history_of_its_own_is_refused(shop: Workshop) -> None:
    crafted = Crafted()
    head = crafted.commit(crafted.tree(("100644", "a", crafted.blob(b"a"))))
    shop.refuses("no history in common", crafted.pack(), head)


def test_a_branch_that_began_before_the_remote_went_on_is_taken(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {"a": "1"}, branch="agent/sample-1")
    git(shop.clone, "checkout", "--quiet", "main")
    began, shop.base = shop.base, repositories.commit(shop.clone, {"b": "2"})
    shop.import_base(shop.base)
    shop.hand_over(repositories.pack(shop.clone, head, began), head)
    assert shop.mirror("summary", head).files == 1


def test_a_pack_over_the_limit_is_refused(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {"a": "1"})
    assert isinstance(shop.refuses("at most", repositories.pack(shop.clone, head, shop.base), head, 10), Conflict)


def test_a_blob_of_a_gigabyte_is_taken_in_little_memory_and_time(shop: Workshop) -> None:
    crafted = Crafted()
    head = crafted.commit(crafted.tree(("100644", "large", crafted.zeros(1 << 30))), shop.base)
    data = crafted.pack()
    assert len(data) < 16 << 20
    started = time.monotonic()
    shop.hand_over(data, head)
    summary = shop.mirror("summary", head)
    assert (summary.files, summary.insertions, summary.deletions) == (2, 0, 1)
    assert time.monotonic() - started < confined_git.SECONDS


def test_a_delta_that_needs_a_gigabyte_of_memory_is_refused(shop: Workshop) -> None:
    crafted = Crafted()
    zeros = crafted.zeros(3 << 20)
    large = crafted.copies(zeros, 3 << 20, 512)
    head = crafted.commit(crafted.tree(("100644", "large", large)), shop.base)
    shop.refuses("too much memory", crafted.pack(), head)


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_cut_pack_is_refused(shop: Workshop, cut: float) -> None:
    head = repositories.commit(shop.clone, {"a": "1" * 5000})
    data = repositories.pack(shop.clone, head, shop.base)
    shop.refuses("incomplete or damaged", data[: int(len(data) * cut)], head)


def test_a_pack_with_flipped_bytes_is_refused(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {"a": "1" * 5000})
    data = bytearray(repositories.pack(shop.clone, head, shop.base))
    data[len(data) // 2] ^= 0xFF
    shop.refuses("incomplete or damaged", bytes(data), head)


def test_something_that_is_no_pack_is_refused(shop: Workshop) -> None:
    shop.refuses("incomplete or damaged", b"#!/bin/sh\nevil\n" * 100, "1" * 40)
    shop.refuses("not a commit of the pack", b"", "1" * 40)


@pytest.mark.parametrize("head", ["", "main", "--all", "HEAD", "g" * 40, "1" * 39, f"{'1' * 40}\n"])
def test_a_head_that_is_no_hash_is_refused(shop: Workshop, head: str) -> None:
    with pytest.raises(Invalid):
        shop.hand_over(b"", head)


@pytest.mark.parametrize("run", ["", "../x", "a/b", "-x", "x.lock", "a b"])
def test_a_name_that_is_no_run_is_refused(shop: Workshop, run: str) -> None:
    with pytest.raises(Invalid):
        shop.mirror("drop", run)


def test_git_that_takes_too_long_is_killed_with_all_its_children(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled = shop.folder / "bin" / "git"
    stalled.parent.mkdir()
    stalled.write_text("#!/bin/sh\nsleep 4567 & sleep 4567\n")
    stalled.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stalled.parent}:/usr/bin:/bin")
    monkeypatch.setattr(confined_git, "SECONDS", 0.3)
    with pytest.raises(HeraldError, match="took longer"):
        shop.mirror("known")
    assert "sleep 4567" not in subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True).stdout


def test_memory_of_git_is_bounded(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = shop.folder / "bin" / "git"
    probe.parent.mkdir()
    probe.write_text("#!/bin/sh\nulimit -v\n")
    probe.chmod(0o755)
    monkeypatch.setenv("PATH", f"{probe.parent}:/usr/bin:/bin")
    assert asyncio.run(confined_git.run("anything")).out == b"1048576\n"


def test_the_remotes_history_gets_more_of_everything_than_what_an_agent_made(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = repositories.commit(shop.clone, {"a": "1"})
    probe, log = shop.folder / "bin" / "git", shop.folder / "limits"
    probe.parent.mkdir()
    probe.write_text(f'#!/bin/sh\necho "$2 $(ulimit -v)" >> {log}\nPATH=${{PATH#*:}} exec git "$@"\n')
    probe.chmod(0o755)
    monkeypatch.setenv("PATH", f"{probe.parent}:/usr/bin:/bin")

    shop.run(head)
    shop.import_base(head)

    limits = [line.split()[1] for line in log.read_text().splitlines() if line.split()[0] in ("index-pack", "rev-list")]
    assert limits == ["1048576"] * 2 + ["4194304"] * 2
    assert confined_git.HISTORY_SECONDS > confined_git.SECONDS


def test_what_people_are_shown_holds_nothing_hidden(shop: Workshop) -> None:
    message = "Fix \u202egnp.exe\u202c \x1b[31mred\x07 zero\u200bwidth\u2066x\u2069\tend\n\nTests: \u202eok\x1b[0m\n"
    head = repositories.commit(shop.clone, {"a\u202eb": "x"}, message)
    shop.run(head)
    summary = shop.mirror("summary", head)
    assert summary.subjects == ("Fix gnp.exe [31mred zerowidthx end",)
    assert summary.trailer_tests == "ok[0m"


def test_a_long_subject_and_many_commits_are_cut(shop: Workshop) -> None:
    for number in range(25):
        head = repositories.commit(shop.clone, {"n": str(number)}, f"{number} " + "x" * 1000)
    shop.run(head)
    summary = shop.mirror("summary", head)
    assert summary.commits == 25
    assert len(summary.subjects) == 20
    assert all(len(subject) <= 200 for subject in summary.subjects)


def test_changes_that_need_a_second_look_are_flagged(shop: Workshop) -> None:
    (shop.clone / "link").symlink_to("/etc/passwd")
    git(shop.clone, "update-index", "--add", "--cacheinfo", f"160000,{shop.base},module")
    files = {f".github/workflows/{n}.yml": "x" for n in range(4)} | {
        ".gitlab-ci.yml": "x",
        ".claude/settings.json": "{}",
    }
    for name, text in files.items():
        (shop.clone / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.clone / name).write_text(text)
    readme = shop.clone / "README.md"
    readme.write_bytes(readme.read_bytes().replace(b"\n", b"\r\n"))
    git(shop.clone, "add", *files, "link", "README.md")
    git(shop.clone, "commit", "--quiet", "--message", "Much")
    head = git(shop.clone, "rev-parse", "HEAD")
    shop.run(head)
    assert shop.mirror("summary", head).flags == (
        "changes CI: .github/workflows/0.yml, .github/workflows/1.yml, .github/workflows/2.yml and 2 more",
        "changes settings of agents: .claude/settings.json",
        "submodule: module",
        "symbolic link: link",
        "only line endings change: README.md",
    )


def test_the_summary_counts_from_where_the_run_left_the_default_branch(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {"a": "1\n"}, "Mine", branch="agent/sample-1")
    shop.run(head)
    git(shop.clone, "checkout", "--quiet", "main")
    moved = repositories.commit(shop.clone, {"b": "2\n", "c": "3\n"}, "Somebody else's")
    shop.import_base(moved)
    summary = shop.mirror("summary", head)
    assert (summary.subjects, summary.commits, summary.files, summary.insertions) == (("Mine",), 1, 1, 1)


def test_names_of_files_with_newlines_and_colons_do_not_confuse_the_count(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {":100644 000000 x": "1\n", "a\nb\tc": "2\n", "é": "3\n"})
    shop.run(head)
    summary = shop.mirror("summary", head)
    assert (summary.files, summary.insertions) == (3, 3)


def test_what_was_discarded_is_forgotten(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {"a": "1"})
    shop.run(head)
    shop.mirror("discard", ABSENT)
    assert "refs/runs/7-1-abc" in shop.refs()
    shop.mirror("discard", head)
    assert "refs/runs/7-1-abc" not in shop.refs()
    shop.run(head)
    shop.mirror("drop", "7-1-abc")
    shop.mirror("drop", "7-1-abc")
    assert list(shop.refs()) == ["refs/base/default"]


def test_a_base_that_is_known_needs_no_pack(shop: Workshop) -> None:
    shop.mirror("import_base", shop.file(b""), shop.base)
    assert shop.mirror("has", shop.base)
    assert not shop.mirror("has", "1" * 40)


def test_the_default_branch_may_be_rewritten(shop: Workshop) -> None:
    git(shop.clone, "checkout", "--quiet", "--orphan", "other")
    other = repositories.commit(shop.clone, {"fresh": "start"})
    shop.import_base(other)
    assert shop.refs()["refs/base/default"] == other


def test_an_exported_pack_brings_another_clone_up_to_date(shop: Workshop) -> None:
    head = repositories.commit(shop.clone, {"a": "1"})
    shop.run(head)
    behind = repositories.clone(shop.remote, shop.folder / "behind")
    for had in (shop.base, "", "1" * 40):
        path = shop.file(b"to be replaced" * 10000)
        shop.mirror("export", head, had, path)
        git(behind, "index-pack", "--stdin", "--fix-thin", stdin=Path(path).read_bytes())
        assert git(behind, "cat-file", "-t", head) == "commit"


def test_an_export_leaves_out_all_that_the_receiver_has(shop: Workshop) -> None:
    one = repositories.commit(shop.clone, {"one": "1"}, branch="agent/sample-1")
    shop.run(one)
    git(shop.clone, "checkout", "--quiet", "-b", "agent/sample-2", shop.base)
    two = repositories.commit(shop.clone, {"two": "2"})
    shop.run(two, "8-1-abc")
    git(shop.clone, "merge", "--quiet", "--no-edit", one)
    head = git(shop.clone, "rev-parse", "HEAD")
    shop.run(head, "9-1-abc")
    path = shop.file(b"to be replaced")

    shop.mirror("export", head, [one, "", two, "1" * 40], path)

    exported = Path(path).read_bytes()
    assert int.from_bytes(exported[8:12], "big") == 2  # the merge and its tree


@pytest.mark.parametrize("kind", ["pack cut", "pack flipped", "pack gone", "head gone", "ref torn", "ref empty"])
def test_a_damaged_mirror_is_set_aside_and_made_anew(
    shop: Workshop, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (pack,) = (shop.path / "objects" / "pack").glob("*.pack")
    pack.chmod(0o600)
    data = pack.read_bytes()
    if kind == "pack cut":
        pack.write_bytes(data[: len(data) // 2])
    elif kind == "pack flipped":
        pack.write_bytes(data[:30] + bytes(byte ^ 0xFF for byte in data[30:-20]) + data[-20:])
    elif kind == "pack gone":
        pack.unlink()
    elif kind == "head gone":
        (shop.path / "HEAD").unlink()
    else:
        (shop.path / "refs" / "base" / "default").write_text("1234\n" if kind == "ref torn" else "")
    head = repositories.commit(shop.clone, {"README.md": "A sample, changed.\n"})
    shop.fetch()
    (kept,) = shop.path.parent.glob("sample.git.damaged-*")
    assert kept.is_dir()
    assert "set aside" in capfd.readouterr().err
    assert shop.mirror("known") == [shop.base]
    shop.run(head)
    assert shop.mirror("summary", head).commits == 1


@pytest.mark.parametrize("kind", ["memory", "killed"])
def test_a_check_that_cannot_be_made_says_nothing_of_damage(
    shop: Workshop, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git finds the pack of the run incomplete; whether the mirror is to blame, its check cannot find out."""
    (shop.clone / "large").write_bytes(os.urandom(12_000_000))
    shop.base = repositories.commit(shop.clone, {"base": "1"})
    shop.import_base(shop.base)
    first = repositories.commit(shop.clone, {"a": "1"})
    head = repositories.commit(shop.clone, {"b": "2"})
    weak = shop.folder / "bin" / "git"
    weak.parent.mkdir()
    act = "ulimit -v 20000" if kind == "memory" else "kill -9 $$"
    weak.write_text(f'#!/bin/sh\ncase " $* " in *" fsck "*) {act};; esac\nPATH=${{PATH#*:}} exec git "$@"\n')
    weak.chmod(0o755)
    monkeypatch.setenv("PATH", f"{weak.parent}:/usr/bin:/bin")

    with pytest.raises(HeraldError, match=r"memory|killed"):
        shop.hand_over(repositories.pack(shop.clone, head, first), head)

    assert shop.path.is_dir()
    assert not list(shop.path.parent.glob("sample.git.damaged-*"))


def test_damage_that_only_a_run_meets_is_told_from_a_bad_pack(shop: Workshop) -> None:
    text = "".join(f"line {number}\n" for number in range(3000))
    shop.base = repositories.commit(shop.clone, {"long.txt": text})
    shop.import_base(shop.base)
    blob = git(shop.clone, "rev-parse", f"{shop.base}:long.txt")
    for index in (shop.path / "objects" / "pack").glob("*.idx"):
        for line in git(shop.path, "show-index", stdin=index.read_bytes()).splitlines():
            offset, value, _crc = line.split()
            if value == blob:
                pack = index.with_suffix(".pack")
                pack.chmod(0o600)
                data = bytearray(pack.read_bytes())
                data[int(offset) + 40] ^= 0xFF
                pack.write_bytes(data)
    head = repositories.commit(shop.clone, {"long.txt": text + "one more\n"})
    with pytest.raises(Unavailable, match="damaged"):
        shop.run(head)
    shop.fetch()
    shop.run(head)
    assert shop.mirror("summary", head).insertions == 1


def test_acts_on_one_mirror_wait_for_one_another(shop: Workshop) -> None:
    heads = []
    for number in range(4):
        git(shop.clone, "checkout", "--quiet", "--detach", shop.base)
        heads.append(repositories.commit(shop.clone, {"n": str(number)}))
    paths = []
    for head in heads:
        path = shop.folder / f"{head}.pack"
        path.write_bytes(repositories.pack(shop.clone, head, shop.base))
        paths.append(str(path))

    async def all_at_once() -> None:
        imports = [
            Mirror("sample").import_run(f"{number}-1-abc", path, head, shop.base, _LIMIT)
            for number, (head, path) in enumerate(zip(heads, paths, strict=True))
        ]
        await asyncio.gather(*imports)

    asyncio.run(all_at_once())
    assert len(shop.refs()) == 5


def test_many_packs_are_joined_and_nothing_is_lost(shop: Workshop) -> None:
    for number in range(55):
        (shop.path / "objects" / "pack").mkdir(exist_ok=True)
        blob = f"{number}\n".encode()
        crafted = Crafted()
        crafted.blob(blob)
        git(shop.path, "index-pack", "--stdin", stdin=crafted.pack())
    before = shop.objects()
    shop.mirror("tidy")
    assert shop.objects() == before
    assert len(list((shop.path / "objects" / "pack").glob("*.pack"))) < 10
