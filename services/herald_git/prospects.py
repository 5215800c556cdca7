"""What a push would meet, found out before anybody works for it: a branch in the way, a key that may not write.

The remote that is pushed to is asked when it is first known, when its URL or the key has changed, again after a while
where the answer was no, and never twice for one message. What it said is kept beside the repository; it is only ever a
warning, so nothing is lost with it.
"""

import json
import os
import re
import time
from collections.abc import Collection
from typing import NamedTuple

from herald import journal
from herald.errors import HeraldError, Unavailable
from herald.snapshot import Project
from herald_git import advertisement, command, remote
from herald_git.remote import Remote
from herald_git.repository import Repository, RepositoryError

_RECORD = "herald-prospects.json"
_AGAIN = 60.0
"""Seconds after which a remote that refused is asked again: the right may have been given there."""

_AGAIN_SILENT = 600.0
_AGAIN_BRANCHES = 600.0
_LONGEST_LOOK = 15.0
_SAYS_NO = re.compile(
    r"^(?:remote: *)?(?:ERROR|GitLab|Gitea|Forgejo|Gogs|fatal: remote error)\b|denied|not (?:allowed|permitted)|"
    r"read[- ]only|[Uu]nauthori[sz]ed|forbidden|insufficient|write access",
    re.MULTILINE | re.IGNORECASE,
)
"""A remote that was fetched from a moment ago and now says this lets nobody push."""


class Prospects(NamedTuple):
    """`in_the_way` is a branch that keeps branches under the prefix from being made, `warning` why a push will fail;
    both empty when nothing is known to be wrong. `since` changes when the warning is a new one."""

    in_the_way: str = ""
    warning: str = ""
    since: str = ""


class _Known(NamedTuple):
    """What was found out last; `asked` is a time, `about` what it holds for."""

    about: str = ""
    asked: float = 0.0
    answered: bool = False
    in_the_way: str = ""
    warning: str = ""
    since: str = ""


def parents(prefix: str) -> list[str]:
    """The refs that cannot be there together with branches `PREFIX-...`."""
    parts = prefix.split("/")
    return [f"refs/heads/{'/'.join(parts[:length])}" for length in range(1, len(parts))]


def in_the_way(prefix: str, branches: Collection[str]) -> str:
    """The one of these branches that is in the way of branches `PREFIX-...`; empty if none is."""
    names = (ref.removeprefix("refs/heads/") for ref in parents(prefix))
    return next((name for name in names if name in branches), "")


def ask_in_the_way(own: Repository, target: Remote, prefix: str) -> str:
    """The same of the branches that are there now. Raises HeraldError, and RepositoryError."""
    refs = parents(prefix)
    return in_the_way(prefix, advertisement.ask(own, target, *refs).branches) if refs else ""


def look(own: Repository, project: Project, advertised: Collection[str], head: str) -> Prospects:
    """What a push of this project would meet. `advertised` are the branches where it is fetched from, as of now."""
    if project.push_problem:
        return Prospects()
    target = remote.of_pushes(project)
    known = _read(own)
    if _is_due(known, _about(project, target), elsewhere=bool(project.push_url)):
        known = _ask(own, project, target, head, known)
        _write(own, known)
    blocking = known.in_the_way if project.push_url else in_the_way(project.branch_prefix, advertised)
    return Prospects(blocking, known.warning, known.since)


def _about(project: Project, target: Remote) -> str:
    return "\n".join((target.url, project.branch_prefix, remote.key_trace()))


def _is_due(known: _Known, about: str, *, elsewhere: bool) -> bool:
    if known.about != about or (elsewhere and known.in_the_way):
        return True
    if known.warning:
        again = _AGAIN
    elif not known.answered:
        again = _AGAIN_SILENT
    elif elsewhere:
        again = _AGAIN_BRANCHES
    else:
        return False
    return not 0 <= time.time() - known.asked < again


def _ask(own: Repository, project: Project, target: Remote, head: str, before: _Known) -> _Known:
    """Look at the branches there, and try a push that changes nothing."""
    about = _about(project, target)
    fresh = _Known(about=about, asked=time.time())
    try:
        if project.push_url:
            fresh = fresh._replace(in_the_way=ask_in_the_way(own, target, project.branch_prefix))
        refusal = _refusal_of_push(own, target, f"{head}:refs/heads/{project.branch_prefix}-herald-asks-for-the-right")
    except (Unavailable, RepositoryError) as error:
        journal.info(f"whether {target.shown} can be pushed to is not known: {error}", project=project.name)
        still = before if before.about == about else _Known()
        return fresh._replace(warning=still.warning, since=still.since)
    except HeraldError as error:
        refusal = error.message
    if not refusal:
        return fresh._replace(answered=True)
    warning = f"What is made now cannot be pushed as things are: {refusal}"
    since = before.since if before.warning == warning and before.about == about else f"{fresh.asked:.3f}"
    return fresh._replace(answered=True, warning=warning, since=since)


def _refusal_of_push(own: Repository, target: Remote, what: str) -> str:
    """Why nothing can be pushed there; empty if it can. Raises HeraldError, and RepositoryError."""
    outcome = own.git(
        *("push", "--dry-run", "--porcelain", "--no-verify", "--no-follow-tags", "--no-recurse-submodules"),
        *("--no-signed", "--", target.url, what),
        seconds=min(command.limits().look, _LONGEST_LOOK),
        environment=target.environment(),
    )
    if outcome.code == 0 or "\t" in outcome.out.decode(errors="replace"):  # it spoke of the ref: it lets us push
        return ""
    refusal = target.refusal(outcome.words)
    if isinstance(refusal, Unavailable) and _SAYS_NO.search(outcome.words):
        return f"{target.shown} takes no push with Herald's key ({remote.spoken(outcome.words)}); give it write access"
    raise refusal or RepositoryError(outcome.words)


def _read(own: Repository) -> _Known:
    try:
        with open(os.path.join(own.path, _RECORD), encoding="utf-8") as file:
            return _Known(**json.load(file))
    except (OSError, ValueError, TypeError):
        return _Known()  # a torn note only costs another look


def _write(own: Repository, known: _Known) -> None:
    with open(os.path.join(own.path, _RECORD), "w", encoding="utf-8") as file:
        json.dump(known._asdict(), file)
