"""Push: exactly one commit hash to one branch of the agent.

There is no record to keep: a repeat of a push that the remote has taken is "up to date" there, runs no hook and
answers `pushed`. So a push may be killed at any step and simply be made again.
"""

import os
import re
from typing import Any

from herald import git_words, journal, names, snapshot
from herald.bus.oneshot import Call, Method
from herald.errors import Failed, HeraldError, Invalid, Unavailable
from herald_git import advertisement, command, prospects, remote, repository, submodule_push
from herald_git.arguments import checked_branch, checked_hash
from herald_git.remote import Remote
from herald_git.repository import Repository, RepositoryError

_LONGEST_REASON = 1500
_MOST_HEADS = 10_000
_PROTECTED = re.compile(
    r"protected|GH006|GH013|rule violations|branch permission|prohibited by Gerrit|TF40\d\d\d\d|"
    r"not (?:allowed|permitted) to (?:create|push|update)|create.* (?:denied|not permitted)",
    re.IGNORECASE,
)
"""How hosts say that a branch of this name may not be pushed."""


def push(call: Call) -> dict[str, Any]:
    """The method Push."""
    project = snapshot.read().project(call.parameters["project"])
    branch = checked_branch(call.parameters["branch"], project.branch_prefix)
    head = checked_hash(call.parameters["head"])
    expected = checked_hash(call.parameters["expected"]) if call.parameters["expected"] else ""
    target = remote.of_pushes(project)
    lacking = submodule_push.ready(call, project, branch, head)
    if lacking:
        journal.notice(f"{head} is not pushed: {lacking}", project=project.name)
        return _result("refused", lacking)
    with repository.locked(project.name) as own:
        result = own.mended(lambda: _push(own, target, branch, head, expected))
        if result["outcome"] == "refused":
            result["reason"] += _next_step(own, target, result["reason"], project.branch_prefix)
    journal.notice(f"push of {head} to {branch}: {result['outcome']} {result['reason']}", project=project.name)
    return result


def list_push_branches(call: Call) -> dict[str, Any]:
    """The method ListPushBranches."""
    project = snapshot.read().project(call.parameters["project"])
    head = checked_hash(call.parameters["head"])
    target = remote.of_pushes(project)

    def look() -> list[str]:
        own.prepare(head)
        return sorted(set(advertisement.ask(own, target).branches.values()))

    with repository.locked(project.name) as own:
        return {"heads": own.mended(look)[:_MOST_HEADS]}


LIST_PUSH_BRANCHES = Method(list_push_branches, {"project": str, "head": str})
PUSH = Method(push, {"project": str, "branch": str, "head": str, "expected": str})


def _push(own: Repository, target: Remote, branch: str, head: str, expected: str) -> dict[str, Any]:
    own.prepare(head)
    ref = f"refs/heads/{branch}"
    seen = advertisement.ask(own, target, ref)
    if branch == seen.symbolic:
        raise Invalid(f"{branch} is the remote's default branch, which Herald never pushes to")
    now = seen.branches.get(branch, "")
    refused = lease = ""
    if now in (expected, "") and now != head:  # absent: a forge deletes what it merged
        lease = now
        refused = _push_with_lease(own, target, ref, head, lease)
        if not refused:
            return _result("pushed", "")
        # What the remote has now tells its no from a race with somebody else's push, or with an earlier one of ours.
        now = advertisement.ask(own, target, ref).branches.get(branch, "")
    if now == head:
        return _result("pushed", "")
    if now not in (expected, ""):
        return _result("moved", f"{branch} is at {now[:12]}, not at {expected[:12] or 'nothing'}", now)
    if now != lease:
        raise Unavailable(f"{branch} changed at the remote during the push")
    return _result("refused", refused)


def _push_with_lease(own: Repository, target: Remote, ref: str, head: str, expected: str) -> str:
    """Push; empty when the remote took it, else why not, in the remote's own words where it has any."""
    environment = target.environment() | {"GIT_ALTERNATE_OBJECT_DIRECTORIES": _worker_objects(own.project)}
    look = own.git("cat-file", "-t", head, seconds=command.limits().look, environment=environment)
    if remote.is_own_fault(look.words):
        raise RepositoryError(look.words)
    if look.out.strip() != b"commit":
        raise Failed(f"commit {head[:12]} is not in the worker's mirror; `!push` imports and proposes it again")
    outcome = own.git(
        *("push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-recurse-submodules", "--no-signed"),
        *(f"--force-with-lease={ref}:{expected}", "--", target.url, f"{head}:{ref}"),
        seconds=command.limits().act,
        environment=environment,
    )
    flag = _flag(outcome.out.decode(errors="replace"), ref)
    if outcome.code == 0 and flag is not None:
        return ""
    if flag is None or remote.is_own_fault(outcome.words):
        raise target.refusal(outcome.words) or RepositoryError(outcome.words)
    journal.info(f"the remote refused the push; git said:\n{git_words.whole(outcome.words)}", project=own.project)
    return _hook_words(outcome.words) or flag


def _next_step(own: Repository, target: Remote, reason: str, prefix: str) -> str:
    """What to do about a refusal that the names of the branches brought about; empty for any other."""
    if _PROTECTED.search(reason):
        return f". If {prefix}-... is protected there, allow Herald's key to push it or set git.branch_prefix"
    try:
        in_the_way = prospects.ask_in_the_way(own, target, prefix)
    except (HeraldError, RepositoryError):
        return ""  # the refusal is told in any case
    if in_the_way:
        return f". The branch {in_the_way} is in the way of {prefix}-...; remove it there or set git.branch_prefix"
    return ""


def _worker_objects(project: str) -> str:
    """The worker's objects as git wants to be told: quoted, because a colon would separate two folders."""
    folder = os.path.join(names.state_folder(names.WORKER), "mirrors", f"{project}.git", "objects")
    escaped = folder.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _flag(porcelain: str, ref: str) -> str | None:
    """What the remote answered about the ref, None if it didn't: `FLAG TAB from:to TAB summary` on a line."""
    for line in porcelain.splitlines():
        fields = line.split("\t")
        if len(fields) == 3 and fields[1].endswith(f":{ref}"):
            return fields[2]
    return None


def _hook_words(words: str) -> str:
    """What the remote's hooks said."""
    lines = [line.removeprefix("remote:").strip() for line in words.splitlines() if line.startswith("remote:")]
    return "\n".join(line for line in lines if line)[:_LONGEST_REASON]


def _result(outcome: str, reason: str, found: str = "") -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "found": found}
