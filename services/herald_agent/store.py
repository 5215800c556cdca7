"""The store of a project: the objects of the remote's history, once for all of its own workspaces.

Only the driver writes it, from packs of the worker; runs may read it. A workspace names it as its only alternate.
"""

import os

from herald import durable, journal
from herald.errors import Failed
from herald.snapshot import Project, Snapshot
from herald_agent import locks, process
from herald_agent.confinement import confine_to
from herald_agent.environment import HERALDS_GIT, search_path
from herald_agent.git import SLOWEST, Git, refused
from herald_agent.inside import Unusable
from herald_agent.workspace import store_path

_LONG = 1000.0
"""Seconds for what grows with the size of the repository."""

_MOST_PACKS = 50
BASE = "refs/heads/base"

_CONFIG = """[core]
\trepositoryformatversion = {version}
\tbare = true
\thooksPath = /dev/null
\tbigFileThreshold = 16m
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"


class Incomplete(Unusable):
    """A commit, or what belongs to it, is not in the store; the worker hands over all of it the next time."""


def config_text(is_sha256: bool) -> str:
    """The configuration of a bare repository of that format."""
    return _CONFIG.format(version=int(is_sha256)) + (_SHA256 if is_sha256 else "")


class Store:
    """A project's store, for one act. Raises Busy while another one writes it."""

    def __init__(self, settings: Snapshot, project: Project, name: str = "base") -> None:
        self.project = project.name
        self.path = os.path.join(store_path(project.name), f"{name}.git")
        self.objects = os.path.join(self.path, "objects")
        environment = {"PATH": search_path(), "HOME": "/nonexistent", "LANG": "C.UTF-8", **HERALDS_GIT}
        confinement = confine_to(settings, (store_path(project.name),))
        self.git = Git(self.path, {**environment, "GIT_CONFIG_NOSYSTEM": "1"}, confine=confinement.enter)

    def take(self, pack: int, base: str) -> None:
        """Take what the pack holds; `base` must be there then. Raises Incomplete, Failed, Busy."""
        lock = locks.take_store(self.project)
        try:
            self._prepare(is_sha256=len(base) == 64)
            if os.fstat(pack).st_size:
                self._import(pack)
            git = self.git
            if git.commit_of(base) != base:
                self._set_aside_if_damaged()
                raise Incomplete(f"the commit {base[:12]} is not in the store of {self.project}")
            git("update-ref", BASE, base)
            self._tidy(git)
        finally:
            os.close(lock)

    def holds(self, commit: str) -> bool:
        """Whether a commit is here."""
        return os.path.isdir(self.path) and self.git.commit_of(commit) == commit

    def is_sha256(self) -> bool:
        """The format of its objects; false while there is none."""
        try:
            return b"sha256" in durable.read_limited(os.path.join(self.path, "config"), 4096)
        except OSError:
            return False

    def tips(self) -> list[str]:
        """Commits that are here for certain."""
        git = self.git
        return git("for-each-ref", "--format=%(objectname)").splitlines() if os.path.isdir(self.path) else []

    def set_aside(self, why: str) -> None:
        """What is damaged is kept under another name, and made anew from the worker's next pack."""
        if os.path.lexists(self.path):
            aside = durable.set_aside(self.path)
            journal.error(f"the store {self.path} is damaged ({why}); it is now {aside}", project=self.project)

    def _prepare(self, *, is_sha256: bool) -> None:
        config = os.path.join(self.path, "config")
        text = config_text(is_sha256)
        if os.path.isdir(self.objects):
            try:
                if durable.read_limited(config, 4096).decode() == text:
                    self._sweep()
                    return
            except (OSError, ValueError):
                pass
            self.set_aside("it has another format")
        elif os.path.lexists(self.path):
            self.set_aside("it is incomplete")
        making = f"{self.path}.new"
        process.remove_tree(making)
        for each in ("objects/pack", "objects/info", "refs/heads", "info"):
            os.makedirs(os.path.join(making, each), 0o700)
        for name, content in (("HEAD", "ref: refs/heads/base\n"), ("config", text)):
            with open(os.path.join(making, name), "w", encoding="ascii") as file:
                file.write(content)
        os.rename(making, self.path)
        durable.sync_folder(os.path.dirname(self.path))

    def _sweep(self) -> None:
        """Remove what an import that was killed left."""
        packs = os.path.join(self.objects, "pack")
        for name in os.listdir(packs):
            if name.startswith("tmp_"):
                durable.with_no_trace(os.path.join(packs, name))

    def _import(self, pack: int) -> None:
        os.lseek(pack, 0, os.SEEK_SET)
        deadline = _LONG + os.fstat(pack).st_size / SLOWEST
        output = self.git.attempt("index-pack", "--stdin", "--fix-thin", stdin=pack, deadline=deadline)
        if output.code == 0:
            return
        if b"No space left on device" in output.err:
            raise Failed("the disk of the agents' state is full; free some space, then send the task again")
        self._set_aside_if_damaged()
        raise Incomplete(f"what came from the worker could not be taken: {refused('index-pack', output).message}")

    def _set_aside_if_damaged(self) -> None:
        """A pack that is the same as a damaged one would not replace it."""
        git = self.git
        if git.attempt("show-ref", "--quiet", "--verify", BASE).code and not self._has_packs():
            return
        whole = git.attempt("rev-list", "--objects", "--quiet", BASE, deadline=_LONG)
        if whole.code:
            self.set_aside(f"its history is not whole: {refused('rev-list', whole).message}")

    def _has_packs(self) -> bool:
        return any(name.endswith(".pack") for name in os.listdir(os.path.join(self.objects, "pack")))

    def _tidy(self, git: Git) -> None:
        """Join small packs once there are many; drops nothing, so that runs may read meanwhile."""
        packs = [name for name in os.listdir(os.path.join(self.objects, "pack")) if name.endswith(".pack")]
        if len(packs) > _MOST_PACKS:
            git("repack", "--geometric=2", "-d", "--quiet", deadline=_LONG)
