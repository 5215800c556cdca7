"""Check: whether an agent could run here, and what would hold it."""

import os
from typing import Any

from herald import claudecode, largefiles, snapshot
from herald.snapshot import Project, Snapshot
from herald_agent import claude, environment, login, outcome, selfcheck
from herald_agent.confinement import confine, confine_to
from herald_agent.git import Git
from herald_agent.largefiles import used_in
from herald_agent.store import BASE, Store
from herald_agent.workspace import workspace_of


def check() -> dict[str, Any]:
    """Look at everything that a run needs before it has a workspace."""
    settings = snapshot.read()
    projects = [project for project in settings.projects.values() if project.enabled]
    agent, credential = _agent(), _credential()
    missing = [] if agent else [outcome.NOT_INSTALLED]
    if agent and not credential:
        missing.append(f"There is no credential for Claude. {outcome.how_to_log_in()}")
    if not any(os.access(os.path.join(folder, "git"), os.X_OK) for folder in environment.search_path().split(":")):
        missing.append("git is not installed here: `apt-get install git`.")
    missing += _about_large_files(settings, projects)
    missing += [sentence for project in projects if (sentence := _about(project))]
    one = workspace_of(projects[0], "") if projects else None
    return {
        "agent": agent,
        "credential": credential,
        "missing": missing,
        "not_held": selfcheck.not_held(settings, one, confine(settings, one) if one else confine_to(settings)),
    }


def _agent() -> str:
    return "stand-in" if claude.is_standin() else claudecode.find()


def _credential() -> str:
    """Which credential a run would use, in words."""
    if claude.is_standin():
        return "none, the stand-in needs none"
    if found := environment.add_credential({}):
        return found
    login.gather()
    return "the login of `heraldctl agent-login`" if login.is_there() else ""


def _about_large_files(settings: Snapshot, projects: list[Project]) -> list[str]:
    """What git-lfs is missing for, as far as the projects' objects are here already."""
    if largefiles.is_installed(environment.search_path()):
        return []
    named = []
    for project in projects:
        workspace = workspace_of(project, "")
        store = Store(settings, project)
        if workspace.own:
            uses = os.path.isdir(store.path) and used_in(store.git, BASE)
        else:
            git = Git(project.path, environment.git_environment(workspace), confine=confine(settings, workspace).enter)
            uses = os.path.isdir(project.path) and used_in(git, "HEAD")
        named += [project.name] if uses else []
    if not named:
        return []
    return [f"git-lfs is not installed here, and {', '.join(named)} cannot do without: {largefiles.INSTALL}."]


def _about(project: Project) -> str:
    """What is wrong with the folder that a project's agent works in, empty when nothing is."""
    if project.workspace == "own":
        return ""
    if not os.path.isdir(project.path):
        return f"The folder {project.path} of {project.name} is missing; clone the project there."
    if os.access(project.path, os.R_OK | os.W_OK | os.X_OK):
        return ""
    return (
        f"The folder {project.path} of {project.name} cannot be written by agents; `chown -R` it to the user that they "
        "run as, and see `heraldctl config check` for folders that their unit has to be let into."
    )
