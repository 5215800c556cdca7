"""The operator's own compose files: what they say is run by the container socket, so no agent may write them.

Where that can be seen it is an error; where it cannot, for this user or unit, it is a notice.
"""

import grp
import os
import pwd
import shlex
import stat
from typing import NamedTuple

from herald import names
from herald_config import openings
from herald_config.problem import shown
from herald_config.project_file import Project

_ADVICE = (
    "move it to a folder of root's, as /srv/herald/deployments/{name}/compose.yaml, or write the path of one in the "
    "project, without / in front: then it is the one of the commit that was pushed"
)


class _Unseen(Exception):
    """The file cannot be looked at; the text says why."""


class _Agent(NamedTuple):
    uid: int
    groups: frozenset[int]


def problem_of(project: Project, projects: list[Project], projects_root: str) -> str:
    """Why the compose file of a project may be written by agents; empty if that is not so, or not seen."""
    path = project.keys.deploy.compose_path or ""
    if not path.startswith("/"):
        return ""
    advice = _ADVICE.format(name=project.keys.name)
    theirs = [os.path.realpath(projects_root), *(each.real_path for each in projects)]
    for folder in (*theirs, projects_root, *(each.keys.path for each in projects)):
        if any(each.startswith(folder + "/") for each in (path, os.path.realpath(path))):
            return f"lies inside {shown(folder)}, where agents write; {advice}"
    try:
        opened = _opened_by(path)
    except _Unseen:
        return ""
    return f"{opened}; close it, or {advice}" if opened else ""


def notice_of(project: Project) -> str:
    """What could not be seen of the compose file of a project, or why a deploy will refuse it; empty if nothing."""
    path = project.keys.deploy.compose_path or ""
    if not path.startswith("/"):
        return ""
    try:
        return "" if _opened_by(path) or _agent() is None else _not_roots(path)
    except _Unseen as error:
        return str(error)


def _not_roots(path: str) -> str:
    """What herald-deploy refuses: somebody who is not root could write it, or put another in its place."""
    for each in (*_upwards(path), *_upwards(os.path.realpath(path))):
        status = os.stat(each)
        guarded = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid)
        if status.st_uid or (others and not guarded):
            mend = f"chown root: {shlex.quote(each)} && chmod go-w {shlex.quote(each)}"
            return f"{shown(each)} can be written by somebody else than root; deploys refuse it: `{mend}`"
    return ""


def _opened_by(path: str) -> str:
    """What lets the agents' user write the file or put another in its place; empty: nothing. Raises _Unseen."""
    agent = _agent()
    if agent is None:
        return ""
    if openings.is_private(path) or openings.is_hidden(path):
        raise _Unseen(f"{shown(path)} lies where units see nothing, or a folder of their own; move it, as to /srv")
    unseen = ""
    for each in (*_upwards(path), *_upwards(os.path.realpath(path))):
        try:
            status = os.stat(each)
        except (FileNotFoundError, NotADirectoryError):
            unseen = f"{shown(path)} does not exist; deploys fail until it does"
        except OSError:
            unseen = f"{shown(path)} cannot be looked at by herald-config; see that the agents' user cannot write it"
        else:
            if _may_write(agent, status):
                return f"{shown(each)} can be written by the agents' user ({stat.filemode(status.st_mode)})"
    if unseen:
        raise _Unseen(unseen)
    return ""


def _upwards(path: str) -> list[str]:
    """The file and every folder above it: who may write one of them may put another file there."""
    found = [path]
    while path != "/":
        path = os.path.dirname(path)
        found.append(path)
    return found


def _may_write(agent: _Agent, status: os.stat_result) -> bool:
    """Its owner may give itself the right. In a sticky folder, as /tmp, nobody replaces what belongs to others."""
    if status.st_uid == agent.uid:
        return True
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return False
    if status.st_gid in agent.groups:
        return bool(status.st_mode & stat.S_IWGRP)
    return bool(status.st_mode & stat.S_IWOTH)


def _agent() -> _Agent | None:
    """The agents' user; None where there is none of its own, and other walls than file modes keep agents in."""
    if names.mode() != "system":
        return None
    try:
        user = pwd.getpwnam(f"herald-{names.AGENT}")
    except KeyError:
        return None
    groups = {each.gr_gid for each in grp.getgrall() if user.pw_name in each.gr_mem}
    return _Agent(user.pw_uid, frozenset({user.pw_gid, *groups}))
