"""An own workspace as a clone of Herald's: its `.git` folder, its index, its checkouts."""

import os
import shutil
from typing import NamedTuple

from herald import durable
from herald.errors import Failed
from herald_agent import gitfolder, meddling, modulefolders, submodule_checkout, tree
from herald_agent.disarming import is_folder
from herald_agent.git import Git
from herald_agent.gitfolder import Upstream
from herald_agent.record import Record
from herald_agent.store import Store
from herald_agent.submodule_making import Making
from herald_agent.workspace import Workspace

_LONG = 300.0


class OwnClone(NamedTuple):
    """One own workspace for one act. `git` runs in its folder, confined as a run is."""

    git: Git
    workspace: Workspace
    store: Store
    record: Record
    making: Making
    upstream: Upstream = Upstream()

    def is_there(self) -> bool:
        """Whether it has been made."""
        made = os.path.isdir(self.workspace.folder) and not os.path.islink(self.workspace.folder)
        return made and bool(self.git.inside(lambda: gitfolder.is_there(self.workspace)))

    def is_gone(self) -> bool:
        """Whether somebody removed it, or everything in it, or put something else in its place."""
        return not is_folder(self.workspace.folder) or not os.listdir(self.workspace.folder)

    def make_again(self) -> None:
        """Begin anew with an empty one. Raises Failed, OSError."""
        self.record.made_anew()
        make_folder(self.workspace)
        self.seal([])

    def left_out_by_choice(self) -> set[bytes]:
        """Tracked files that the run's index passes over, as a sparse checkout does: absent, and not deleted."""
        output = self.git.attempt("ls-files", "-z", "-t", deadline=_LONG)
        return {entry[2:] for entry in output.out.split(b"\0") if entry.startswith(b"S ")}

    def seal(self, notes: list[str]) -> None:
        """Make its `.git` anew with the branches that it has. Raises Failed, OSError."""
        exclude = self.record.excluded
        sealed = gitfolder.Making(self.store.objects, is_sha256=self.store.is_sha256(), exclude=exclude)
        gitfolder.seal(
            *(self.git, self.workspace, self.store.tips(), self.upstream, sealed, notes),
            lambda: modulefolders.bring(self.git, self.making.base, notes),
        )

    def quieten(self, notes: list[str]) -> None:
        """Before git is asked about what a run left. Raises Failed, OSError."""
        found = [kind for kind in meddling.kinds(self.git, self._config) if kind not in self.record.told]
        if found:
            notes.append(meddling.sentence(found))
            self.record.told += found
        gitfolder.disarm(self.git, self._config)

    @property
    def _config(self) -> str:
        return gitfolder.config_text(is_sha256=self.store.is_sha256())

    def make(self, notes: list[str]) -> None:
        """Make what is missing of it. Raises Failed, OSError."""
        if not self.is_there():
            if self.is_gone():
                self.record.made_anew()
            make_folder(self.workspace)
            self.seal(notes)

    def check_out(self, commit: str, branch: str, notes: list[str] | None = None) -> list[str]:
        """Make the tracked files those of a commit; returns what was in the way and moved. Raises Failed, OSError."""
        self._put_index(commit)
        kept = self.workspace.kept
        moved = submodule_checkout.leave(self.git, kept, commit)
        moved += tree.bring(self.git, self.workspace, commit, branch)
        moved += submodule_checkout.bring(self.git, kept, self.making, [] if notes is None else notes)
        self.save_index()
        return moved

    def look(self, commit: str, branch: str) -> None:
        """Take the working tree for one of a commit; what differs shows as changed. Raises Failed, OSError."""
        self._put_index(commit)
        self.git("read-tree", "--reset", commit, deadline=_LONG)
        if branch:
            self.git("update-ref", f"refs/heads/{branch}", commit)
            self.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        submodule_checkout.look(self.git)

    def exclude(self, patterns: bytes) -> None:
        """Have git pass these over, until the next call. Raises OSError."""
        self.record.excluded = patterns.decode("utf-8", "surrogateescape")
        path = os.path.join(self.workspace.folder, ".git", "info", "exclude")
        self.git.inside(lambda: _write(path, patterns))

    def save_index(self) -> None:
        """Keep the index as it is now, where no run can change it. Raises OSError."""
        making = f"{self.record.index}.new"
        fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self.git.inside(lambda: _copy_from(self._index, fd))
        finally:
            os.close(fd)
        os.rename(making, self.record.index)

    @property
    def _index(self) -> str:
        return os.path.join(self.workspace.folder, ".git", "index")

    def _put_index(self, commit: str) -> None:
        """Put the kept index in place; without a good one whatever is like the commit counts as checked out."""
        try:
            fd = os.open(self.record.index, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            fd = -1
        if fd >= 0:
            try:
                self.git.inside(lambda: _copy_to(fd, self._index))
            finally:
                os.close(fd)
            if self.git.attempt("ls-files", "--cached", "--", ":(literal).git").code == 0:
                return
            durable.with_no_trace(self.record.index)
        self.git.inside(lambda: durable.with_no_trace(self._index))
        self.git("read-tree", "--reset", commit, deadline=_LONG)
        self.git.attempt("update-index", "-q", "--refresh", deadline=_LONG)


def make_folder(workspace: Workspace) -> None:
    """Make the folder of an own workspace; a link or a file in its place goes, what a link leads to stays."""
    if os.path.lexists(workspace.folder) and not is_folder(workspace.folder):
        os.unlink(workspace.folder)
    os.makedirs(workspace.folder, 0o700, exist_ok=True)


def set_aside(workspace: Workspace, record: Record) -> str:
    """Keep a workspace that cannot be used under another name; returns it. Raises OSError."""
    durable.with_no_trace(record.index)
    return durable.set_aside(workspace.folder)


def is_no_fault_of_it(error: Failed | OSError) -> bool:
    """Whether a workspace made anew would fail in the same way."""
    words = str(error)
    return "No space left" in words or "Disk quota" in words or "cannot be confined" in words


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _copy_from(path: str, fd: int) -> None:
    """In the child. The time goes along: git takes what changed after it for doubtful."""
    with open(path, "rb") as source, open(fd, "wb", closefd=False) as target:
        shutil.copyfileobj(source, target)
        found = os.fstat(source.fileno())
    os.utime(fd, ns=(found.st_mtime_ns, found.st_mtime_ns))


def _copy_to(fd: int, path: str) -> None:
    """In the child."""
    durable.with_no_trace(path)
    durable.with_no_trace(f"{path}.lock")
    with open(fd, "rb", closefd=False) as source:
        source.seek(0)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            found = os.fstat(fd)
            os.utime(target.fileno(), ns=(found.st_mtime_ns, found.st_mtime_ns))
