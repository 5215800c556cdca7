"""A repository with a trait on its whole course: question, task, task, push, discard, reset."""

import os
import shlex
import uuid
from pathlib import Path

import pytest

from herald.errors import Conflict
from herald_agent import namespace
from herald_agent.confinement import trial
from tests.support.expectations import ATTACK, EXPECTED, TRAITS, WORKS
from tests.support.ground import IGNORED, LOCAL, Ground, branch_of, every_byte, in_place
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for
from tests.support.repositories import git, git_bytes
from tests.support.traits import NEEDS_LARGE_FILES, has_large_files


class Course:
    """One Herald over one project, and what a person does there."""

    def __init__(self, site: Site, ground: Ground, mode: str) -> None:
        self.site, self.ground, self.mode = site, ground, mode
        site.clone, site.remote, site.base = ground.clone, ground.remote, ""
        site.configure(workspace=mode)
        self.tracked = {} if mode == "own" else in_place(ground.clone)
        self.bytes = self._bytes()
        self.herald: Herald = site.start()

    def _bytes(self) -> dict[bytes, tuple[object, ...]]:
        return {path: about for place in self.ground.watched for path, about in every_byte(place).items()}

    @property
    def tree(self) -> Path:
        """Where the agent works."""
        return self.site.state / "agent/workspaces/sample" if self.mode == "own" else self.ground.clone

    def said(self, text: str) -> str:
        """Hand in a task that is done; what was posted since."""
        before = len(self.herald.posts())
        task = self.herald.enqueue(text)
        ended = self.herald.ended(task)
        self.herald.idle()
        posts = "\n".join(post["text"] for post in self.herald.posts()[before:])
        assert ended == "done", f"{ended}: {posts}"
        return posts

    def open_cards(self) -> list[int]:
        """The numbers of commits on open cards."""
        return [each["commits"] for each in self.herald.proposals() if each["state"] == "open"]

    def ask(self) -> None:
        """A question makes no commit and no card, whatever else the agent tries."""
        text = "say hi"
        if self.mode == "own" and can_be_held():
            script = self.site.folder / "attack.sh"
            script.write_text(ATTACK)
            text = f"shell P={shlex.quote(str(self.ground.clone))} sh {shlex.quote(str(script))} >/dev/null 2>&1"
        self.said(text)
        assert self.herald.proposals() == []

    def work(self) -> None:
        """A task, and a further one while the card is open."""
        self.said("create one.txt: 1")
        assert self.open_cards() == [1]
        self.said("create deeper/two.txt: 2")
        assert self.open_cards() == [2]

    def push(self, refused: str = "") -> None:
        """A vote for it: the remote has exactly that commit."""
        card = next(each for each in self.herald.proposals() if each["state"] == "open")
        if refused:
            with pytest.raises(Conflict, match=refused):
                self.herald.vote()
            assert branch_of(self.ground.arrived) == {}
            return
        self.herald.vote()
        self.herald.idle()
        assert branch_of(self.ground.arrived) == {card["branch"]: card["head"]}, self.herald.posts()[-3:]
        self._look_at(card["branch"])

    def _look_at(self, branch: str) -> None:
        """A fresh clone has what was asked for, and nothing else is changed."""
        fresh, source = self.site.folder / "fresh", str(self.ground.arrived.path)
        git(self.site.folder, *LOCAL, "clone", "--quiet", "--no-local", "--no-checkout", source, str(fresh))
        names = git_bytes(fresh, "diff", "--name-only", "-z", self.ground.head, f"origin/{branch}").split(b"\0")
        assert [each for each in names if each] == [b"deeper/two.txt", b"one.txt"]
        assert git(fresh, "show", f"origin/{branch}:deeper/two.txt") == "2"

    def discard(self) -> None:
        """A vote against it: tracked files are back, what is ignored stays."""
        before = set(os.listdir(self.tree))
        if self.mode == "own":
            names = git_bytes(self.ground.seed, "ls-tree", "--name-only", "-z", self.ground.head).split(b"\0")
            before = {".git", *filter(None, map(os.fsdecode, names))}
        changed = f"echo changed > README.md; echo x > unasked.txt; mkdir -p {IGNORED}; echo 42 > {IGNORED}/out"
        self.said(f"shell {changed}")
        card = next(each for each in self.herald.proposals() if each["state"] == "open")
        assert card["commits"] == 1
        self.herald.vote("reject")
        self.herald.idle()
        assert set(os.listdir(self.tree)) == before | {IGNORED}
        assert (self.tree / IGNORED / "out").read_text() == "42\n"
        assert card["branch"] not in git(self.tree, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")

    def check(self) -> None:
        """What is the person's is as it was."""
        if self.mode == "own":
            after = self._bytes()
            different = {path for path in self.bytes.keys() | after.keys() if self.bytes.get(path) != after.get(path)}
            assert not different, sorted(different)[:10]
            return
        now, before = in_place(self.ground.clone), dict(self.tracked)
        files, theirs = now.pop("files"), before.pop("files")
        assert isinstance(files, dict)
        assert isinstance(theirs, dict)
        assert {path: files.get(path) for path in theirs} == theirs
        assert now == before

    def reset(self) -> None:
        """What was left in the workspace is gone, and it is made anew."""
        self.herald.call("worker", "Reset", key=uuid.uuid4().hex, project="sample")
        self.herald.idle()
        wait_for(lambda: (self.tree / "README.md").exists(), "the workspace is made anew")
        wait_for(lambda: not self.herald.pids("agent"), "it is whole")
        assert not (self.tree / IGNORED).exists()

    def go(self, vote: str = "") -> None:
        """All of it."""
        self.ask()
        self.work()
        self.push(vote)
        if vote:
            self.herald.vote("reject")
            self.herald.idle()
        self.discard()
        self.check()
        self.reset()
        if self.mode == "own":
            self.check()

    def be_refused(self, words: str) -> None:
        """Every task fails before its run, with the sentence."""
        for text in ("say hi", "create one.txt: 1"):
            before = len(self.herald.posts())
            assert self.herald.ended(self.herald.enqueue(text)) == "failed"
            self.herald.idle()
            assert words in "\n".join(post["text"] for post in self.herald.posts()[before:])
        assert self.herald.proposals() == []
        self.check()


def can_be_held() -> bool:
    """Whether this machine lets a program give up writing to a folder, as the try command's agents do."""
    return trial(lambda: namespace.close_to_writing(("/proc/self/cwd",), "/nonexistent")) == 0


def run(folder: Path, trait: str, mode: str) -> None:
    """The course of a trait in a kind of workspace, or its refusal."""
    if trait in NEEDS_LARGE_FILES and not has_large_files():
        pytest.skip("git-lfs is not installed")
    expected = EXPECTED.get(trait, WORKS)
    ground = Ground(folder / "g")
    TRAITS[trait](ground)
    ground.finish()
    with Site(folder, environment={"HOME": str(ground.folder)}) as site:
        course = Course(site, ground, mode)
        refused = expected.own if mode == "own" else expected.path
        if refused:
            course.be_refused(refused)
        else:
            course.go(expected.vote)
        site.herald.finish(None)
