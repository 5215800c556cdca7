"""GiveSubmodule: a commit that a run made in a submodule, for the worker."""

import os
from typing import Any

from herald import snapshot
from herald.errors import Invalid, NotFound
from herald_agent import locks, submodules
from herald_agent.access import access
from herald_agent.reference import check_hash
from herald_agent.repository import Repository
from herald_agent.submodule_checkout import within
from herald_agent.workspace import workspace_of

_MOST_HAVE = 1000


def give_submodule(parameters: dict[str, Any]) -> dict[str, Any]:
    """Pack a commit of a submodule without what the caller has. Raises Busy, NotFound, Conflict."""
    settings = snapshot.read()
    project = settings.project(parameters["project"])
    path, commit, have = parameters["path"], parameters["commit"], parameters["have"][:_MOST_HAVE]
    if not all(map(check_hash, (commit, *have))):
        raise Invalid("commit and have must be full hashes of commits")
    workspace = workspace_of(project, parameters["workspace"])
    lock = locks.take_workspace(workspace.name)
    try:
        reached = access(settings, workspace)
        repository = reached.repository_if_there()
        inside = within(reached.git) if reached.own is not None else ""
        for each in submodules.walk(reached.git, inside) if repository is not None else ():
            if each.path == path and each.is_repository and each.git.commit_of(commit) == commit:
                there = Repository(each.git, os.path.join(each.git.folder, ".git"))
                known = there.known(have) if have else []
                return {"pack_bytes": there.export_pack([commit], known, parameters["pack"])}
    finally:
        os.close(lock)
    raise NotFound(f"no submodule {path[:200]} in the workspace {workspace.name} has the commit {commit[:12]}")
