"""Submodules before a run: fetched by herald-git, judged here in a mirror for each, handed to the agent's unit.

Which ones: those of the base, as far as `git.submodules.init` says, and those in them. What cannot be had is told by
the run and stops nothing.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from asyncvarlink import FileDescriptor

from herald import journal
from herald.bus import client
from herald.errors import Busy, HeraldError, Unavailable
from herald.interfaces.agent import Agent
from herald.interfaces.git import FetchedSubmodule, Git
from herald.snapshot import Project
from herald_worker import confined_git
from herald_worker.ancestry import ancestors
from herald_worker.mirror import Mirror

_GIT_DEADLINE = 1000.0
_AGENT_DEADLINE = 300.0
_DEEPEST = 5
_MOST = 200
_OFFERS = 3
"""Empty, then a pack of what is lacking, then one of everything should the store turn out to be damaged."""

_GITLINK = b"160000"


class Wanted(NamedTuple):
    """A submodule: its path, one entry for each level, and the commit that the repository around it names."""

    path: tuple[str, ...]
    commit: str

    @property
    def joined(self) -> str:
        """The path from the top on."""
        return "/".join(self.path)


class _Brought(NamedTuple):
    """The commit that was brought last (empty: it is not there any more), and where it came from."""

    commit: str
    found: FetchedSubmodule


class Submodules:
    """Brings submodules to workspaces."""

    def __init__(self) -> None:
        self._git = client.peer(Git, _GIT_DEADLINE)
        self._agent = client.peer(Agent, _AGENT_DEADLINE)
        self._brought: dict[tuple[str, str], dict[str, _Brought]] = {}
        """By workspace and its kind, then by path."""

    async def bring(self, project: Project, workspace: str, base: str, pack: str) -> None:
        """Bring what a run at `base` is to have; `pack` is a path that may be used. Raises Busy."""
        if project.submodules_init == ("none",):
            return
        await self._look_again(project, workspace)
        level = await self._chosen(project, base)
        count = 0
        while level:
            deeper: list[Wanted] = []
            for each in level:
                count += 1
                if count > _MOST:
                    journal.warning(f"only the first {_MOST} submodules are initialised", project=project.name)
                    return
                key = await self._bring_one(project, workspace, each, pack)
                if key and len(each.path) < _DEEPEST:
                    links = await gitlinks(key, each.commit)
                    deeper += [Wanted((*each.path, path), commit) for path, commit in links.items()]
            level = deeper

    async def _look_again(self, project: Project, workspace: str) -> None:
        """Forget what the workspace lacks of what was brought: a record or objects may have been damaged. Raises
        Busy."""
        brought = self._brought.setdefault((workspace, project.workspace), {})
        wanted = [f"{each.commit} {path}" for path, each in brought.items() if each.commit][:_MOST]
        if not wanted:
            return
        try:
            held = (await self._agent.ListSubmodules(project=project.name, workspace=workspace, wanted=wanted))["held"]
        except Busy:
            raise
        except HeraldError as error:
            journal.warning(f"the submodules cannot be looked at: {error.message}", project=project.name)
            held = []
        for path, each in brought.items():
            if f"{each.commit} {path}" not in held:
                brought[path] = each._replace(commit="")

    async def _chosen(self, project: Project, base: str) -> list[Wanted]:
        links = await gitlinks(project.name, base)
        chosen = project.submodules_init
        if chosen is None:
            named = await paths_of(project.name, base) if links and project.submodules_found else {}
            paths = {path for name, path in named.items() if name in project.submodules_found}
            return [Wanted((path,), commit) for path, commit in links.items() if path in paths]
        if chosen == ("all",):
            return [Wanted((path,), commit) for path, commit in links.items()]
        tops = [path for path in links if any(each == path or each.startswith(f"{path}/") for each in chosen)]
        return [Wanted((path,), links[path]) for path in tops]

    async def _bring_one(self, project: Project, workspace: str, wanted: Wanted, pack: str) -> str:
        """Bring one; returns the name of its mirror, empty when it cannot be had."""
        brought = self._brought.setdefault((workspace, project.workspace), {})
        last = brought.get(wanted.joined)
        key = key_of(project.name, last.found["url"]) if last else ""
        if last and last.commit == wanted.commit:
            return key
        try:
            if last and await Mirror(key).has(wanted.commit):  # also one that only an open card has
                found = last.found
            else:
                found = await self._fetched(project, wanted, key, pack)
            key = key_of(project.name, found["url"])
            await self._hand_over(project, workspace, wanted, found, pack)
        except Busy:
            raise
        except HeraldError as error:
            journal.warning(f"the submodule {wanted.joined} is not initialised: {error.message}", project=project.name)
            await self._tell(project, workspace, wanted, error.message, pack)
            return ""
        brought[wanted.joined] = _Brought(wanted.commit, found)
        return key

    async def _fetched(self, project: Project, wanted: Wanted, key: str, pack: str) -> FetchedSubmodule:
        """Fetch one into its mirror; `key` is the mirror that it had before, if that is known."""
        have = await Mirror(key).known() if key else []
        with _opened(pack) as fd:
            found = await self._git.FetchSubmodule(
                project=project.name,
                path=list(wanted.path),
                commit=wanted.commit,
                have=have,
                pack=FileDescriptor(fd),
            )
        now = key_of(project.name, found["url"])
        if key not in ("", now):  # it comes from elsewhere now, and what was offered says nothing
            return await self._fetched(project, wanted, "", pack)
        await Mirror(now).import_base(pack, wanted.commit)
        return found

    async def _hand_over(
        self, project: Project, workspace: str, wanted: Wanted, found: FetchedSubmodule, pack: str
    ) -> None:
        mirror = Mirror(key_of(project.name, found["url"]))
        have = await ancestors(mirror, wanted.commit)
        with _opened(pack) as fd:
            for _ in range(_OFFERS):
                taken = await self._agent.TakeSubmodule(
                    project=project.name,
                    workspace=workspace,
                    path=wanted.joined,
                    names=found["names"],
                    url=found["url"],
                    commit=wanted.commit,
                    have=have,
                    pack=FileDescriptor(fd),
                )
                if taken["complete"]:
                    return
                held = [each for each in have if each in taken["held"]]
                await mirror.export(wanted.commit, held[0] if held else "", pack)
        raise Unavailable(f"the workspace {workspace} did not take the submodule {wanted.joined}")

    async def _tell(self, project: Project, workspace: str, wanted: Wanted, problem: str, pack: str) -> None:
        with _opened(pack) as fd:
            await self._agent.TakeSubmodule(
                project=project.name,
                workspace=workspace,
                path=wanted.joined,
                names=[],
                url="",
                commit=wanted.commit,
                have=[],
                pack=FileDescriptor(fd),
                problem=problem,
            )


def key_of(project: str, url: str) -> str:
    """The name of the mirror of a submodule, by where it comes from."""
    return f"{project}+{hashlib.sha256(url.encode()).hexdigest()[:12]}"


async def gitlinks(mirror: str, commit: str) -> dict[str, str]:
    """The gitlinks of a commit in a mirror: path and commit. None is looked for where there is no `.gitmodules`."""
    if not await _gitmodules(mirror, commit):
        return {}
    outcome = await _git(mirror, "ls-tree", "-r", "-z", "--full-tree", commit)
    found = {}
    for line in outcome.out.split(b"\0"):
        words, _, path = line.partition(b"\t")
        if words.startswith(_GITLINK):
            found[os.fsdecode(path)] = words.split(b" ")[2].decode()
    return {path: link for path, link in found.items() if path.isprintable()}


async def paths_of(mirror: str, commit: str) -> dict[str, str]:
    """The paths of submodules by their names in `.gitmodules`."""
    return await named(mirror, commit, "path")


async def named(mirror: str, commit: str, wanted: str) -> dict[str, str]:
    """What `.gitmodules` of a commit says of submodules, `path` or `url`, by their names.

    Nothing where there is none or git cannot read it.
    """
    outcome = await _git(mirror, "config", "--blob", f"{commit}:.gitmodules", "--no-includes", "--null", "--list")
    found = {}
    for entry in outcome.out.decode("utf-8", "replace").split("\0"):
        key, _, value = entry.partition("\n")
        name, _, field = key.removeprefix("submodule.").rpartition(".")
        if field == wanted and name:
            found[name] = value
    return found


async def _gitmodules(mirror: str, commit: str) -> bool:
    return (await _git(mirror, "cat-file", "-e", f"{commit}:.gitmodules")).code == 0


async def _git(mirror: str, *arguments: str) -> confined_git.Outcome:
    return await confined_git.run(f"--git-dir={Mirror(mirror).path}", *arguments)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
