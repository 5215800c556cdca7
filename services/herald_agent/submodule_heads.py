"""What was committed in the submodules of an own workspace and did not come from Herald."""

import os
from typing import Any

from herald_agent import modulefolders
from herald_agent.ownclone import OwnClone
from herald_agent.reference import check_hash

_LONG = 300.0
_MOST = 200


def unknown(own: OwnClone) -> list[dict[str, Any]]:
    """The heads there that neither Herald's store nor a branch of their remote has. Raises Failed, OSError."""
    git, found = own.git, []
    for name in modulefolders.names(git):
        there = git.with_variables(GIT_DIR=os.path.join(git.folder, ".git", "modules", name), GIT_WORK_TREE=git.folder)
        listed = there.attempt("for-each-ref", "--format=%(objectname)", "refs/heads/", deadline=_LONG)
        heads = {*listed.out.decode("utf-8", "replace").split(), there.commit_of("HEAD")}
        tips = own.making.base(name).tips
        for head in sorted(filter(check_hash, heads)):
            known = there.attempt("rev-list", "--max-count=1", head, "--not", "--remotes", *tips, deadline=_LONG)
            if known.code or known.out.strip():
                found.append({"submodule": name, "commit": head})
    return found[:_MOST]
