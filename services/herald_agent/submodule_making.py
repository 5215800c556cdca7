"""Submodules that the worker brought are made in an own workspace: repository, files, configuration around it."""

import hashlib
import os
from typing import NamedTuple

from herald.snapshot import Project, Snapshot
from herald_agent import modulefolders, submodule_record
from herald_agent.git import Git
from herald_agent.modulefolders import Base, Module
from herald_agent.store import Store
from herald_agent.submodule_record import Known
from herald_agent.submodules import Submodule


class Making(NamedTuple):
    """What is known of a workspace's submodules, for one act."""

    settings: Snapshot
    project: Project
    workspace: str
    known: dict[str, Known]

    def base(self, folder: str) -> Base:
        """What Herald has of the one with this repository."""
        for each in self.known.values():
            if each.folder == folder and each.url:
                store = self.store(each)
                return Base(store.objects, tuple(store.tips())) if os.path.isdir(store.objects) else Base()
        return Base()

    def make(self, git: Git, submodule: Submodule, notes: list[str]) -> bool:
        """Initialise one if it is to be; returns whether it has a repository. Raises Failed, OSError."""
        found = self.known.get(submodule.path)
        if found is None or not is_wanted(self.project, submodule.path):
            return submodule.is_repository
        if found.url and self.store(found).holds(submodule.wanted):
            self._make_one(git, submodule, found)
            return True
        if not submodule.is_repository and not found.told:
            why = found.problem or f"its commit {submodule.wanted[:12]} did not come from the worker"
            notes.append(f"The submodule {submodule.path} is not initialised: {why}.")
            self.known[submodule.path] = found._replace(told=True)
            submodule_record.save(self.workspace, self.known)
        return submodule.is_repository

    def _make_one(self, git: Git, submodule: Submodule, found: Known) -> None:
        place, objects = git.folder, self.store(found).objects
        module = Module(found.folder, submodule.path)
        is_sha256 = len(submodule.wanted) == 64
        git.inside(lambda: modulefolders.establish(place, module, found.url, is_sha256=is_sha256, objects=objects))
        outer = found.folder.removesuffix(found.name).removesuffix("/modules/")
        around = os.path.join(place, ".git", *(("modules", outer) if outer else ()), "config")
        for field, value in (("active", "true"), ("url", found.url)):
            git("config", "--file", around, f"submodule.{found.name}.{field}", value)

    def set_aside(self, why: str) -> None:
        """Objects may be damaged: all of them come anew from the worker. Raises OSError."""
        for each in {each.url: each for each in self.known.values() if each.url}.values():
            self.store(each).set_aside(why)

    def store(self, found: Known) -> Store:
        """Where the objects of one are."""
        return Store(self.settings, self.project, f"submodule-{hashlib.sha256(found.url.encode()).hexdigest()[:12]}")


def is_wanted(project: Project, path: str) -> bool:
    """Whether the configuration wants a submodule: itself, or one that it is in."""
    chosen = project.submodules_init
    if chosen is None or chosen == ("all",):
        return True
    return any(path == each or path.startswith(f"{each}/") for each in chosen if each != "none")
