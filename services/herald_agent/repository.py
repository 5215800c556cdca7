"""The clone of a project: whether it can be worked in, what its branches are, and commits in and out as packs."""

import os
import time
from collections.abc import Iterable

from herald import fsck
from herald.snapshot import Project
from herald_agent.git import Git, refused
from herald_agent.inside import Unusable
from herald_agent.ownclone import OwnClone

_UNFINISHED = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisect",
}
"""Files in the git folder that exist while an act of several steps is unfinished."""

_LOCK_PATIENCE = 2.0
"""Seconds in which a git command of somebody else may release the index."""

_OWN = "; or say `!own`, and the agent works in a clone of its own from then on"
"""The way out that chat has, whatever the state of a person's folder."""

_LONG = 300.0
"""Seconds for what grows with the size of the repository."""


class Repository:
    """A clone that was checked. `git` runs in its folder; `own` is set where it is Herald's own."""

    def __init__(
        self, git: Git, git_folder: str, own: OwnClone | None = None, fsck_accept: tuple[str, ...] = ()
    ) -> None:
        self.git = git
        self._fsck_accept = fsck_accept
        self.git_folder = git_folder
        self.own = own

    def unstoppable(self) -> "Repository":
        """The same, for what must be finished although the unit was told to stop."""
        git = self.git.unstoppable()
        return Repository(git, self.git_folder, self.own and self.own._replace(git=git), self._fsck_accept)

    @property
    def folder(self) -> str:
        """The project's folder."""
        return self.git.folder

    def require_rest(self) -> None:
        """Raises Unusable while an act is unfinished or the index is locked."""
        check_rest(self.folder, self.git_folder)

    def branches(self, prefix: str = "") -> dict[str, str]:
        """Branches whose names begin with the prefix, and their commits."""
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/").splitlines()
        pairs = (line.split(" ", 1) for line in lines)
        found = {name.removeprefix("refs/heads/"): head for head, name in pairs}
        return {name: head for name, head in found.items() if name.startswith(prefix)}

    def known(self, hashes: Iterable[str]) -> list[str]:
        """Those of the hashes that are commits here."""
        answer = self.git("cat-file", "--batch-check=%(objectname) %(objecttype)", given="\n".join(hashes) + "\n")
        return [line.split(" ")[0] for line in answer.splitlines() if line.endswith(" commit")]

    def import_pack(self, fd: int) -> None:
        """Take the objects of a pack. Raises Failed."""
        os.lseek(fd, 0, os.SEEK_SET)
        check = fsck.for_index_pack(self._fsck_accept)
        output = self.git.attempt("index-pack", "--stdin", "--fix-thin", check, stdin=fd, deadline=_LONG)
        if output.code != 0:
            raise refused("index-pack", output)

    def export_pack(self, heads: Iterable[str], have: Iterable[str], fd: int) -> int:
        """Write a thin pack of what `heads` has and `have` lacks, durably; returns its size. Raises Failed."""
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        wanted = "".join(f"{head}\n" for head in heads) + "".join(f"^{commit}\n" for commit in have)
        output = self.git.attempt(
            "pack-objects", "--revs", "--thin", "--stdout", "-q", given=wanted, stdout=fd, deadline=_LONG
        )
        if output.code != 0:
            raise refused("pack-objects", output)
        os.fsync(fd)
        return os.fstat(fd).st_size


def open_own(own: OwnClone, notes: list[str]) -> Repository:
    """An own workspace, made if it is not there. Raises Failed, OSError."""
    own.make(notes)
    return Repository(own.git, os.path.join(own.workspace.folder, ".git"), own)


def open_repository(project: Project, git: Git) -> Repository:
    """The clone at a project's path. Raises Unusable with what to do."""
    path = git.folder
    if not os.path.isdir(path):
        raise Unusable(f"the folder {path} of {project.name} is missing; clone the project there")
    output = git.attempt("rev-parse", "--is-bare-repository", "--show-cdup", "--absolute-git-dir")
    if output.code != 0:
        raise Unusable(_no_repository(path, output.err.decode("utf-8", "replace")))
    bare, _, rest = output.out.decode("utf-8", "surrogateescape").rstrip("\n").partition("\n")
    if bare == "true":  # and git says nothing of files
        raise Unusable(f"{path} is a bare repository; {project.name} needs a clone with files")
    elsewhere, _, git_folder = rest.partition("\n")
    if elsewhere:
        files = os.path.normpath(os.path.join(path, elsewhere))
        raise Unusable(
            f"the files of {path} are in {files}; set `path` of {project.name} to that folder, or say `!own`"
        )
    return Repository(git, git_folder, fsck_accept=project.fsck_accept)


def _no_repository(path: str, words: str) -> str:
    if "dubious ownership" in words:
        return f"{path} belongs to another user; `chown -R` it to the user that agents run as{_OWN}"
    last = words.strip().splitlines()[-1:] or ["git does not say why"]
    if (elsewhere := last[0].partition("not a git repository: ")[2]) and os.path.isfile(os.path.join(path, ".git")):
        return f"the git folder of {path} is {elsewhere}, which agents cannot reach; use a clone that has its own{_OWN}"
    return f"{path} is no git repository ({last[0].removeprefix('fatal: ')}); clone the project there"


def check_rest(folder: str, git_folder: str) -> None:
    """Raises Unusable while an act is unfinished in this working folder or its index is locked."""
    for name, act in _UNFINISHED.items():
        if os.path.lexists(os.path.join(git_folder, name)):
            command = act.rpartition(" ")[2]
            ways = "`git bisect reset` ends" if command == "bisect" else f"`git {command} --continue` or `--abort` ends"
            raise Unusable(f"{folder} is in the middle of {act}; {ways} it, then send the task again{_OWN}")
    lock = os.path.join(git_folder, "index.lock")
    until = time.monotonic() + _LOCK_PATIENCE
    while os.path.lexists(lock):
        if time.monotonic() >= until:
            raise Unusable(f"{lock} is in the way; if no git command is going there, remove it{_OWN}")
        time.sleep(0.05)  # another program's lock announces nothing


def end_unfinished(git: Git, git_folder: str) -> list[str]:
    """Abort what the agent left in the middle of; returns what that was."""
    found = unfinished(git, git_folder)
    for name in found:
        command = _UNFINISHED[name].rpartition(" ")[2]
        git.attempt(command, "reset" if command == "bisect" else "--abort")
    return [_UNFINISHED[name] for name in found]


def unfinished(git: Git, git_folder: str) -> list[str]:
    """The files that tell of acts of several steps which are not at their end."""
    found: list[str] = git.inside(lambda: [name for name in _UNFINISHED if _is_in(git_folder, name)])
    return found


def _is_in(git_folder: str, name: str) -> bool:
    return os.path.lexists(os.path.join(git_folder, name))
