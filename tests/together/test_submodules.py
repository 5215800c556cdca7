"""Submodules from a message to the card: a whole Herald over a project that has some."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import repositories
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for
from tests.support.repositories import Remote, git

LOCAL = ("-c", "protocol.file.allow=always")


class Family:
    """A project with a submodule `lib` that has one itself, `in side`."""

    def __init__(self, site: Site, object_format: str = "sha1") -> None:
        self.site, self.object_format = site, object_format
        self.outer, self.inner = self._remote("outer.git"), self._remote("inner.git")
        work = self._work("outer.git")
        git(work, *LOCAL, "submodule", "--quiet", "add", "../inner.git", "in side")
        git(work, "commit", "--quiet", "-am", "Nested")
        git(work, "push", "--quiet", "origin", "main")
        git(site.clone, *LOCAL, "submodule", "--quiet", "add", "../outer.git", "lib")
        git(site.clone, "commit", "--quiet", "-am", "With a submodule")
        git(site.clone, "push", "--quiet", "origin", "main")
        site.base = site.remote.heads()["main"]

    def _remote(self, name: str) -> Remote:
        remote = Remote(self.site.folder / name, self.object_format)
        work = self._work(name)
        work.mkdir()
        git(work, "init", "--quiet", "--initial-branch=main", f"--object-format={self.object_format}", ".")
        git(work, "remote", "add", "origin", str(remote.path))
        repositories.commit(work, {"a.c": f"{name}\n"}, "Begin")
        git(work, "push", "--quiet", "origin", "main")
        return remote

    def _work(self, name: str) -> Path:
        return self.site.folder / f"work on {name}"

    def move_upstream(self) -> str:
        """Somebody commits to the outer submodule and takes that into the project."""
        head = repositories.commit(self._work("outer.git"), {"a.c": "moved\n"}, "Moved")
        git(self._work("outer.git"), "push", "--quiet", "origin", "main")
        other = repositories.clone(self.site.remote, self.site.folder / f"other-{head[:7]}")
        git(other, "update-index", "--cacheinfo", f"160000,{head},lib")
        git(other, "commit", "--quiet", "-m", "Move lib")
        git(other, "push", "--quiet", "origin", "main")
        return head

    def configure(self, **submodules: Any) -> None:
        self.site.configure(git={"submodules": submodules})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as site:
        yield site


@pytest.fixture
def family(site: Site) -> Family:
    return Family(site)


def said(herald: Herald, command: str) -> str:
    """What a shell command of the agent answers."""
    before = len(herald.posts())
    assert herald.ended(herald.enqueue(f"shell {command}")) == "done"
    herald.idle()
    return "\n".join(post["text"] for post in herald.posts()[before:])


def test_submodules_of_submodules_are_there_and_need_no_network(family: Family) -> None:
    family.configure(init="all")
    herald = family.site.start()

    text = said(herald, "cat lib/a.c 'lib/in side/a.c'; git submodule update --recursive && git submodule status")

    assert "outer.git\ninner.git\n" in text
    assert f" {family.outer.heads()['main']} lib" in text
    family.site.herald.finish()


def test_what_the_clone_has_initialised_is_the_default_and_it_follows_upstream(family: Family) -> None:
    family.site.configure()
    herald = family.site.start()
    assert "outer.git" in said(herald, "cat lib/a.c")

    head = family.move_upstream()

    assert head in said(herald, "git -C lib rev-parse HEAD; echo x > new.txt")
    assert git(family.site.clone / "lib", "rev-parse", "HEAD") != head
    (proposal,) = herald.proposals()
    herald.vote()
    herald.idle()
    assert git(family.site.remote.path, "rev-parse", f"{proposal['branch']}:lib") == head
    herald.finish()


def test_none_leaves_them_empty(family: Family) -> None:
    family.configure(init="none")
    herald = family.site.start()
    assert "nothing: ." in said(herald, "echo nothing: $(ls -A lib).")
    herald.finish()


def test_a_submodule_that_is_not_accepted_is_told_and_stops_nothing(family: Family) -> None:
    family.configure(init="all")
    file = family.site.clone / ".gitmodules"
    git(family.site.clone, "config", "--file", str(file), "submodule.lib.url", "git@elsewhere.example:a/b.git")
    git(family.site.clone, "commit", "--quiet", "-am", "Elsewhere")
    git(family.site.clone, "push", "--quiet", "origin", "main")
    herald = family.site.start()

    text = said(herald, "echo worked > done.txt")

    assert "The submodule lib is not initialised: its address git@elsewhere.example:a/b.git is not accepted" in text
    assert len(herald.proposals()) == 1
    herald.finish()


COMMIT = "cd lib && echo mine > b.c && git add b.c && git commit -qm 'Mine in lib'"


def card_of(herald: Herald) -> str:
    return [post["text"] for post in herald.posts() if post["kind"] == "card"][-1]


def test_a_card_whose_submodule_lacks_the_commit_says_so_above_everything_and_is_not_pushed(family: Family) -> None:
    family.configure(init="all")
    herald = family.site.start()
    said(herald, COMMIT)
    (proposal,) = herald.proposals()
    commit = git(family.site.state / "worker/mirrors/sample.git", "rev-parse", f"{proposal['head']}:lib")

    first, second = card_of(herald).splitlines()[:2]
    assert first.startswith("Ready to push — 1 commit.")
    assert second.startswith(f"⚠️ Not pushable: the submodule lib is at {commit[:12]}; {family.outer.path} has it on no")
    assert "• Mine in lib" in card_of(herald)
    herald.vote()
    herald.idle()
    assert family.site.pushed() == {}
    assert "Not pushed" in card_of(herald) or "Not pushed" in "\n".join(post["text"] for post in herald.posts())
    mirrors = list((family.site.state / "worker/mirrors").glob("sample+*.git"))
    assert any(_has(mirror, commit) for mirror in mirrors)
    herald.finish(None)


def test_a_submodule_s_commits_are_pushed_first_and_a_fresh_clone_has_everything(
    family: Family, tmp_path: Path
) -> None:
    family.configure(init="all", push=True)
    herald = family.site.start()
    said(herald, "cd 'lib/in side' && echo 3 > c.c && git add c.c && git commit -qm Innermost && cd .. && git add -A &&"
         " git commit -qm Middle")  # fmt: skip
    (proposal,) = herald.proposals()
    card = card_of(herald)
    assert card.index("Pushed first: the submodule lib/in side") < card.index("Pushed first: the submodule lib at")

    herald.vote()
    herald.idle()

    branch = proposal["branch"]
    assert family.site.pushed() == {branch: proposal["head"]}
    assert branch in family.outer.heads()
    assert branch in family.inner.heads()
    fresh = tmp_path / "fresh"
    git(tmp_path, *LOCAL, "clone", "-q", "--recurse-submodules", "-b", branch, str(family.site.remote.path), str(fresh))
    assert (fresh / "lib/in side/c.c").read_text() == "3\n"
    herald.finish()


def test_a_submodule_s_remote_that_refuses_keeps_the_branch_back(family: Family) -> None:
    family.configure(init="all", push=True)
    family.outer.refuse("not today")
    herald = family.site.start()
    said(herald, COMMIT)
    herald.vote()
    herald.idle()
    assert family.site.pushed() == {}
    assert "not today" in "\n".join(post["text"] for post in herald.posts())
    herald.finish(None)


def test_a_commit_that_somebody_pushed_to_the_submodule_meanwhile_makes_the_card_pushable(family: Family) -> None:
    family.configure(init="all")
    herald = family.site.start()
    said(herald, COMMIT)
    (proposal,) = herald.proposals()
    lib = family.site.state / "agent/workspaces/sample/lib"
    git(lib, "push", "--quiet", str(family.outer.path), "HEAD:refs/heads/mine")
    herald.vote()
    herald.idle()
    assert family.site.pushed() == {proposal["branch"]: proposal["head"]}
    herald.finish()


def test_a_person_s_folder_gets_the_commit_that_its_submodule_lacks(family: Family) -> None:
    family.site.configure(workspace="path")
    herald = family.site.start()
    head = family.move_upstream()
    before = git(family.site.clone / "lib", "rev-parse", "HEAD")
    assert head in said(herald, "git -C lib rev-parse HEAD; echo x > new.txt")
    assert git(family.site.clone / "lib", "rev-parse", "HEAD") == before
    assert git(family.site.clone, "status", "--porcelain") == ""
    herald.finish()


def test_what_a_person_s_folder_does_without_is_in_the_own_clone_after_it_and_again_after_damage(
    family: Family,
) -> None:
    git(family.site.clone, "submodule", "--quiet", "deinit", "--force", "lib")
    family.site.configure(workspace="path", git={"submodules": {"init": "all"}})
    herald = family.site.start()
    assert "nothing: ." in said(herald, "echo nothing: $(ls -A lib).")

    family.configure(init="all")
    subprocess.run([*herald.heraldctl, "reload"], check=True, capture_output=True)
    assert "outer.git\ninner.git\n" in said(herald, "cat lib/a.c 'lib/in side/a.c'")

    (family.site.state / "agent/submodules/sample.json").write_text("[")
    herald.call("worker", "Reset", key="once", project="sample")
    assert "outer.git\ninner.git\n" in said(herald, "cat lib/a.c 'lib/in side/a.c'")
    herald.finish()


def test_a_task_that_continues_a_card_finds_what_it_committed_in_the_submodule(family: Family) -> None:
    family.configure(init="all")
    herald = family.site.start()
    said(herald, COMMIT)
    herald.kill("worker")
    assert "mine" in said(herald, "cat lib/b.c; echo y > other.txt")
    assert [each["commits"] for each in herald.proposals() if each["state"] == "open"] == [2]
    herald.finish(None)


def test_what_was_voted_down_is_gone_from_the_submodule_too(family: Family) -> None:
    family.configure(init="all")
    herald = family.site.start()
    said(herald, COMMIT)
    herald.vote("reject")
    herald.idle()
    lib = family.site.state / "agent/workspaces/sample/lib"
    assert git(lib, "rev-parse", "HEAD") == family.outer.heads()["main"]
    assert git(lib, "for-each-ref", "refs/heads/agent") == ""
    assert not (lib / "b.c").exists()
    herald.finish()


def test_a_kill_between_the_pushes_leaves_nothing_that_names_what_is_not_there(family: Family) -> None:
    family.configure(init="all", push=True)
    reached, go = family.outer.hold("post-receive")
    herald = family.site.start()
    said(herald, COMMIT)
    herald.vote()
    wait_for(reached.exists, "the submodule's push")
    herald.kill("git")
    assert family.site.pushed() == {}
    go.touch()
    family.outer.accept()
    herald.idle()
    (proposal,) = herald.proposals()
    assert family.site.pushed() == {proposal["branch"]: proposal["head"]}
    assert proposal["branch"] in family.outer.heads()
    herald.finish()


def test_a_submodule_that_was_renamed_upstream_is_at_its_new_place_alone(family: Family) -> None:
    family.configure(init="all")
    herald = family.site.start()
    assert "outer.git" in said(herald, "cat lib/a.c")
    other = repositories.clone(family.site.remote, family.site.folder / "other")
    (other / "vendor").mkdir()
    git(other, "mv", "lib", "vendor/my lib")
    git(other, "commit", "--quiet", "-am", "Rename")
    git(other, "push", "--quiet", "origin", "main")

    text = said(
        herald, "cat 'vendor/my lib/a.c' 'vendor/my lib/in side/a.c'; ls -A lib; git status --porcelain; echo end"
    )

    assert "outer.git\ninner.git\n" in text
    assert text.split("inner.git\n")[1].partition("end")[0].strip() in (
        "",
        "ls: cannot access 'lib': No such file or directory",
    )
    assert herald.proposals() == []
    herald.finish()


def test_submodules_whose_objects_are_named_by_sha256_work_from_end_to_end(tmp_path: Path) -> None:
    with Site(tmp_path, object_format="sha256") as site:
        family = Family(site, "sha256")
        family.configure(init="all", push=True)
        herald = site.start()
        assert "inner.git" in said(herald, f"cat 'lib/in side/a.c'; {COMMIT}")
        (proposal,) = herald.proposals()
        herald.vote()
        herald.idle()
        assert site.pushed() == {proposal["branch"]: proposal["head"]}
        assert git(family.outer.path, "show", f"{proposal['branch']}:b.c") == "mine"
        herald.finish()


def test_two_submodules_with_one_address_are_both_kept_and_a_vote_pushes_once_their_remote_has_both(
    family: Family,
) -> None:
    git(family.site.clone, *LOCAL, "submodule", "--quiet", "add", "../outer.git", "twin")
    git(family.site.clone, "commit", "--quiet", "-am", "Twice")
    git(family.site.clone, "push", "--quiet", "origin", "main")
    family.configure(init="all")
    herald = family.site.start()
    said(herald, "for each in lib twin; do (cd $each && echo $each > b.c && git add b.c && git commit -qm In-$each);"
         " done")  # fmt: skip

    card = card_of(herald)
    assert "could not be taken" not in card
    assert "• In-lib" in card
    assert "• In-twin" in card
    assert card.count("then vote") == 2
    assert "`!push`" not in card
    for name in ("lib", "twin"):
        git(family.site.tree / name, "push", "--quiet", str(family.outer.path), f"HEAD:refs/heads/mine-{name}")
    herald.vote()
    herald.idle()
    (proposal,) = herald.proposals()
    assert family.site.pushed() == {proposal["branch"]: proposal["head"]}
    mirrors = (family.site.state / "worker/mirrors").glob("sample+*.git")
    assert [git(each, "for-each-ref", "refs/runs") for each in mirrors] == ["", ""]
    herald.finish()


def test_a_workspace_that_is_still_taken_when_a_run_has_ended_is_asked_again(family: Family) -> None:
    family.configure(init="all")
    herald = family.site.start()
    begun = family.site.folder / "begun"
    task = herald.enqueue(f"shell {COMMIT}; touch {begun}; while [ -e {begun} ]; do sleep 0.02; done")
    wait_for(begun.exists, "the agent works")
    running = herald.pid("agent")
    with (family.site.state / "agent/locks/sample").open("rb+") as lock:
        begun.unlink()
        fcntl.flock(lock, fcntl.LOCK_EX)
        (asked,) = wait_for(lambda: [each for each in herald.pids("agent") if each != running], "it is asked for lib")
        wait_for(lambda: asked not in herald.pids("agent"), "it was refused")
    assert herald.ended(task) == "done"
    herald.idle()
    assert "could not be taken" not in card_of(herald)
    assert "• Mine in lib" in card_of(herald)
    herald.finish(None)


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
def test_a_card_whose_submodule_names_large_files_says_that_it_is_not_pushable(family: Family) -> None:
    family.configure(init="all", push=True)
    herald = family.site.start()
    attributes = "echo '*.bin filter=lfs -text' > .gitattributes"
    said(herald, f"cd lib && {attributes} && echo large > a.bin && git add . && git commit -qm Large")

    assert "Not pushable: the submodule lib keeps files with git-lfs" in card_of(herald).splitlines()[1]
    assert "(a.bin)" in card_of(herald)
    herald.vote()
    herald.idle()
    assert family.site.pushed() == {}
    assert "names files of git-lfs" in "\n".join(post["text"] for post in herald.posts())
    herald.finish(None)


def _has(mirror: Path, commit: str) -> bool:
    return git(mirror, "cat-file", "--batch-check=%(objecttype)", stdin=f"{commit}\n".encode()) == "commit"
