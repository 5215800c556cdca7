"""A project with a remote, a clone in which an agent commits, and the worker's mirror of its commits."""

from pathlib import Path

import pytest

from tests.git import unit
from tests.support import repositories
from tests.support.repositories import Remote, git


class Workbench:
    """State folder, remote and clone of the project `sample`."""

    def __init__(self, folder: Path, object_format: str = "sha1") -> None:
        self.folder, self.object_format = folder, object_format
        self.state = folder / "state"
        self.remote: Remote = repositories.remote_with_commit(folder, object_format)
        self.clone = repositories.clone(self.remote, folder / "clone")
        self.base = self.remote.heads()["main"]
        self.own = self.state / "git" / "sample.git"
        self.configure(str(self.remote.path))

    def configure(self, url: str) -> None:
        """Put a configuration into force in which the project has this remote."""
        repositories.write_snapshot(self.state, repositories.project(remote=url))

    def commit(self, text: str = "work", branch: str = "agent/sample-1") -> str:
        """A commit of the agent that the worker has imported, as it stands before a vote."""
        git(self.clone, "checkout", "--quiet", "-B", branch, self.base)
        head = repositories.commit(self.clone, {"work.txt": f"{text}\n"}, text)
        self.import_commit(self.clone, head)
        return head

    def import_commit(self, clone: Path, head: str, mirror: str = "sample") -> None:
        """The worker takes a commit into one of its mirrors."""
        there = self.state / "worker" / "mirrors" / f"{mirror}.git"
        if not there.exists():
            there.mkdir(parents=True)
            git(there, "init", "--quiet", "--bare", f"--object-format={self.object_format}", ".")
        git(there, "index-pack", "--stdin", "--fix-thin", stdin=repositories.pack(clone, head))

    def advance(self, text: str = "upstream") -> str:
        """Somebody else pushes to the remote's main."""
        git(self.clone, "checkout", "--quiet", "-B", "main", self.remote.heads()["main"])
        head = repositories.commit(self.clone, {f"{text}.txt": text}, text)
        git(self.clone, "push", "--quiet", "origin", "main")
        return head

    def fetch(self, *have: str, **variables: str) -> tuple[str, str, bytes]:
        """Fetch; returns branch, head and pack."""
        answer, pack = unit.fetch(self.state, list(have), **variables)
        return answer["branch"], answer["head"], pack

    def push(self, head: str, expected: str = "", branch: str = "agent/sample-1", **variables: str) -> tuple[str, str]:
        """Push; returns outcome and reason."""
        answer = unit.push(self.state, branch, head, expected, **variables)
        return answer["outcome"], answer["reason"]


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)
