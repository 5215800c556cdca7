"""Workspaces: where the agents of a project work. A project's first workspace is named as the project is.

An own workspace is a clone below the agent's state that only its runs write to, and that stays from run to run. A
workspace in path mode is the project's folder, where people may work too.
"""

import os
from typing import NamedTuple

from herald.errors import Invalid
from herald.snapshot import Project
from herald_agent.locks import folder

_LONGEST_NAME = 40


class Workspace(NamedTuple):
    """One workspace. `folder` holds the files that the agent works on."""

    name: str
    project: Project
    folder: str
    own: bool

    @property
    def kept(self) -> str:
        """Where files go that were in the way of a checkout."""
        return os.path.join(folder("kept"), self.name)

    @property
    def home(self) -> str:
        """The home of its agent."""
        return folder("homes", self.name)


def store_path(project: str) -> str:
    """The folder of a project's store, with the objects that all of its own workspaces share."""
    return folder("stores", project)


def workspace_of(project: Project, name: str) -> Workspace:
    """A workspace by its name; empty stands for the project's first. Raises Invalid."""
    name = name or project.name
    if not (name.isascii() and name.replace("-", "").isalnum() and name == name.lower() and len(name) <= _LONGEST_NAME):
        raise Invalid(f"{name[:80]!r} cannot be the name of a workspace")
    if project.workspace == "path" and name == project.name:
        return Workspace(name, project, project.path, own=False)
    return Workspace(name, project, own_folder(name), own=True)


def own_folder(name: str) -> str:
    """Where the own workspace of that name is."""
    return os.path.join(folder("workspaces"), name)
