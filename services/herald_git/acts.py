"""The methods of io.herald.Git. What has to do with git-lfs is imported when it is asked for: a fetch is on the path of
every message."""

from typing import Any

from herald.bus.oneshot import Call, Descriptor, Method
from herald_git.fetch import FETCH
from herald_git.push import LIST_PUSH_BRANCHES, PUSH
from herald_git.submodule import FETCH_SUBMODULE
from herald_git.submodule_push import CHECK_SUBMODULE


def _fetch_large_file(call: Call) -> dict[str, Any]:
    from herald_git import largefiles

    return largefiles.fetch(call)


def _push_large_files(call: Call) -> dict[str, Any]:
    from herald_git import largefiles

    return largefiles.push(call)


METHODS = {
    "CheckSubmodule": CHECK_SUBMODULE,
    "Fetch": FETCH,
    "FetchSubmodule": FETCH_SUBMODULE,
    "ListPushBranches": LIST_PUSH_BRANCHES,
    "Push": PUSH,
    "FetchLargeFile": Method(_fetch_large_file, {"project": str, "oid": str, "size": int, "file": Descriptor}),
    "PushLargeFiles": Method(_push_large_files, {"project": str, "head": str, "files": list}),
}
