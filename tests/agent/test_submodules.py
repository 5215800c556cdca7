"""Submodules in a workspace: what of them is the agent's, what a run can make of them, what survives."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.agent.place import Place, git, wait_for

LOCAL = ("-c", "protocol.file.allow=always")
UPDATE = "git -c protocol.file.allow=always submodule update --init --recursive -q"


class Library:
    """A repository that is to be a submodule, with its own remote."""

    def __init__(self, folder: Path, name: str) -> None:
        self.clone = folder / name
        git(folder, "init", "--quiet", str(self.clone))
        self.commits = [self.commit("a.c", "one")]

    def commit(self, path: str, text: str) -> str:
        (self.clone / path).write_text(f"{text}\n")
        git(self.clone, "add", "-A")
        git(self.clone, "commit", "--quiet", "-m", text)
        return git(self.clone, "rev-parse", "HEAD")


class Project:
    """The project of a place with one submodule at `lib`."""

    def __init__(self, place: Place, path: str = "lib") -> None:
        self.place = place
        self.library = Library(place.folder, "library")
        self.path = path
        git(place.clone, *LOCAL, "submodule", "add", "-q", str(self.library.clone), path)
        self.commit("Add a submodule")

    def commit(self, message: str) -> None:
        git(self.place.clone, "commit", "--quiet", "-am", message)
        git(self.place.clone, "push", "--quiet", "origin", "main")
        self.place.base = git(self.place.clone, "rev-parse", "HEAD")

    def move_upstream(self) -> str:
        """Somebody else commits to the library and takes that into the project; the folder stays where it was."""
        head = self.library.commit("a.c", f"number {len(self.library.commits)}")
        self.library.commits.append(head)
        old = git(self.place.clone, "rev-parse", "HEAD")
        git(self.place.clone, "update-index", "--cacheinfo", f"160000,{head},{self.path}")
        git(self.place.clone, "commit", "--quiet", "-m", "Move the submodule")
        git(self.place.clone, "push", "--quiet", "origin", "main")
        self.place.base = git(self.place.clone, "rev-parse", "HEAD")
        git(self.place.clone, "reset", "-q", "--soft", old)
        git(self.place.clone, "reset", "-q")
        return head

    def run(self, command: str, **parameters: Any) -> Any:
        pack = self.place.history() if self.place.own else b""
        files = self.place.run(f"shell {command}", base_pack=pack, **parameters)
        assert files.end["outcome"] == "ok", files.end
        return files

    def gitlink(self, commit: str, path: str = "") -> str:
        return git(self.place.tree, "rev-parse", f"{commit}:{path or self.path}")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.fixture
def project(place: Place) -> Project:
    return Project(place)


@pytest.fixture
def in_path(place: Place) -> Project:
    place.configure(workspace="path")
    return Project(place)


def test_a_submodule_that_somebody_moved_upstream_is_not_set_back_in_an_own_workspace(project: Project) -> None:
    project.run(UPDATE)
    wanted = project.move_upstream()

    end = project.run("echo x > new.txt").end

    assert end["commits"] == 1
    assert project.gitlink(end["head"]) == wanted
    assert "lib is not initialised any more" in end["message"]


def test_a_submodule_that_somebody_moved_upstream_is_not_set_back_in_the_folder_of_a_person(in_path: Project) -> None:
    wanted = in_path.move_upstream()

    end = in_path.run("echo x > new.txt; git add -A").end

    assert end["commits"] == 1
    assert in_path.gitlink(end["head"]) == wanted
    assert "The submodule lib stays at" in end["message"]


def test_a_commit_of_the_agent_s_own_does_not_set_a_submodule_back_that_it_never_touched(in_path: Project) -> None:
    wanted = in_path.move_upstream()

    end = in_path.run("echo x > new.txt; git add -A && git commit -qam mine").end

    assert end["commits"] == 1
    assert in_path.gitlink(end["head"]) == wanted


def test_a_submodule_in_the_folder_of_a_person_is_brought_to_the_base_for_a_run_and_put_back(in_path: Project) -> None:
    wanted = in_path.move_upstream()
    lib = in_path.place.clone / "lib"
    git(lib, *LOCAL, "fetch", "-q")
    git(lib, "checkout", "-q", "main")

    files = in_path.run("git -C lib rev-parse HEAD; git -C lib status --porcelain -b | head -1; git status --porcelain")

    assert wanted in files.text
    assert "## HEAD (no branch)" in files.text
    assert " lib" not in files.text
    assert files.end["commits"] == 0
    assert files.end["message"] == ""
    assert git(lib, "rev-parse", "HEAD") == in_path.library.commits[0]
    assert git(lib, "symbolic-ref", "--short", "HEAD") == "main"
    assert git(in_path.place.clone, "status", "--porcelain") == ""


def test_a_submodule_with_uncommitted_changes_in_the_folder_of_a_person_stays_as_it_is(in_path: Project) -> None:
    in_path.move_upstream()
    lib = in_path.place.clone / "lib"
    git(lib, *LOCAL, "fetch", "-q")
    (lib / "a.c").write_text("mine\n")

    end = in_path.run("echo x > new.txt").end

    assert "it has uncommitted changes" in end["message"]
    assert (lib / "a.c").read_text() == "mine\n"
    assert git(lib, "rev-parse", "HEAD") == in_path.library.commits[0]
    assert git(in_path.place.clone, "ls-files", "-t", "lib") == "H lib"


def test_what_the_agent_commits_in_a_submodule_of_a_person_s_folder_moves_no_branch_of_theirs(in_path: Project) -> None:
    lib = in_path.place.clone / "lib"

    end = in_path.run("cd lib && echo two > a.c && git commit -qam two && git rev-parse HEAD").end

    head = in_path.gitlink(end["head"])
    assert head != in_path.library.commits[0]
    assert git(lib, "rev-parse", "main") == git(lib, "rev-parse", "HEAD") == in_path.library.commits[0]
    assert git(lib, "rev-parse", end["branch"]) == head


def test_a_submodule_that_the_agent_moved_is_taken(project: Project) -> None:
    end = project.run(f"{UPDATE} && cd lib && echo two > a.c && git commit -qam two").end

    lib = project.place.tree / "lib"
    assert end["commits"] == 1
    assert project.gitlink(end["head"]) == git(lib, "rev-parse", "HEAD") != project.library.commits[0]
    assert git(lib, "rev-parse", end["branch"]) == git(lib, "rev-parse", "HEAD")


def test_commits_in_a_submodule_are_there_in_the_next_run(project: Project) -> None:
    end = project.run(f"{UPDATE} && cd lib && echo two > a.c && git commit -qam two").end
    made = project.gitlink(end["head"])

    project.run("true")
    again = project.run(f"git -C lib checkout -q {made} && cat lib/a.c")

    assert "two" in again.text


def test_files_put_into_a_submodule_that_is_not_initialised_are_told(project: Project) -> None:
    end = project.run("echo x > lib/new.c").end

    assert end["commits"] == 0
    assert "the submodule lib is not initialised: files in its folder (new.c)" in end["message"]
    assert "lib" not in project.run("true").end["message"]


def test_changes_in_a_submodule_that_are_not_committed_there_are_told_and_kept(project: Project) -> None:
    end = project.run(f"{UPDATE} && echo two > lib/a.c && echo x > lib/b.c").end
    assert "Not committed in the submodule lib, and so not part of the work: a.c, b.c" in end["message"]

    files = project.run("cat lib/a.c lib/b.c; git -C lib log --format=%D --all")

    assert "one\nx\n" in files.text
    assert "Uncommitted changes in the submodule lib from before are on its branch left/" in files.end["message"]
    assert "left/" in files.text


def test_nothing_that_a_run_put_into_the_repository_of_a_submodule_is_run_or_obeyed(
    project: Project, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    attack = (
        f"{UPDATE}; M=.git/modules/lib; printf '#!/bin/sh\\ntouch {trap}\\ncat\\n' > /tmp/t$$; chmod +x /tmp/t$$;"
        f" git -C lib config filter.x.clean /tmp/t$$; git -C lib config filter.lfs.clean /tmp/t$$;"
        f" git -C lib config core.fsmonitor /tmp/t$$; git -C lib config core.hooksPath /tmp;"
        f" mkdir -p $M/hooks $M/info; cp /tmp/t$$ $M/hooks/post-checkout; echo '* filter=x' > $M/info/attributes;"
        f" echo /etc > $M/objects/info/alternates; rm -f {trap}; touch -d 2001-01-01 lib/a.c"
    )
    project.run(attack)
    module = project.place.tree / ".git/modules/lib"
    had = trap.exists()
    project.run("true")

    assert not trap.exists()
    assert not had
    assert not (module / "hooks").exists()
    assert not (module / "info/attributes").exists()
    assert not (module / "objects/info/alternates").exists()
    assert "/tmp/t" not in (module / "config").read_text()
    assert git(project.place.tree / "lib", "fsck", "--full") == ""


def test_a_submodule_whose_folder_names_a_repository_elsewhere_is_none(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    git(tmp_path, "init", "-q", str(elsewhere))

    end = project.run(f"echo 'gitdir: {elsewhere}/.git' > lib/.git").end

    assert end["commits"] == 0
    assert "The folder lib belonged to a repository elsewhere" in end["message"]
    assert not (project.place.tree / "lib/.git").exists()


def test_a_submodule_that_was_cloned_by_hand_counts_as_one(project: Project) -> None:
    end = project.run(f"git clone -q {project.library.clone} lib && cd lib && echo 2 > a.c && git commit -qam 2").end

    assert end["commits"] == 1
    assert (project.place.tree / "lib/.git").is_file()
    assert project.gitlink(end["head"]) == git(project.place.tree / "lib", "rev-parse", "HEAD")


def test_a_submodule_that_went_upstream_leaves_its_repository_and_what_only_lay_there(project: Project) -> None:
    project.run(f"{UPDATE} && echo result > lib/result.txt")
    git(project.place.clone, "rm", "-q", "lib")
    project.commit("Remove the submodule")

    files = project.run(
        "ls -A lib; git status --porcelain; git add -A; git commit -qm nothing; ls .git/modules/lib/HEAD"
    )

    assert files.end["commits"] == 0
    assert "moved to" in files.end["message"]
    assert "lib/result.txt" in files.end["message"]
    assert ".git/modules/lib/HEAD" in files.text


def test_a_submodule_is_replaced_by_a_folder_of_files_and_comes_back(project: Project) -> None:
    with_submodule = project.place.base
    project.run(UPDATE)
    git(project.place.clone, "rm", "-q", "lib")
    (project.place.clone / "lib").mkdir()
    (project.place.clone / "lib/plain.txt").write_text("plain\n")
    git(project.place.clone, "add", "lib/plain.txt")
    project.commit("Files in place of the submodule")

    files = project.run("cat lib/plain.txt; ls -A lib; echo more >> lib/plain.txt")
    assert "plain\nplain.txt\n" in files.text
    assert git(project.place.tree, "show", f"{files.end['head']}:lib/plain.txt") == "plain\nmore"

    project.place.base = with_submodule
    files = project.run("ls -A lib; git status --porcelain; echo end")
    assert files.end["commits"] == 0
    assert "plain.txt" not in files.text
    assert project.gitlink("HEAD") == project.library.commits[0]


def test_a_gitlink_without_an_entry_in_gitmodules_harms_nothing(place: Place) -> None:
    project = Project(place)
    git(place.clone, "rm", "-q", "--cached", ".gitmodules")
    (place.clone / ".gitmodules").unlink()
    project.commit("No entry")

    files = project.run("echo x > new.txt; git status --porcelain")

    assert files.end["commits"] == 1
    assert project.gitlink(files.end["head"]) == project.library.commits[0]


def test_nested_submodules_with_blanks_in_their_names_stay_from_run_to_run(place: Place) -> None:
    project = Project(place, "my lib/the lib")
    inner = Library(place.folder, "inner")
    git(project.library.clone, *LOCAL, "submodule", "add", "-q", str(inner.clone), "in side")
    git(project.library.clone, "commit", "-qam", "nested")
    git(place.clone / "my lib/the lib", *LOCAL, "pull", "-q")
    project.commit("With a nested one")
    command = f"{UPDATE} && cd 'my lib/the lib/in side' && echo 2 > a.c && git commit -qam 2 && git rev-parse HEAD"

    first = project.run(command)
    inside = first.text.split()[-1]
    assert "Not committed in the submodule my lib/the lib" not in first.end["message"]

    second = project.run(
        f"git -C 'my lib/the lib/in side' cat-file -t {inside}; git -C 'my lib/the lib' status --porcelain"
    )
    assert "commit" in second.text
    assert second.end["commits"] == 0
    place_inside = place.tree / "my lib/the lib/in side"
    assert git(place_inside, "rev-parse", "HEAD") == inner.commits[0]
    assert git(place_inside, "fsck", "--full") == ""


def test_a_damaged_repository_of_a_submodule_is_left_out_and_blocks_nothing(project: Project) -> None:
    project.run(UPDATE)
    end = project.run("find .git/modules/lib/objects -type f -delete; echo x > new.txt").end

    assert end["commits"] == 1
    assert "Incomplete in the submodule lib" in end["message"]
    assert project.run("echo y > other.txt").end["commits"] == 1


def test_damaged_objects_of_a_submodule_that_herald_brought_are_set_aside_and_come_anew(project: Project) -> None:
    def take(*options: str) -> None:
        library, commit = project.library.clone, project.library.commits[0]
        command = ["git", "-C", library, "pack-objects", "--revs", "--stdout", "-q", *options]
        pack = subprocess.run(command, input=commit.encode(), capture_output=True, check=True).stdout
        file = project.place.folder / "pack"
        file.write_bytes(pack)
        instance = project.place.instance()
        fd = os.open(file, os.O_RDWR)
        given = {"project": "pounce", "workspace": "pounce", "path": "lib", "names": ["lib"], "url": str(library)}
        instance.send("TakeSubmodule", {**given, "commit": commit, "have": [], "pack": 0}, (fd,))
        os.close(fd)
        assert instance.receive()["parameters"]["complete"]
        assert instance.wait() == 0

    take("--filter=blob:none")
    assert project.place.run("shell true", base_pack=project.place.history()).end["outcome"] == "incomplete"
    assert list((project.place.state / "agent/stores/pounce").glob("submodule-*.damaged-*"))
    take()
    assert "one\n" in project.run("cat lib/a.c").text


def test_a_killed_run_leaves_a_person_s_submodule_where_it_was(in_path: Project) -> None:
    in_path.move_upstream()
    lib = in_path.place.clone / "lib"
    git(lib, *LOCAL, "fetch", "-q")
    git(lib, "checkout", "-q", "main")
    instance, _ = in_path.place.start("shell touch begun; sleep 60")
    instance.receive()
    wait_for((in_path.place.clone / "begun").exists, "work")
    instance.process.kill()
    instance.wait()
    _kill_orphans()

    in_path.place.call("Prepare", have=[])

    assert git(lib, "symbolic-ref", "--short", "HEAD") == "main"
    assert git(lib, "rev-parse", "HEAD") == in_path.library.commits[0]


def _kill_orphans() -> None:
    """As the service manager does when the driver is gone."""
    for process in psutil.Process().children(recursive=True):
        if process.status() == psutil.STATUS_ZOMBIE or "sleep" in " ".join(process.cmdline()):
            process.kill()
            process.wait(60)


def test_a_submodule_replaced_by_a_file_is_the_agent_s_change(project: Project) -> None:
    end = project.run("rmdir lib; echo x > lib").end

    assert end["commits"] == 1
    assert (
        subprocess.run(
            ["git", "-C", project.place.tree, "show", f"{end['head']}:lib"],
            capture_output=True,
            check=True,
            env=os.environ,
        ).stdout
        == b"x\n"
    )
