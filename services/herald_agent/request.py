"""What a caller asks of a run."""

import os
import stat
from typing import NamedTuple

from herald.errors import Invalid
from herald_agent.reference import check_branch, check_hash


class Request(NamedTuple):
    """The parameters of Run; those from `prompt` to `attachments` are descriptors."""

    run: str
    project: str
    workspace: str
    branch: str
    base: str
    session: str
    resume: bool
    deadline: float
    title: str
    prompt: int
    base_pack: int
    lock: int
    result: int
    pack: int
    log: int
    control: int
    attachments: int
    bootstrap: bool = False
    default_branch: str = ""
    default_head: str = ""


def check(request: Request) -> None:
    """Refuse what can never succeed. Raises Invalid."""
    name = request.run
    if not (name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum() and len(name) <= 100):
        raise Invalid(f"{name!r} cannot be the name of a run")
    if not check_branch(request.branch):
        raise Invalid(f"{request.branch!r} cannot be the name of a branch")
    if request.default_branch and not (check_branch(request.default_branch) and check_hash(request.default_head)):
        raise Invalid(f"{request.default_branch!r} at {request.default_head!r} is no branch at a commit")
    if not check_hash(request.base):
        raise Invalid(f"base {request.base!r} is not the hash of a commit")
    if not request.deadline > 0:
        raise Invalid("the deadline is over already")
    files = (request.prompt, request.base_pack, request.lock, request.result, request.pack, request.log)
    if not all(stat.S_ISREG(os.fstat(fd).st_mode) for fd in (*files, request.control, request.attachments)):
        raise Invalid("every descriptor of a run has to be a regular file")
