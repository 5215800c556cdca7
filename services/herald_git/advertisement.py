"""What a remote advertises: its branches and which of them is the default."""

from typing import NamedTuple

from herald.errors import Conflict
from herald_git import command
from herald_git.remote import Remote
from herald_git.repository import Repository, RepositoryError

_BRANCHES = "refs/heads/"
_CUSTOMARY = ("main", "master")


class Default(NamedTuple):
    """The remote's default branch and its head."""

    branch: str
    head: str


class Advertisement(NamedTuple):
    """The remote's answer. `raw` also names the remote, so that it can be compared as a whole."""

    raw: bytes
    symbolic: str
    """Branch that HEAD names, empty if the remote doesn't say."""
    detached: str
    """Hash that HEAD has, empty if HEAD names a branch that isn't there yet."""
    branches: dict[str, str]

    def default(self) -> Default:
        """The default branch. Raises Conflict when there is none to be told."""
        if not self.branches:
            raise Conflict("the remote has no branch yet; push a first commit to it (git push origin HEAD:main)")
        for name in (self.symbolic, *self._candidates()):
            if name in self.branches:
                return Default(name, self.branches[name])
        raise Conflict("the remote's HEAD names no branch that exists; set its default branch")

    def _candidates(self) -> list[str]:
        names = [*_CUSTOMARY, *self.branches]
        if self.detached:
            return [name for name in names if self.branches.get(name) == self.detached]
        return names if len(self.branches) == 1 else list(_CUSTOMARY)


def ask(own: Repository, origin: Remote, *patterns: str) -> Advertisement:
    """Ask the remote for HEAD and its branches, or for those that match alone."""
    outcome = own.git(
        *("ls-remote", "--symref", "--quiet", "--", origin.url, "HEAD", *(patterns or (f"{_BRANCHES}*",))),
        seconds=command.limits().look,
        environment=origin.environment(),
    )
    if outcome.code:
        raise origin.refusal(outcome.words) or RepositoryError(outcome.words)
    return parse(origin.url.encode() + b"\n" + outcome.out)


def parse(raw: bytes) -> Advertisement:
    """Read the lines of `git ls-remote --symref`, the first line being the remote's name."""
    symbolic = detached = ""
    branches: dict[str, str] = {}
    for line in raw.decode(errors="replace").split("\n")[1:]:
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: "):
            symbolic = value.removeprefix("ref: ").removeprefix(_BRANCHES)
        elif name == "HEAD":
            detached = value
        elif name.startswith(_BRANCHES):
            branches[name.removeprefix(_BRANCHES)] = value
    return Advertisement(raw, symbolic, detached, branches)
