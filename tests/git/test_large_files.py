"""Files of git-lfs at the remote: a real git-lfs, a server of its own, and a remote that is a folder."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herald.errors import Conflict, Failed, HeraldError, NotFound, Unavailable
from tests.git import unit
from tests.git.conftest import Workbench
from tests.support import repositories
from tests.support.largefiles import LargeFileServer, serving
from tests.support.processes import wait_for
from tests.support.repositories import git

pytestmark = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")

HEAD = "1" * 40
DATA = os.urandom(300_000)
OTHER = os.urandom(1000)


def oid_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Bench:
    """A project whose large files are at a server, and what the worker keeps for a commit."""

    def __init__(self, bench: Workbench, server: LargeFileServer) -> None:
        self.bench = bench
        self.server = server
        self.kept = bench.state / "worker" / "largefiles" / "sample" / HEAD
        self.at_server()

    def at_server(self) -> None:
        self._configure(lfs_url=self.server.url)

    def at_remote(self) -> None:
        self._configure()

    def _configure(self, **keys: Any) -> None:
        project = repositories.project(remote=str(self.bench.remote.path))._replace(**keys)
        repositories.write_snapshot(self.bench.state, project)

    def keep(self, data: bytes, name: str = "") -> None:
        self.kept.mkdir(parents=True, exist_ok=True)
        (self.kept / (name or oid_of(data))).write_bytes(data)

    def push(self, *wanted: bytes, **variables: str) -> tuple[str, str]:
        files = [f"{oid_of(each)} {len(each)}" for each in wanted]
        parameters = {"project": "sample", "head": HEAD, "files": files}
        answer = unit.call(self.bench.state, "PushLargeFiles", parameters, **variables)
        return answer["outcome"], answer["reason"]

    def fetch(self, data: bytes, size: int | None = None, **variables: str) -> bytes:
        path = self.bench.folder / "fetched"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        asked = {"project": "sample", "oid": oid_of(data), "size": len(data) if size is None else size, "file": 0}
        try:
            unit.call(self.bench.state, "FetchLargeFile", asked, fd, **variables)
        finally:
            os.close(fd)
        return path.read_bytes()

    def at_folder(self, data: bytes) -> Path:
        oid = oid_of(data)
        return self.bench.remote.path / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


@pytest.fixture
def large(bench: Workbench, tmp_path: Path) -> Iterator[Bench]:
    with serving(tmp_path / "server") as server:
        yield Bench(bench, server)


def test_the_server_gets_what_it_lacks_and_nothing_twice(large: Bench) -> None:
    large.keep(DATA)
    large.keep(OTHER)
    large.server.put(OTHER)

    assert large.push(DATA, OTHER) == ("pushed", "")
    assert large.server.has(DATA)
    assert [each for each in large.server.asked if each.startswith("/data/")] == [f"/data/{oid_of(DATA)}"]
    assert large.push(DATA, OTHER) == ("pushed", "")


def test_a_file_that_is_not_here_is_no_harm_if_the_server_has_it(large: Bench) -> None:
    large.keep(DATA)
    large.server.put(OTHER)
    assert large.push(DATA, OTHER) == ("pushed", "")


def test_a_file_that_is_nowhere_is_a_refused_push_that_names_it(large: Bench) -> None:
    large.keep(DATA)
    outcome, reason = large.push(DATA, OTHER)
    assert outcome == "refused"
    assert "lacks large files" in reason
    assert oid_of(OTHER)[:12] in reason


def test_the_words_of_a_server_that_says_no_are_the_reason(large: Bench) -> None:
    large.keep(DATA)
    large.server.manner = "refuses"
    outcome, reason = large.push(DATA)
    assert outcome == "refused"
    assert "your quota is used up" in reason
    assert not large.server.has(DATA)


@pytest.mark.parametrize("manner", ["fails", "cuts"])
def test_a_server_that_breaks_down_is_asked_again_later(large: Bench, manner: Any) -> None:
    large.keep(DATA)
    large.server.manner = manner
    with pytest.raises(Unavailable):
        large.push(DATA)
    assert not large.server.has(DATA)

    large.server.manner = "well"
    assert large.push(DATA) == ("pushed", "")


def test_a_server_that_does_not_answer_is_given_up(large: Bench) -> None:
    large.keep(DATA)
    large.server.manner = "hangs"
    with pytest.raises(Unavailable, match=r"git lfs|no end|timed out"):
        large.push(DATA, HERALD_GIT_DEADLINE="1.5")


def test_a_push_that_was_killed_in_the_middle_is_made_again(large: Bench) -> None:
    large.keep(DATA)
    large.server.manner = "hangs"
    with unit.Unit(large.bench.state) as one:
        one.send("PushLargeFiles", {"project": "sample", "head": HEAD, "files": [f"{oid_of(DATA)} {len(DATA)}"]})
        wait_for(lambda: any(each.startswith("/data/") for each in large.server.asked), "the upload has begun")
        one.kill()
    assert not large.server.has(DATA)

    large.server.manner = "well"
    assert large.push(DATA) == ("pushed", "")
    assert large.server.has(DATA)
    assert not (large.bench.state / "git" / "sample.largefiles").exists()


def test_a_remote_that_is_a_folder_gets_copies_of_its_own(large: Bench) -> None:
    large.at_remote()
    large.keep(DATA)

    assert large.push(DATA) == ("pushed", "")
    there = large.at_folder(DATA)
    assert there.read_bytes() == DATA
    assert not there.is_symlink()
    assert there.stat().st_nlink == 1
    assert [each.name for each in there.parent.iterdir()] == [there.name]
    assert large.fetch(DATA) == DATA


def test_a_folder_that_lacks_a_file_which_is_nowhere_gets_none(large: Bench) -> None:
    large.at_remote()
    large.keep(DATA)
    outcome, reason = large.push(DATA, OTHER)
    assert outcome == "refused"
    assert oid_of(OTHER)[:12] in reason
    assert not large.at_folder(DATA).exists()


def test_a_file_of_the_folder_that_was_cut_off_is_written_anew(large: Bench) -> None:
    large.at_remote()
    large.keep(DATA)
    large.at_folder(DATA).parent.mkdir(parents=True)
    large.at_folder(DATA).write_bytes(DATA[:1000])
    assert large.push(DATA) == ("pushed", "")
    assert large.at_folder(DATA).read_bytes() == DATA


def test_what_the_worker_keeps_under_a_wrong_name_does_not_reach_the_folder(large: Bench) -> None:
    large.at_remote()
    large.keep(DATA[::-1], name=oid_of(DATA))
    outcome, reason = large.push(DATA)
    assert outcome == "refused"
    assert "SHA-256" in reason
    assert not large.at_folder(DATA).exists()


def test_a_file_is_fetched_from_the_server(large: Bench) -> None:
    large.server.put(DATA)
    assert large.fetch(DATA) == DATA


def test_what_the_server_gives_is_compared_with_its_name(large: Bench) -> None:
    large.server.put(DATA)
    large.server.wrong = True
    with pytest.raises(HeraldError, match=r"expected OID|could not be fetched"):
        large.fetch(DATA)


def test_a_file_that_the_server_lacks_is_named(large: Bench) -> None:
    with pytest.raises(NotFound, match=oid_of(DATA)[:12]):
        large.fetch(DATA)
    large.at_remote()
    with pytest.raises(NotFound, match=oid_of(DATA)[:12]):
        large.fetch(DATA)


def test_a_server_that_refuses_is_not_one_that_lacks_the_file(large: Bench) -> None:
    large.server.put(DATA)
    large.server.manner = "refuses"
    with pytest.raises(Failed, match="your quota is used up"):
        large.fetch(DATA)


def test_a_server_cannot_fill_the_disk(large: Bench) -> None:
    """It gives a file that is far larger than the pointer says."""
    endless = bytes(40 << 20)
    (large.server.folder / oid_of(DATA)).write_bytes(endless)
    with pytest.raises(HeraldError):
        large.fetch(DATA, size=1000)
    assert large.server.given < 35 << 20


def test_a_server_that_the_default_branch_names_is_used_only_when_a_person_has_set_the_key(large: Bench) -> None:
    elsewhere = f"[lfs]\n\turl = {large.server.url}\n"
    git(large.bench.clone, "checkout", "--quiet", "main")
    repositories.commit(large.bench.clone, {".lfsconfig": elsewhere}, "Elsewhere")
    git(large.bench.clone, "push", "--quiet", "origin", "main")
    large.at_remote()
    large.bench.fetch()
    large.keep(DATA)

    outcome, reason = large.push(DATA)
    assert outcome == "refused"
    assert f"git.lfs.url: {large.server.url}" in reason
    assert not large.server.asked
    assert not large.at_folder(DATA).exists()
    with pytest.raises(Conflict, match=r"git\.lfs\.url"):
        large.fetch(DATA)

    large.at_server()
    assert large.push(DATA) == ("pushed", "")
    assert large.server.has(DATA)


def test_without_git_lfs_a_push_says_what_to_install(large: Bench, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for each in ("git", "sh"):
        (programs / each).symlink_to(str(shutil.which(each)))
    large.keep(DATA)
    assert large.push(DATA, PATH=str(programs)) == (
        "refused",
        "git-lfs is not installed where herald-git runs: `apt-get install git-lfs`",
    )


SSH = """#!/bin/sh
echo "$@" >>{log}
for last; do :; done
case "$last" in
*git-lfs-authenticate*) echo '{{"href": "{url}", "header": {{"X-By": "ssh"}}}}' ;;
*) exit 1 ;;
esac
"""


def test_a_remote_over_ssh_tells_where_its_server_is(large: Bench, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    log = tmp_path / "ssh.log"
    (programs / "ssh").write_text(SSH.format(log=log, url=large.server.url))
    (programs / "ssh").chmod(0o755)
    project = repositories.project(remote="git@host.invalid:owner/name.git")
    repositories.write_snapshot(large.bench.state, project)
    large.keep(DATA)

    assert large.push(DATA, PATH=f"{programs}:{os.environ['PATH']}") == ("pushed", "")
    assert large.server.has(DATA)
    asked = log.read_text()
    assert "BatchMode=yes" in asked
    assert "git-lfs-authenticate owner/name.git upload" in asked
