"""Which compose file says what is started: the operator's, or one of the tree.

The operator's file decides what runs with the rights of the container socket. So nobody but root and this unit may
be able to change it, and it may not take anything from where agents write: after the vote an agent can put there
what it likes.
"""

import os
import re
import shlex
import stat

from herald import durable, names
from herald.errors import Conflict, Failed
from herald.snapshot import Project, Snapshot

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""In the order in which compose itself looks for them."""

_MOST_BYTES = 1 << 20
_WORD = re.compile(r"[^\s'\"\[\]{},:=]+")
_COMMENT = re.compile(r"(?:^|\s)#.*")


def find(settings: Snapshot, project: Project, tree: str) -> str:
    """The path of the compose file; empty when there is none to be found. Raises Conflict and Failed."""
    wanted = project.compose_path
    if wanted.startswith("/"):
        return _operators(wanted, settings)
    if wanted:
        if not os.path.lexists(os.path.join(tree, wanted)):
            raise Failed(f"the commit has no file {wanted} (`deploy.compose_path` of {project.name})")
        return _of_tree(tree, wanted)
    return next((_of_tree(tree, name) for name in NAMES if os.path.lexists(os.path.join(tree, name))), "")


def _of_tree(tree: str, name: str) -> str:
    path = os.path.join(tree, name)
    if not _is_within(os.path.realpath(path), os.path.realpath(tree)):
        raise Conflict(f"{name} lies outside of the commit's tree; name a file of the project")
    if not os.path.isfile(path):
        raise Failed(f"{name} of the commit is not a file")
    return path


def _operators(path: str, settings: Snapshot) -> str:
    real = os.path.realpath(path)
    for folder in _of_agents(settings):
        if _is_within(real, folder) or _is_within(os.path.normpath(path), folder):
            raise Conflict(
                f"{path} lies in {folder}, where an agent can change it after the vote; put it elsewhere, or name a"
                " file of the commit by its path in the project, as in `compose_path: compose.yaml`"
            )
    try:
        for each in sorted({*_upwards(os.path.normpath(path)), *_upwards(real)}, key=len):
            _check_owner(each)
        beside = os.path.join(os.path.dirname(path), ".env")  # compose reads it too
        if os.path.lexists(beside):
            _check_owner(beside)
        text = durable.read_limited(real, _MOST_BYTES).decode(errors="replace")
    except FileNotFoundError as error:
        raise Failed(f"there is no file {path}{_hidden(path)} (`deploy.compose_path`)") from error
    except (OSError, ValueError) as error:
        raise Failed(f"{path} cannot be read by herald-deploy: {error}") from error
    _check_paths(path, text, settings)
    return path


def _check_owner(path: str) -> None:
    """Nobody else may be able to write it, or put something else in its place."""
    status = os.stat(path)
    ours = status.st_uid in (0, os.geteuid())
    others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getegid()))
    guarded = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX  # others cannot replace what is in it
    if not ours or (others and not guarded):
        owner = "root" if names.mode() == "system" else str(os.geteuid())
        mend = f"sudo chown {owner}: {shlex.quote(path)} && sudo chmod go-w {shlex.quote(path)}"
        raise Conflict(f"somebody else can write {path}, and with it decide what is started: `{mend}`")


def _check_paths(path: str, text: str, settings: Snapshot) -> None:
    """Paths that are written out. What a variable stands for is not seen here; the unit cannot enter workspaces."""
    beside = os.path.dirname(path)
    folders = _of_agents(settings)
    for line in text.splitlines():
        for word in _WORD.findall(_COMMENT.sub("", line)):
            if not word.startswith(("/", "./", "../")) and word not in (".", ".."):
                continue
            real = os.path.realpath(os.path.join(beside, word))
            if any(_is_within(real, folder) for folder in folders):
                raise Conflict(
                    f"{path} names {word}, where an agent can change everything after the vote; `${{HERALD_TREE}}` in"
                    " its place is the folder of the commit that is deployed"
                )


def _of_agents(settings: Snapshot) -> list[str]:
    """Where agents write."""
    folders = [project.path for project in settings.projects.values()]
    folders += [settings.projects_root, names.state_folder(names.AGENT)]
    return [os.path.realpath(folder) for folder in folders]


def _upwards(path: str) -> list[str]:
    """A path and all folders above it."""
    found = [path]
    while found[-1] != os.path.dirname(found[-1]):
        found.append(os.path.dirname(found[-1]))
    return found


def _hidden(path: str) -> str:
    """What the unit's sandbox has to do with a file not being there."""
    if names.mode() == "system" and (_is_within(path, "/home") or _is_within(path, "/root")):
        return " for herald-deploy, which sees nothing of /home and /root: put it elsewhere, as below /srv/herald"
    return ""


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
