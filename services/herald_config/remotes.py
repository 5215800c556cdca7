"""Which remote each project has: the key `git.remote`, else what its clone named when it was first compiled.

The clone is read once, because whoever works in it can change it: a later change is told, never followed.
"""

from typing import NamedTuple

from herald_config import clone, surroundings
from herald_config.problem import shown
from herald_config.project_file import Project
from herald_config.remote_url import without_password

_SHOWN = 200


class Kept(NamedTuple):
    """A remote that was read from the clone at `path`. The operator's move to another path makes it a new clone."""

    path: str
    remote: str


def resolve(projects: tuple[Project, ...], kept: dict[str, Kept]) -> tuple[dict[str, str], dict[str, Kept], list[str]]:
    """The remote of each project (empty: none yet), what to keep of them, and what to tell."""
    remotes: dict[str, str] = {}
    keep: dict[str, Kept] = {}
    notices: list[str] = []
    for project in projects:
        name = project.keys.name
        known = kept.get(name)
        if known is not None and known.path != project.keys.path:
            known = None
        remote, notice = _resolve(project, known)
        remotes[name] = project.keys.git.remote or remote
        if remote:
            keep[name] = Kept(project.keys.path, remote)
        if notice:
            notices.append(f"{shown(project.document.file)}: {notice}")
    return remotes, keep, notices


def _resolve(project: Project, known: Kept | None) -> tuple[str, str]:
    """The remote of the clone, and a notice."""
    path = project.keys.path
    try:
        origin = clone.origin_of(path)
    except clone.NoOrigin as error:
        remote = known.remote if known else ""
        told_elsewhere = isinstance(error, clone.Missing) and surroundings.looks()
        if (told_elsewhere or isinstance(error, clone.OutOfSight)) and (remote or project.keys.git.remote):
            return remote, ""
        if remote or project.keys.git.remote:
            return remote, f"path: {path} {error}; tasks fail until that is mended"
        return "", f"path: {path} {error}; mend that or set git.remote, then reload; until then its tasks fail"
    if project.keys.git.remote:
        return (known.remote if known else ""), ""
    if known is not None and known.remote != origin:
        return known.remote, (
            f"git.remote: the origin of {path} is now {_shown(origin)}, which is not followed; "
            f"in force stays {_shown(known.remote)}; set git.remote here if the change is yours"
        )
    return origin, ""


def _shown(remote: str) -> str:
    return without_password(remote)[:_SHOWN]
