"""An own workspace: the run works in a clone of Herald's that stays, and no byte of the project's clone changes."""

import json
import shutil

import pytest

from tests.agent.place import Place, git, wait_for


def add_commit(place: Place, branch: str, name: str) -> str:
    """A commit on a branch of the workspace, made without touching its files."""
    tree = git(place.workspace, "rev-parse", f"{place.base}^{{tree}}")
    head = git(place.workspace, "commit-tree", tree, "-p", place.base, "-m", f"Add {name}")
    git(place.workspace, "update-ref", f"refs/heads/{branch}", head)
    return head


def test_the_clone_is_left_exactly_as_it_was(place: Place) -> None:
    git(place.clone, "checkout", "--quiet", "-b", "mine")
    (place.clone / "README.md").write_text("half done\n")
    (place.clone / "untracked.txt").write_text("mine\n")
    (place.clone / "staged.txt").write_text("staged\n")
    git(place.clone, "add", "staged.txt")
    before = place.clone_state()
    files = place.run("create hello.txt: hi")
    assert files.end["outcome"] == "ok"
    assert place.clone_state() == before
    assert not (place.clone / "hello.txt").exists()
    assert place.leftovers() == []


def test_the_pack_holds_the_commits_of_the_run(place: Place) -> None:
    files = place.run("create hello.txt: hi")
    assert files.end["base"] == place.base
    assert files.end["pack_bytes"] == (files.folder / "pack").stat().st_size > 0
    mirror = place.folder / "mirror.git"
    git(place.folder, "clone", "--quiet", "--bare", str(place.remote), str(mirror))
    with (files.folder / "pack").open("rb") as pack:
        git(mirror, "index-pack", "--stdin", "--fix-thin", "--strict", stdin=pack)
    assert git(mirror, "rev-list", "--count", f"{place.base}..{files.end['head']}") == "1"


def test_a_base_that_the_store_lacks_comes_with_its_pack(place: Place) -> None:
    place.run("say hi")
    other = place.folder / "other"
    git(place.folder, "clone", "--quiet", str(place.remote), str(other))
    (other / "new.txt").write_text("new\n")
    git(other, "add", "new.txt")
    git(other, "commit", "--quiet", "-m", "New on the remote")
    base = git(other, "rev-parse", "HEAD")
    pack = place.folder / "base.pack"
    with pack.open("wb") as file:
        wanted = f"{base}\n^{place.base}\n"
        import subprocess

        command = ["git", "-C", str(other), "pack-objects", "--revs", "--thin", "--stdout", "-q"]
        subprocess.run(command, input=wanted.encode(), stdout=file, check=True)
    files = place.run("create hello.txt: hi", base=base, base_pack=pack.read_bytes())
    assert files.end["outcome"] == "ok"
    assert place.show("agent/pounce-2", "new.txt") == "new"
    assert files.end["commits"] == 1


def test_a_base_that_is_not_there_is_said(place: Place) -> None:
    files = place.run("say hi", base="1" * 40)
    assert files.end["outcome"] == "incomplete"
    assert "the commit 111111111111 is not in the store of pounce" in files.end["message"]


def test_a_broken_base_pack_is_said(place: Place) -> None:
    files = place.run("say hi", base_pack=b"PACK no, not really")
    assert files.end["outcome"] == "incomplete"
    assert "index-pack" in files.end["message"]


def test_a_taken_name_gets_a_number(place: Place) -> None:
    place.run("say hi")
    head = add_commit(place, "agent/pounce-1", "person.txt")
    files = place.run("create a.txt: a", branch="agent/pounce-1")
    assert files.end["branch"] == "agent/pounce-1-2"
    assert git(place.tree, "rev-parse", "agent/pounce-1") == head
    assert place.show("agent/pounce-1-2", "a.txt") == "a"


def test_an_open_card_is_continued_on_its_branch(place: Place) -> None:
    first = place.run("create a.txt: a", branch="agent/pounce-1")
    second = place.run("create b.txt: b", branch="agent/pounce-1", base=first.end["head"])
    assert second.end["branch"] == "agent/pounce-1"
    assert second.end["commits"] == 1
    assert git(place.tree, "rev-list", "--count", f"{place.base}..agent/pounce-1") == "2"


def test_a_continued_branch_survives_a_run_without_commits(place: Place) -> None:
    first = place.run("create a.txt: a", branch="agent/pounce-1")
    place.run("say nothing to do", branch="agent/pounce-1", base=first.end["head"])
    assert git(place.tree, "rev-parse", "agent/pounce-1") == first.end["head"]


def test_what_is_left_uncommitted_is_committed_with_the_title(place: Place) -> None:
    files = place.run("shell mkdir d && echo x > d/left.txt && rm README.md", title="Fix the thing\n\nAll of it.")
    assert files.end["commits"] == 1
    assert git(place.tree, "log", "-1", "--format=%s|%b|%an", "agent/pounce-1") == "Fix the thing|All of it.\n|Pounce"
    assert git(place.tree, "ls-tree", "-r", "--name-only", "agent/pounce-1") == "d/left.txt"


def test_without_auto_commit_changes_stay_in_the_workspace_and_nothing_is_committed(place: Place) -> None:
    place.configure(auto_commit=False)
    files = place.run("create a.txt: a")  # the stand-in commits all the same
    assert files.end["outcome"] == "ok"
    assert files.end["uncommitted"] is True
    assert files.end["commits"] == 0
    assert "Uncommitted changes stay in the workspace" in files.end["message"]
    assert (place.workspace / "a.txt").read_text() == "a\n"
    assert git(place.tree, "rev-parse", "agent/pounce-1") == place.base


def test_the_next_task_goes_on_with_uncommitted_changes_and_says_so_until_they_are_committed(place: Place) -> None:
    place.configure(auto_commit=False)
    place.run("shell echo one > one; echo changed > README.md")
    head = advance(place)
    second = place.run("shell cat one README.md; echo two > two", base=head)
    assert second.text.endswith("one\nchanged\n")
    assert (second.end["base"], second.end["branch"]) == (place.base, "agent/pounce-1")
    assert "It went on with the changes that were left" in second.end["message"]
    place.configure()
    third = place.run("shell cat two", base=head)
    assert third.text.endswith("two\n")
    assert (third.end["base"], third.end["commits"]) == (place.base, 1)
    assert git(place.tree, "ls-tree", "-r", "--name-only", "agent/pounce-1").split() == ["README.md", "one", "two"]
    fourth = place.run("shell ls; cat README.md", base=head)
    assert (fourth.end["base"], fourth.text.split("model. ")[1]) == (head, "README.md\nnew.txt\nPounce\n")


def advance(place: Place) -> str:
    """Somebody commits at the remote; returns the hash."""
    (place.clone / "new.txt").write_text("new\n")
    git(place.clone, "add", "new.txt")
    git(place.clone, "commit", "--quiet", "-m", "New on the remote")
    return git(place.clone, "rev-parse", "HEAD")


def test_without_auto_commit_nothing_stays_when_nothing_changed(place: Place) -> None:
    place.configure(auto_commit=False)
    files = place.run("say hi")
    assert files.end["uncommitted"] is False
    assert place.branches() == []
    assert place.leftovers() == []


def test_only_the_runs_branch_counts_when_the_agent_switched_away(place: Place) -> None:
    command = "echo 1 > one && git add one && git commit -qm One && git checkout -q -b own && echo 2 > two && "
    files = place.run(f"shell {command} git add two && git commit -qm Two && echo 3 > three")
    assert "left branch agent/pounce-1" in files.end["message"]
    assert files.end["commits"] == 2  # One, and what was uncommitted
    names = git(place.tree, "ls-tree", "-r", "--name-only", "agent/pounce-1").splitlines()
    assert names == ["README.md", "one", "three"]


def test_a_detached_head_changes_nothing_of_that(place: Place) -> None:
    command = "echo 1 > one && git add one && git commit -qm One && git checkout -q --detach && "
    files = place.run(f"shell {command} git commit -q --allow-empty -m X")
    assert files.end["commits"] == 1
    assert "left branch agent/pounce-1" in files.end["message"]


def test_a_merge_that_the_agent_left_unfinished_is_aborted(place: Place) -> None:
    command = (
        "git checkout -q -b side && echo side > README.md && git commit -qam Side && git checkout -q - && "
        "echo ours > README.md && git commit -qam Ours && git merge side"
    )
    files = place.run(f"shell {command}")
    assert "unfinished" in files.end["message"]
    assert place.show("agent/pounce-1", "README.md") == "ours"
    assert place.leftovers() == []


@pytest.mark.parametrize("command", ["rm -rf ../pounce", "rm -rf .git", "git branch -q -m other"])
def test_an_agent_that_damages_its_own_workspace_ends_with_an_answer(place: Place, command: str) -> None:
    files = place.run(f"shell echo 1 > one && git add one && git commit -qm One && {command}")
    assert files.end["outcome"] == "ok"
    assert files.end["message"]
    again = place.run("create a.txt: a")
    assert again.end["outcome"] == "ok"
    assert again.end["commits"] == 1


def test_a_retry_continues_where_the_crash_left_off(place: Place) -> None:
    session = "0f7a3c5e-7f1d-4f5e-8f3a-0123456789ab"
    crashed = place.run("shell echo 1 > one && kill -9 $PPID", branch="agent/pounce-1", session=session)
    assert crashed.end["outcome"] == "crash"
    assert crashed.end["commits"] == 1
    retried = place.run("create two.txt: 2", branch="agent/pounce-1", session=session, resume=True)
    assert retried.end["branch"] == "agent/pounce-1"
    assert retried.end["commits"] == 2
    assert place.leftovers() == []


def test_a_retry_after_a_kill_of_the_driver_continues_in_the_same_tree(place: Place) -> None:
    instance, _ = place.start("shell echo 1 > one; touch .git/../lock-me; sleep 60", branch="agent/pounce-1")
    instance.receive()
    worktree = place.state / "agent/workspaces/pounce"
    wait_for(lambda: (worktree / "one").exists(), "work")
    instance.process.kill()
    instance.wait()
    kill_orphans()
    (worktree / ".git/index.lock").write_text("")
    retried = place.run("create two.txt: 2", branch="agent/pounce-1")
    assert retried.end["branch"] == "agent/pounce-1"
    assert retried.end["commits"] == 2
    assert place.show("agent/pounce-1", "one") == "1"
    assert place.leftovers() == []


def test_locks_of_git_commands_that_died_with_the_driver_do_not_stop_the_next_run(place: Place) -> None:
    instance, _ = place.start("shell echo 1 > one; sleep 60", branch="agent/pounce-1")
    instance.receive()
    worktree = place.state / "agent/workspaces/pounce"
    wait_for((worktree / "one").exists, "work")
    instance.process.kill()
    instance.wait()
    kill_orphans()
    names = ("index.lock", "HEAD.lock", "refs/heads/agent/pounce-1.lock", "packed-refs.lock", "config.lock")
    locks = [worktree / ".git" / name for name in names]
    for lock in locks:
        lock.write_text("")
    other = place.run("create two.txt: 2", branch="agent/pounce-9")
    assert other.end["outcome"] == "ok"
    assert place.show("agent/pounce-1", "one") == "1"
    assert not [lock for lock in locks if lock.exists()]


def test_a_workspace_that_was_removed_is_made_anew(place: Place) -> None:
    instance, _ = place.start("sleep 60", branch="agent/pounce-1")
    instance.receive()
    ready = place.state / "agent/checkouts/pounce.ready"
    wait_for(ready.exists, "the workspace")
    instance.process.kill()
    instance.wait()
    ready.unlink()
    shutil.rmtree(place.workspace)
    files = place.run("create two.txt: 2", branch="agent/pounce-1")
    assert files.end["outcome"] == "ok"
    assert place.leftovers() == []


def test_another_run_after_a_kill_finds_the_workspace_at_rest_and_loses_no_work(place: Place) -> None:
    instance, _ = place.start("shell echo 1 > one; sleep 60", branch="agent/pounce-1", title="Interrupted")
    instance.receive()
    worktree = place.state / "agent/workspaces/pounce"
    wait_for(lambda: (worktree / "one").exists(), "work")
    instance.process.kill()
    instance.wait()
    kill_orphans()
    other = place.run("create two.txt: 2", branch="agent/pounce-9")
    assert other.end["outcome"] == "ok"
    assert place.show("agent/pounce-1", "one") == "1"
    assert git(place.tree, "log", "-1", "--format=%s", "agent/pounce-1") == "Interrupted"
    assert not (worktree / "one").exists()
    retried = place.run("create three.txt: 3", branch="agent/pounce-1")
    assert retried.end["branch"] == "agent/pounce-1"
    assert retried.end["commits"] == 2


def test_a_worktree_that_was_cut_off_while_it_was_made_commits_no_deletions(place: Place) -> None:
    instance, _ = place.start("sleep 60", branch="agent/pounce-1")
    instance.receive()
    worktree = place.state / "agent/workspaces/pounce"
    ready = place.state / "agent/checkouts/pounce.ready"
    wait_for(ready.exists, "the workspace")
    instance.process.kill()
    instance.wait()
    ready.unlink()  # as if the kill had come in the middle of the checkout
    (worktree / "README.md").unlink()
    files = place.run("create two.txt: 2", branch="agent/pounce-1")
    assert files.end["commits"] == 1
    assert place.show("agent/pounce-1", "README.md") == "Pounce"


def test_a_damaged_record_is_set_aside_and_said(place: Place) -> None:
    folder = place.state / "agent/checkouts"
    folder.mkdir(parents=True)
    (folder / "pounce.json").write_text('{"going": ')
    instance, files = place.start("create a.txt: a")
    instance.receive()
    instance.receive()
    instance.wait()
    assert files.end["outcome"] == "ok"
    assert "set aside" in instance.stderr.read_text()
    assert list(folder.glob("pounce.json.damaged-*"))


def unfinished_rebase(place: Place) -> None:
    conflict(place)
    assert_fails(place, "rebase", "side")


def unfinished_merge(place: Place) -> None:
    conflict(place)
    assert_fails(place, "merge", "side")


def unfinished_cherry_pick(place: Place) -> None:
    conflict(place)
    assert_fails(place, "cherry-pick", "side")


def unfinished_bisect(place: Place) -> None:
    git(place.clone, "bisect", "start")


def conflict(place: Place) -> None:
    for branch in ("side", "ours"):
        git(place.clone, "checkout", "--quiet", "-b", branch, "main")
        (place.clone / "README.md").write_text(branch)
        git(place.clone, "commit", "--quiet", "-am", branch)


def assert_fails(place: Place, *arguments: str) -> None:
    from subprocess import CalledProcessError

    with pytest.raises(CalledProcessError):
        git(place.clone, *arguments)


def missing(place: Place) -> None:
    place.clone.rename(place.folder / "elsewhere")


def no_repository(place: Place) -> None:
    (place.clone / ".git").rename(place.folder / "elsewhere.git")


def inside_another(place: Place) -> None:
    inner = place.clone / "inner"
    inner.mkdir()
    place.configure(path=str(inner))


def bare(place: Place) -> None:
    place.configure(path=str(place.remote))


def locked_index(place: Place) -> None:
    (place.clone / ".git/index.lock").write_text("")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (missing, "is missing; clone the project there"),
        (no_repository, "is no git repository"),
        (bare, "is a bare repository"),
        (unfinished_rebase, "in the middle of a rebase; `git rebase --continue` or `--abort`"),
        (unfinished_merge, "in the middle of a merge"),
        (unfinished_cherry_pick, "in the middle of a cherry-pick"),
        (unfinished_bisect, "in the middle of a bisect; `git bisect reset`"),
        (locked_index, "index.lock is in the way"),
        (inside_another, "is no git repository"),
    ],
)
def test_an_unusable_folder_is_said_with_what_to_do_and_is_no_concern_of_an_own_workspace(
    place: Place,
    spoil,  # type: ignore[no-untyped-def]
    words: str,
) -> None:
    spoil(place)
    body = json.loads((place.state / "config/snapshot.json").read_text())["body"]["projects"]["pounce"]
    history = place.history() if place.clone.exists() and spoil != no_repository else b""
    if history:
        assert place.run("create a.txt: a", base_pack=history).end["outcome"] == "ok"
    place.configure(workspace="path", path=body["path"])
    files = place.run("create a.txt: a")
    assert files.end["outcome"] == "workspace"
    assert words in files.end["message"]
    assert files.end["head"] == ""
    assert place.leftovers() == []


def kill_orphans() -> None:
    """As the service manager does when the driver is gone."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        try:
            ended = process.status() == psutil.STATUS_ZOMBIE or "sleep" in " ".join(process.cmdline())
        except psutil.NoSuchProcess:  # it ended meanwhile
            ended = True
        if ended:
            process.kill()
            process.wait(60)
