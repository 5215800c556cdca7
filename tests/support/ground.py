"""Where a repository with a trait is made as a person would bring it: a remote, and a person's clone of it.

A trait is a function that gets a `Ground` and makes both. What it leaves out is done for it: `finish` pushes what was
committed and clones it.
"""

import os
import shutil
import stat
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support import repositories
from tests.support.repositories import Remote, git

LOCAL = ("-c", "protocol.file.allow=always")
"""For git commands that clone a submodule from a folder."""

IGNORED = "kept"
"""A folder that the history ignores, in every trait."""


class Ground:
    """A folder with `remote`, `seed` (where the history is made) and `clone` (a person's), all with the same branch."""

    def __init__(self, folder: Path, name: str = "sample") -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.clone = folder / name
        self.pushed_to: Remote | None = None
        """Where branches are to arrive, when it is not the remote."""
        self.watched: list[Path] = [self.clone]
        """What makes up the clone: all of it stays as it is."""
        self.begin()

    def begin(self, object_format: str = "sha1", branch: str = "main") -> None:
        """A new remote with one commit, and the clone `seed` in which it was made."""
        self.branch = branch
        self.remote = self.another("remote.git", object_format)
        self.seed = self.folder / "seed"
        shutil.rmtree(self.seed, ignore_errors=True)
        self.seed.mkdir()
        git(self.seed, "init", "--quiet", f"--initial-branch={branch}", f"--object-format={object_format}", ".")
        git(self.seed, "remote", "add", "origin", str(self.remote.path))
        self.commit({"README.md": "A sample.\n", ".gitignore": f"/{IGNORED}/\n.env\n"}, "Begin")
        git(self.remote.path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")

    def another(self, name: str, object_format: str = "sha1") -> Remote:
        """A further remote, empty."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return Remote(self.folder / name, object_format)

    def write(self, files: Mapping[str, str | bytes], folder: Path | None = None) -> None:
        """Write files below `seed`, or a folder."""
        for name, data in files.items():
            path = (folder or self.seed) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode() if isinstance(data, str) else data)

    def commit(self, files: Mapping[str, str | bytes], message: str = "More") -> str:
        """Write files into `seed` and commit all that is there, byte for byte; returns the hash."""
        self.write(files)
        git(self.seed, "-c", "core.autocrlf=false", "add", "--all")
        git(self.seed, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(self.seed, "rev-parse", "HEAD")

    def commit_blobs(self, files: Mapping[str, bytes], message: str = "As they are") -> str:
        """Commit files whose bytes no filter has seen, whatever the attributes say."""
        for name, data in files.items():
            made = git(self.seed, "hash-object", "-w", "--stdin", "--no-filters", stdin=data)
            git(self.seed, "update-index", "--add", "--cacheinfo", f"100644,{made},{name}")
        git(self.seed, "commit", "--quiet", "--message", message)
        git(self.seed, "reset", "--quiet", "--hard")
        return git(self.seed, "rev-parse", "HEAD")

    def push(self) -> None:
        """What was committed, to the remote."""
        git(self.seed, "push", "--quiet", "--no-verify", "--force", "origin", f"HEAD:refs/heads/{self.branch}")

    def cloned(self, *options: str, source: str = "") -> Path:
        """The person's clone, of what was committed so far, unless another trait has made it."""
        self.push()
        if self.clone.exists():
            return self.clone
        git(
            self.folder,
            *LOCAL,
            "clone",
            "--quiet",
            "--no-hardlinks",
            *options,
            source or str(self.remote.path),
            str(self.clone),
        )
        return self.clone

    def finish(self) -> None:
        """Do what the trait left out."""
        if not self.clone.exists():
            self.cloned()
        (self.remote.path / "updates.log").unlink(missing_ok=True)

    def settings_of_person(self, text: str) -> None:
        """What the person's own git configuration holds."""
        (self.folder / ".gitconfig").write_text(text)

    def hook(self, folder: Path, name: str, script: str = "exit 1") -> None:
        """A hook, a shell script."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    @property
    def head(self) -> str:
        """The default branch at the remote."""
        return self.remote.heads()[self.branch]

    @property
    def arrived(self) -> Remote:
        """Where branches arrive."""
        return self.pushed_to or self.remote


def together(*traits: Callable[[Ground], None]) -> Callable[[Ground], None]:
    """Traits that have nothing to do with each other, in one repository."""

    def make(ground: Ground) -> None:
        for each in traits:
            each(ground)

    return make


def every_byte(folder: Path) -> dict[bytes, tuple[object, ...]]:
    """Everything below a folder: kind, mode, time of change, number on the disk, owner, and content."""
    found: dict[bytes, tuple[object, ...]] = {}
    for place, folders, names in os.walk(os.fsencode(folder)):
        for name in (b".", *folders, *names):
            path = os.path.join(place, name)
            status = os.lstat(path)
            content: bytes | int = b""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = zlib.crc32(Path(os.fsdecode(path)).read_bytes())
            about = (status.st_mode, status.st_mtime_ns, status.st_ino, status.st_uid, status.st_nlink, status.st_size)
            found[path] = (*about, content)
    return found


def in_place(clone: Path) -> dict[str, object]:
    """What a run in a person's folder may not change: files, index, HEAD, refs but the agent's, stash, settings."""
    folder = Path(git(clone, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    own = Path(git(clone, "rev-parse", "--absolute-git-dir"))
    refs = git(clone, "for-each-ref", "--format=%(refname) %(objectname) %(symref)").splitlines()
    files = {path: (about[0], about[-1]) for path, about in every_byte(clone).items() if b"/.git/" not in path}
    pointers = ("HEAD", "config.worktree", "shallow", "info/exclude", "info/sparse-checkout", "logs/refs/stash")
    return {
        "files": {path: about for path, about in files.items() if not stat.S_ISDIR(int(str(about[0])))},
        "index": _index(clone),
        "refs": [line for line in refs if " refs/heads/agent/" not in f" {line}"],
        **{name: _content(own / name) or _content(folder / name) for name in pointers},
        "config": _content(folder / "config").replace(b"[lfs]\n\trepositoryformatversion = 0\n", b""),  # git-lfs's own
        "hooks": every_byte(folder / "hooks"),
    }


def _index(clone: Path) -> list[bytes]:
    """Entries of the index, with their flags."""
    return repositories.git_bytes(clone, "ls-files", "-s", "-v", "-z").split(b"\0")


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def branch_of(remote: Remote) -> dict[str, str]:
    """The branches of agents at a remote."""
    return {name: head for name, head in remote.heads().items() if name.startswith("agent/")}


def object_count(repository: Path) -> int:
    """Objects in a repository, packed or loose."""
    lines = repositories.git(repository, "count-objects", "-v").splitlines()
    counts = dict(line.split(": ") for line in lines)
    return int(counts["count"]) + int(counts["in-pack"])
