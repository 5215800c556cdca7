"""Prepare: what the clone of a project holds of its agents' work."""

from typing import Any

from herald import snapshot
from herald.errors import Invalid
from herald_agent import locks
from herald_agent.confinement import confine
from herald_agent.environment import git_environment
from herald_agent.git import Git
from herald_agent.record import Record
from herald_agent.reference import check_hash
from herald_agent.repository import open_repository
from herald_agent.workspace import recover


def prepare(parameters: dict[str, Any]) -> dict[str, Any]:
    """Check the workspace, list the branches of agents, and pack what the caller lacks of them.

    Raises Busy while an agent is at work there, Conflict when the workspace cannot be used.
    """
    settings = snapshot.read()
    project = settings.project(parameters["project"])
    have = parameters["have"]
    if not all(check_hash(commit) for commit in have):
        raise Invalid("have must be full hashes of commits")
    locks.take_workspace(project.name)
    confinement = confine(settings, project)
    repository = open_repository(project, Git(project.path, git_environment(project), confine=confinement.enter))
    recover(project, repository, Record(project.name))
    repository.require_rest()
    branches = repository.branches(project.branch_prefix)
    known = repository.known(have) if have else []
    size = 0
    if set(branches.values()) - set(known):
        size = repository.export_pack(branches.values(), known, parameters["pack"])
    return {"branches": [{"name": name, "head": head} for name, head in branches.items()], "pack_bytes": size}
