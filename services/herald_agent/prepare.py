"""Prepare: what a workspace holds of its agents' work."""

from typing import Any

from herald import snapshot
from herald.errors import Invalid
from herald_agent import largefiles, locks, submodule_heads
from herald_agent.access import access
from herald_agent.opening import recover
from herald_agent.reference import check_hash
from herald_agent.workspace import workspace_of


def prepare(parameters: dict[str, Any]) -> dict[str, Any]:
    """Check the workspace, list the branches of agents, and pack what the caller lacks of them.

    `also` names further branches. `every`: all branches, and what else of an own workspace would be lost with it.

    Raises Busy while an agent is at work there, Conflict when the workspace cannot be used.
    """
    settings = snapshot.read()
    project = settings.project(parameters["project"])
    have = parameters["have"]
    if not all(check_hash(commit) for commit in have):
        raise Invalid("have must be full hashes of commits")
    workspace = workspace_of(project, parameters["workspace"])
    locks.take_workspace(workspace.name)
    reached = access(settings, workspace)
    repository = reached.repository_if_there()
    if repository is None:
        return {"branches": [], "pack_bytes": 0, "submodules": [], "large_files": False}
    recover(workspace, repository, reached.record)
    every, also = parameters["every"], set(parameters["also"])
    branches = {
        name: head
        for name, head in repository.branches().items()
        if every or name in also or name.startswith(project.branch_prefix)
    }
    known = repository.known(have) if have else []
    size = 0
    if set(branches.values()) - set(known):
        size = repository.export_pack(branches.values(), known, parameters["pack"])
    return {
        "branches": [{"name": name, "head": head} for name, head in branches.items()],
        "pack_bytes": size,
        "submodules": submodule_heads.unknown(reached.own) if every and reached.own is not None else [],
        "large_files": every and largefiles.are_there(reached.git),
    }
