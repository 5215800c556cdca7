"""Where each project is fetched from and pushed to: the keys `git.remote` and `git.push_url`, else what its clone said
when it was first seen.

A clone is read once, because whoever works in it can change it: a later change is told, never followed. That holds for
the folder, whatever becomes of the project's file meanwhile, so that moving the file away and back, or giving the
project another name, takes up nothing that a run has written.
"""

from typing import NamedTuple

from herald_config import clone, git_config, openings, remote_url, surroundings
from herald_config.clone import Found, shown
from herald_config.git_config import Written
from herald_config.problem import shown as shown_path
from herald_config.project_file import Project

_MOST_INCLUDES = 3
_UNREAD = "could not be read, so where it pushes to is not known"
"""Of a clone that may say DISABLED, for all that is known."""


class Kept(NamedTuple):
    """What the clone in a folder said when it was first seen there, as the clone of the project `name`."""

    name: str
    remote: str
    """empty: none, because `git.remote` was set"""
    push_url: str | None
    """empty: to the remote; None: not known, because the project is older than the question"""
    push_problem: str = ""


class Target(NamedTuple):
    """Where a project is fetched from and pushed to, as the snapshot has it."""

    remote: str = ""
    push_url: str = ""
    push_problem: str = ""


class Resolved(NamedTuple):
    """The target of each project, what is kept of each folder, and what to tell."""

    targets: dict[str, Target]
    kept: dict[str, Kept]
    notices: list[str]


def resolve(projects: tuple[Project, ...], kept: dict[str, Kept]) -> Resolved:
    """Read every clone, compare it with what is kept, and say what is in force."""
    notices: list[str] = []
    try:
        of_user = git_config.of_user()
    except git_config.Unreadable as error:
        of_user = []
        notices.append(f"your own git configuration {error}, and what it says about remotes has no effect")
    keep = dict(kept)
    targets: dict[str, Target] = {}
    for project in projects:
        look = _Look(project, kept.get(project.keys.path), of_user)
        targets[project.keys.name] = look.target
        if look.known is not None:
            keep[project.keys.path] = look.known
        file = shown_path(project.document.file)
        notices += [f"{file}: {notice}" for notice in look.notices]
    return Resolved(targets, keep, notices)


class _Look:
    """One project: `known` is what is to be kept of its folder."""

    def __init__(self, project: Project, known: Kept | None, of_user: list[Written]) -> None:
        self.notices: list[str] = []
        self._project = project
        self._path = project.keys.path
        self._key = project.keys.git.remote or ""
        self._push_key = project.keys.git.push_url or ""
        if known is not None and not known.remote and not self._key:
            known = None  # the key that stood for it was taken away: the clone decides
        self.known = known
        try:
            found = clone.read(self._path, of_user)
        except clone.NoOrigin as error:
            self._unread(error)
        else:
            self._compare(found)
        self.target = self._target()

    def _unread(self, error: clone.NoOrigin) -> None:
        unseen = not isinstance(error, clone.NoClone) or (
            surroundings.looks() and (openings.is_hidden(self._path) or openings.is_private(self._path))
        )
        known_before = self.known is not None
        if self.known is None and self._key:
            # What comes into this folder later is no word of whoever added the project. Into one that is not there yet
            # Herald clones `git.remote` itself, closed to this unit.
            remote = self._key if isinstance(error, clone.Missing) and not unseen else ""
            self.known = Kept(self._project.keys.name, remote, None if unseen else "")
        if unseen and self.known is not None and not self.known.push_problem:
            never_read = self.known.push_url is None or not (self.known.remote or self.known.push_url)
            if never_read and known_before and surroundings.is_agents_alone(self._path):
                self.known = self.known._replace(push_url="")  # of a version before, which cloned it
            elif never_read:
                self.known = self.known._replace(push_url=None, push_problem=_UNREAD)
        has_remote = self._key or (self.known and self.known.remote)
        told_elsewhere = isinstance(error, clone.Missing) and surroundings.looks()
        if has_remote and (told_elsewhere or isinstance(error, clone.OutOfSight)):
            return
        if has_remote:
            self.notices.append(f"path: {self._path} {error}; tasks fail until that is mended")
        else:
            self._no_remote(str(error))

    def _no_remote(self, reason: str) -> None:
        self.notices.append(
            f"path: {self._path} {reason}; mend that or set git.remote, then reload; until then its tasks fail"
        )

    def _compare(self, found: Found) -> None:
        if found.includes and not (self._key and self._push_key):
            self._tell_includes(found.includes)
        name = self._project.keys.name
        known = self.known
        if known is None:
            if found.fetch or self._key:
                self.known = Kept(name, found.fetch, found.push_url, found.push_problem)
            else:
                self._no_remote(found.fetch_problem)
            return
        if known.name != name:
            known = self._renamed(known, found)
            if known is None:
                return
        self._compare_fetch(known, found)
        self.known = self._compared_push(known, found)

    def _renamed(self, known: Kept, found: Found) -> Kept | None:
        """The same folder under another name: the same clone, or somebody has to say what it is."""
        if known.remote and found.fetch == known.remote:
            return known._replace(name=self._project.keys.name)
        if self._key:
            return Kept(self._project.keys.name, "", None)
        self.known = None
        before, now = shown(known.remote) or "a remote that was set", shown(found.fetch) or "nothing"
        self.notices.append(
            f"git.remote: {self._path} was the clone of project {known.name}, of {before}, and is now one of {now}; "
            "set git.remote here to say what is right; until then its tasks fail"
        )
        return None

    def _compare_fetch(self, known: Kept, found: Found) -> None:
        if self._key or not known.remote or found.fetch == known.remote:
            return
        if not found.fetch:
            self.notices.append(
                f"git.remote: {self._path} {found.fetch_problem}; in force stays {shown(known.remote)}; set git.remote "
                "here if another is right"
            )
            return
        self.notices.append(
            f"git.remote: the origin of {self._path} is now {shown(found.fetch)}, which is not followed; "
            f"in force stays {shown(known.remote)}; set git.remote here if the change is yours"
        )

    def _compared_push(self, known: Kept, found: Found) -> Kept:
        if known.push_url is None:
            as_fetched = not found.push_url and not found.push_problem
            if as_fetched or found.push_problem:
                return known._replace(push_url="", push_problem=found.push_problem)
            reason = f"has the push URL {shown(found.push_url)}, which nobody has confirmed"
            return known._replace(push_problem=reason)
        if known.push_problem and found.push_problem:
            return known._replace(push_problem=found.push_problem)
        if (known.push_url, known.push_problem) != (found.push_url, found.push_problem) and not self._push_key:
            self._tell_push(known, found)
        return known

    def _tell_push(self, known: Kept, found: Found) -> None:
        stays = shown(known.push_url or "") or "the remote"
        now = (
            f"now {found.push_problem}"
            if found.push_problem
            else f"now pushes to {shown(found.push_url) or 'its remote'}"
        )
        in_force = "nothing is pushed" if known.push_problem else f"in force stays {stays}"
        self.notices.append(
            f"git.push_url: the clone {self._path} {now}, which is not followed; {in_force}; set git.push_url here if "
            "the change is yours"
        )

    def _tell_includes(self, includes: list[str]) -> None:
        named = ", ".join(map(shown, includes[:_MOST_INCLUDES]))
        more = f" and {len(includes) - _MOST_INCLUDES} more" if len(includes) > _MOST_INCLUDES else ""
        self.notices.append(
            f"path: the git configuration of {self._path} includes {named}{more}, which is not read; if a remote is "
            "set there, set git.remote and git.push_url here"
        )

    def _target(self) -> Target:
        known = self.known or Kept("", "", "")
        remote = self._key or known.remote
        file = shown_path(self._project.document.file)
        if self._push_key == remote_url.NONE:
            problem = f"git.push_url in {file} forbids it; set it to a URL to push there"
        elif not self._push_key and known.push_problem:
            problem = (
                f"the clone {self._path} {known.push_problem}; set git.push_url in {file} to where branches may go"
            )
        else:
            url = self._push_key or known.push_url or ""
            return Target(remote, "" if url == remote else url)
        self.notices.append(f"git.push_url: nothing can be pushed: {problem}")
        return Target(remote, "", problem)
