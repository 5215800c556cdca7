"""Files of git-lfs from a message to a fresh clone elsewhere: all services, by the try command, and a real git-lfs."""

import hashlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import repositories
from tests.support.largefiles import POINTER, LargeFileServer, pointer_of, serving
from tests.support.processes import wait_for
from tests.support.repositories import Remote, git
from tests.together.trying import Try

pytestmark = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")

ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
LARGE = int(os.environ.get("HERALD_TEST_LARGE_FILE", str(64 << 20)))
"""Bytes of the file that goes the whole way."""

DATA = os.urandom(100_000)
OLD = os.urandom(50_000)


def oid_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Project:
    """A project that keeps .bin files with git-lfs, at a server; `old.bin` and `deep/older.bin` are there already."""

    def __init__(self, folder: Path, server: LargeFileServer) -> None:
        self.folder = folder
        self.server = server
        self.remote: Remote = repositories.remote_with_commit(folder)
        seed = folder / "seed"
        self.commit_to_main(
            {".gitattributes": ATTRIBUTES, "old.bin": pointer_of(OLD), "deep/older.bin": pointer_of(DATA)}
        )
        self.path = repositories.clone(self.remote, folder / "demo")
        self.state = folder / "state"
        self.seed = seed
        self.configure(f"{{url: {server.url}}}")

    def commit_to_main(self, files: dict[str, str]) -> None:
        seed = self.folder / "seed"
        repositories.commit(seed, files, "Large files")
        git(seed, "push", "--quiet", "--no-verify", "origin", "main")

    def configure(self, lfs: str) -> None:
        place = self.state / "etc" / "projects"
        place.mkdir(parents=True, exist_ok=True)
        (place / "demo.yaml").write_text(f'name: demo\npath: "{self.path}"\nworkspace: own\ngit: {{lfs: {lfs}}}\n')

    def start(self, **variables: str) -> Try:
        return Try(self.state, "--agent", "standin", "--project", self.path, CLAUDE_STANDIN_SHELL="1", **variables)

    def task(self, text: str) -> str:
        """What to say so that the agent runs a script."""
        script = self.folder / f"script-{oid_of(text.encode())[:8]}"
        script.write_text(f"set -e\n{text}\n")
        return f"shell sh {script} 2>&1"

    def agent_branches(self) -> list[str]:
        return [branch for branch in self.remote.heads() if branch.startswith("agent/")]

    def kept(self) -> list[str]:
        """Files that the worker keeps for proposals."""
        place = self.state / "worker" / "largefiles"
        return [each.name for each in place.rglob("*") if each.is_file()]

    def cloned(self, url: str = "") -> Path:
        """A fresh clone elsewhere, of the agent's branch, with its files."""
        target = self.folder / "elsewhere"
        settings = {
            "filter.lfs.smudge": "git-lfs smudge -- %f",
            "filter.lfs.process": "git-lfs filter-process",
            "filter.lfs.clean": "git-lfs clean -- %f",
            "filter.lfs.required": "true",
            **({"lfs.url": url} if url else {}),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        branch = self.agent_branches()[-1]
        git(self.folder, *options, "clone", "--quiet", "--branch", branch, str(self.remote.path), str(target))
        return target


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with serving(tmp_path / "server") as server:
        project = Project(tmp_path, server)
        server.put(OLD)
        server.put(DATA)
        yield project


def test_a_large_file_is_at_the_remote_and_a_fresh_clone_elsewhere_has_it(tmp_path: Path) -> None:
    """The remote is a folder, which keeps large files itself."""
    remote = repositories.remote_with_commit(tmp_path)
    repositories.commit(tmp_path / "seed", {".gitattributes": ATTRIBUTES}, "Large files")
    git(tmp_path / "seed", "push", "--quiet", "--no-verify", "origin", "main")
    path = repositories.clone(remote, tmp_path / "demo")
    script = tmp_path / "script"
    script.write_text(
        f"head -c {LARGE} /dev/urandom >big.bin; git add big.bin; git commit -qm 'Add it'; sha256sum big.bin"
    )
    project = Project.__new__(Project)
    project.folder, project.remote = tmp_path, remote
    with Try(tmp_path / "state", "--agent", "standin", "--project", path, CLAUDE_STANDIN_SHELL="1") as attempt:
        attempt.say(f"shell sh {script}")
        attempt.wait_for("Ready to push")
        assert attempt.wait_for("• big.bin (").endswith(f"({LARGE / (1 << 20):.1f} MiB)")
        attempt.say("+1")
        attempt.wait_for("Pushed —")
        assert attempt.finish() == 0
    told = attempt.told()
    with (project.cloned() / "big.bin").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() in told


def test_without_the_key_a_run_has_pointers_and_with_it_files(project: Project) -> None:
    with project.start() as attempt:
        attempt.say(project.task("wc -c old.bin deep/older.bin"))
        attempt.wait_for("130 old.bin")
        assert project.server.asked == []
        project.configure(f"{{url: {project.server.url}, get: [deep]}}")
        attempt.heraldctl("reload")
        attempt.say(project.task("wc -c <old.bin; sha256sum deep/older.bin; git status --short"))
        attempt.wait_for(oid_of(DATA))
        project.configure(f"{{url: {project.server.url}, get: all}}")
        attempt.heraldctl("reload")
        attempt.say(project.task("sha256sum old.bin; git status --short"))
        attempt.wait_for(oid_of(OLD))
        asked = len(project.server.asked)
        attempt.say(project.task("sha256sum old.bin deep/older.bin; echo and again"))
        attempt.wait_for("and again")
        assert attempt.finish() == 0
    assert len(project.server.asked) == asked
    assert "Ready to push" not in attempt.told()


def test_a_file_that_the_server_gives_wrong_never_reaches_the_workspace(project: Project) -> None:
    project.configure(f"{{url: {project.server.url}, get: all}}")
    project.server.wrong = True
    with project.start() as attempt:
        attempt.say("say hi")
        assert "`git.lfs.get` names " in attempt.wait_for("Task 1 failed")
        assert "could not be fetched" in attempt.told()
        attempt.finish()
    assert not list((project.state / "agent/workspaces/demo/.git/lfs").rglob(oid_of(OLD)))


def test_a_file_that_the_server_lacks_stays_a_pointer_and_is_told_once_with_its_path_and_the_key(
    project: Project,
) -> None:
    (project.server.folder / oid_of(DATA)).unlink()
    project.configure(f"{{url: {project.server.url}, get: all}}")
    told = "`git.lfs.get` of demo names large files that the server does not have: deep/older.bin."
    with project.start() as attempt:
        attempt.say(project.task("sha256sum old.bin; wc -c deep/older.bin; git status --short"))
        attempt.wait_for(oid_of(OLD))
        attempt.wait_for("131 deep/older.bin")
        attempt.say(project.task("echo again"))
        attempt.wait_for("again")
        assert attempt.finish() == 0
    assert sum(told in each for each in attempt.posts) == 1


def test_the_file_is_there_before_the_branch_and_gone_from_the_worker_afterwards(project: Project) -> None:
    new = DATA[::-1]
    (project.folder / "new").write_bytes(new)
    project.server.manner = "hangs"
    with project.start() as attempt:
        attempt.say(project.task(f"cp {project.folder}/new new.bin; git add .; git commit -qm 'Add it'"))
        attempt.wait_for("• new.bin (97.7 KiB)")
        assert project.kept() == [oid_of(new)]
        attempt.say("+1")
        wait_for(lambda: f"/data/{oid_of(new)}" in project.server.asked, "the upload has begun")
        assert project.agent_branches() == []
        project.server.manner = "well"
        os.kill(attempt.process_named("herald-git"), signal.SIGKILL)
        attempt.wait_for("Pushed —")
        assert attempt.finish() == 0
    assert project.server.has(new)
    assert project.kept() == []
    assert (project.cloned(project.server.url) / "new.bin").read_bytes() == new


def test_a_worker_that_is_killed_while_files_are_pushed_pushes_them_and_the_branch_afterwards(project: Project) -> None:
    new = DATA[::-1]
    (project.folder / "new").write_bytes(new)
    project.server.manner = "hangs"
    with project.start() as attempt:
        attempt.say(project.task(f"cp {project.folder}/new new.bin"))
        attempt.wait_for("• new.bin (97.7 KiB)")
        attempt.say("+1")
        wait_for(lambda: f"/data/{oid_of(new)}" in project.server.asked, "the upload has begun")
        os.kill(attempt.process_named("herald-worker"), signal.SIGKILL)
        assert project.agent_branches() == []
        project.server.manner = "well"
        project.server.released.set()
        attempt.wait_for("Pushed —")
        attempt.finish()
    assert project.server.has(new)
    assert len(project.agent_branches()) == 1


def test_what_a_server_refuses_is_a_refused_push_that_can_be_proposed_again(project: Project) -> None:
    new = DATA[::-1]
    (project.folder / "new").write_bytes(new)
    project.server.manner = "refuses"
    with project.start() as attempt:
        attempt.say(project.task(f"cp {project.folder}/new new.bin"))
        attempt.wait_for("• new.bin (97.7 KiB)")
        attempt.say("+1")
        assert "your quota is used up" in attempt.wait_for("Not pushed —")
        assert project.agent_branches() == []
        assert project.kept() == [oid_of(new)]
        workspace = project.state / "agent/workspaces/demo"
        shutil.rmtree(workspace / ".git/lfs")
        (workspace / "new.bin").unlink()
        project.server.manner = "well"
        attempt.say("!push")
        wait_for(lambda: sum("Ready to push" in each for each in attempt.posts) > 1, "it is proposed again")
        attempt.say("+1")
        attempt.wait_for("Pushed —")
        attempt.finish()
    assert project.server.has(new)
    assert project.kept() == []


def test_a_file_that_is_missing_stands_above_everything_and_its_push_is_refused(project: Project) -> None:
    with project.start() as attempt:
        attempt.say(
            project.task(
                "echo new >new.bin; git add .; git commit -qm 'Add it'; rm -r .git/lfs/objects new.bin; git checkout ."
            )
        )
        attempt.wait_for("Ready to push")
        assert "Large files are missing" in attempt.posts[attempt.posts.index(attempt.wait_for("Ready to push")) + 1]
        assert attempt.wait_for("• new.bin (4 bytes)").endswith("it is not in the workspace")
        attempt.say("+1")
        assert "lacks large files" in attempt.wait_for("Not pushed —")
        attempt.finish()
    assert project.agent_branches() == []


def test_a_pointer_whose_file_only_the_remote_has_is_pushed(project: Project) -> None:
    new = project.server.put(b"known elsewhere")
    assert len(new) == 64
    (project.folder / "pointer").write_text(pointer_of(b"known elsewhere"))
    with project.start() as attempt:
        attempt.say(project.task(f"cp {project.folder}/pointer new.bin"))
        attempt.wait_for("Large files are missing")
        attempt.say("+1")
        attempt.wait_for("Pushed —")
        assert attempt.finish() == 0
    assert (project.cloned(project.server.url) / "new.bin").read_bytes() == b"known elsewhere"


@pytest.mark.parametrize("mended_by", ["files", "branch"])
def test_a_push_url_that_lacks_large_files_of_the_base_gets_no_branch_until_it_has_them(
    project: Project, mended_by: str
) -> None:
    fork = Remote(project.folder / "fork.git")
    place = project.state / "etc/projects/demo.yaml"
    place.write_text(f'name: demo\npath: "{project.path}"\nworkspace: own\ngit: {{push_url: "{fork.path}"}}\n')
    with project.start() as attempt:
        attempt.say(project.task("echo new >new.bin"))
        attempt.wait_for("• new.bin (4 bytes)")
        attempt.say("+1")
        refused = attempt.wait_for("Not pushed —")
        assert oid_of(OLD)[:12] in refused
        assert "this is about large files of the base, which is fetched from elsewhere" in refused
        assert fork.heads() == {}
        if mended_by == "branch":
            git(project.seed, "push", "--quiet", "--no-verify", str(fork.path), "main")
        for data in (OLD, DATA) if mended_by == "files" else ():
            there = fork.path / "lfs/objects" / oid_of(data)[:2] / oid_of(data)[2:4] / oid_of(data)
            there.parent.mkdir(parents=True)
            there.write_bytes(data)
        attempt.say("!push")
        wait_for(lambda: sum("Ready to push" in each for each in attempt.posts) > 1, "it is proposed again")
        attempt.say("+1")
        attempt.wait_for("Pushed —")
        attempt.finish()
    new = oid_of(b"new\n")
    assert (fork.path / "lfs/objects" / new[:2] / new[2:4] / new).read_bytes() == b"new\n"
    assert len([each for each in fork.heads() if each.startswith("agent/")]) == 1


def test_a_forged_file_and_a_huge_one_are_not_taken(project: Project) -> None:
    (project.folder / "huge").write_text(POINTER.format(oid="1" * 64, size=3 << 30))
    script = f"""
        echo new >new.bin; git add .; git commit -qm 'Add it'; cp {project.folder}/huge huge.bin
        find .git/lfs/objects -type f | while read each; do chmod u+w $each; echo NEW >$each; done"""
    with project.start() as attempt:
        attempt.say(project.task(script))
        assert "SHA-256" in attempt.wait_for("• new.bin (4 bytes)")
        assert attempt.wait_for("• huge.bin (3.0 GiB)").endswith(
            "larger than 2.0 GiB, the most that is taken of one file"
        )
        attempt.say("+1")
        attempt.wait_for("Not pushed —")
        attempt.finish()
    assert project.agent_branches() == []
    assert project.kept() == []


def test_a_changed_server_is_a_mark_on_the_card_and_is_not_followed(project: Project, tmp_path: Path) -> None:
    with serving(tmp_path / "elsewhere-server") as other:
        script = f"git config -f .lfsconfig lfs.url {other.url}; git config lfs.url {other.url}; echo new >new.bin"
        with project.start() as attempt:
            attempt.say(project.task(script))
            attempt.wait_for("⚠️ changes where git-lfs keeps large files: .lfsconfig")
            attempt.say("+1")
            attempt.wait_for("Pushed —")
            assert attempt.finish() == 0
        assert other.asked == []
        assert project.server.has(b"new\n")


def test_a_discarded_proposal_leaves_no_file_behind(project: Project) -> None:
    with project.start() as attempt:
        attempt.say(project.task("echo new >new.bin"))
        attempt.wait_for("• new.bin (4 bytes)")
        assert project.kept() == [oid_of(b"new\n")]
        attempt.say("-1")
        attempt.wait_for("Discarded —")
        assert attempt.finish() == 0
    assert project.kept() == []


def test_without_git_lfs_the_task_fails_with_what_to_install(project: Project) -> None:
    programs = project.folder / "bin"
    programs.mkdir()
    for each in ("git", "sh", "rm", "env"):
        (programs / each).symlink_to(str(shutil.which(each)))
    with project.start(PATH=str(programs)) as attempt:
        attempt.say("say hi")
        assert "`apt-get install git-lfs`" in attempt.wait_for("Task 1 failed")
        attempt.finish()
