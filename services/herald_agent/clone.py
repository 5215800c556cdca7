"""Clone: a project's folder is made from a pack that the caller fetched. This user talks to no remote.

It is made beside the folder and renamed when it is complete: a kill in between leaves no half of a clone in its
place, and what it leaves is removed by the next call.
"""

import errno
import os
import re
import stat
from typing import Any

from herald import durable, fsck, journal, snapshot
from herald.errors import Conflict, Failed, HeraldError, Invalid, Unavailable
from herald.snapshot import Project, Snapshot
from herald_agent import locks, process
from herald_agent.confinement import confine
from herald_agent.environment import git_environment
from herald_agent.git import Git, refused
from herald_agent.inside import Unusable
from herald_agent.reference import check_branch, check_hash
from herald_agent.repository import open_repository
from herald_agent.workspace import Workspace

_LONG = 1000.0
"""Seconds for what grows with the size of the repository."""

_LARGEST_PACK = 1 << 38

_LOGIN = re.compile(r"(?<=://)[^/\s@]*:[^/\s@]*@|(?<=https://)[^/\s@]+@")


def clone(parameters: dict[str, Any]) -> dict[str, Any]:
    """Make the clone at the project's path; one that is there already stays as it is.

    Raises Busy while an agent is at work there, Conflict when something else is at the path, Failed when this user may
    not write there, Unavailable when the disk is full.
    """
    settings = snapshot.read()
    project = settings.project(parameters["project"])
    branch, head, pack = parameters["branch"], parameters["head"], parameters["pack"]
    if not check_branch(branch) or not check_hash(head):
        raise Invalid("branch and head must be a branch's name and the full hash of a commit")
    if not stat.S_ISREG(os.fstat(pack).st_mode):
        raise Invalid("pack must be a regular file")
    locks.take_workspace(project.name)
    if _is_there(settings, project, head):
        return {"created": False}
    folder, name = os.path.split(project.path)
    making = os.path.join(folder, f".{name}.new")
    process.remove_tree(making)
    try:
        if _is_in(folder, settings.projects_root):
            os.makedirs(folder, 0o750, exist_ok=True)
        os.mkdir(making, 0o750)
        _fill(settings, project, making, (branch, head, pack))
        os.rename(making, project.path)
        durable.sync_folder(folder)
    except OSError as error:
        process.remove_tree(making)
        raise _unwritable(settings, project, error) from error
    except HeraldError:
        process.remove_tree(making)
        raise
    journal.notice(f"cloned {branch} at {head[:12]} to {project.path}", project=project.name)
    return {"created": True}


def _is_there(settings: Snapshot, project: Project, head: str) -> bool:
    """Whether the clone is there already. Raises Conflict when the path is taken by something else."""
    path = project.path
    if not os.path.lexists(path):
        return False
    if os.path.isdir(path) and not os.path.islink(path):
        try:
            if not os.listdir(path):
                return False
        except OSError as error:
            raise Conflict(f"{path} is there and cannot be read ({error.strerror}); move it away") from error
    workspace = Workspace(project.name, project, path, own=False)
    confinement = confine(settings, workspace)
    git = Git(path, git_environment(workspace), confine=confinement.enter)
    try:
        repository = open_repository(project, git)
    except Unusable as error:
        raise Conflict(
            f"{path} is there already and is no clone of {_shown(project.remote)}: {error.message}"
        ) from error
    origin = git.attempt("config", "--local", "--get", "remote.origin.url").out.decode("utf-8", "replace").strip()
    if origin in (project.remote, _LOGIN.sub("", project.remote)) or repository.known([head]):
        return True
    other = f"of {_shown(origin)}" if origin else "without a remote"
    raise Conflict(f"{path} holds a clone {other}, not of {_shown(project.remote)}; move it away, then do this again")


def _fill(settings: Snapshot, project: Project, folder: str, found: tuple[str, str, int]) -> None:
    """Make a complete clone in an empty folder. Raises Failed, Unavailable, OSError."""
    branch, head, pack = found
    here = Workspace(project.name, project, folder, own=False)
    git = Git(folder, git_environment(here), confine=confine(settings, here).enter)
    kind = ["--object-format=sha256"] if len(head) == 64 else []
    git("init", "--quiet", "--template=", f"--initial-branch={branch}", *kind)
    _index(git, pack, project.fsck_accept)
    if not git.commit_of(head):
        raise Failed(f"the pack that was handed over does not hold the commit {head[:12]}; try again")
    tracked = f"refs/remotes/origin/{branch}"
    git("update-ref", tracked, head)
    git("symbolic-ref", "refs/remotes/origin/HEAD", tracked)
    git("config", "remote.origin.url", _LOGIN.sub("", project.remote))
    git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    git("config", f"branch.{branch}.remote", "origin")
    git("config", f"branch.{branch}.merge", f"refs/heads/{branch}")
    git("update-ref", f"refs/heads/{branch}", head)
    git("reset", "--quiet", "--hard", deadline=_LONG)
    _sync(folder)


def _index(git: Git, pack: int, accepted: tuple[str, ...]) -> None:
    os.lseek(pack, 0, os.SEEK_SET)
    limit = f"--max-input-size={_LARGEST_PACK}"
    output = git.attempt("index-pack", "--stdin", fsck.for_index_pack(accepted), limit, stdin=pack, deadline=_LONG)
    if output.code == 0:
        return
    if b"No space left on device" in output.err:
        raise Unavailable("the disk for clones is full; free some space, then do this again")
    raise refused("index-pack", output)


def _sync(folder: str) -> None:
    """Everything in it onto the disk: after a power cut a clone that is there is a whole one."""
    environment = {"PATH": os.environ.get("PATH") or os.defpath}
    try:
        process.run(["sync", "--file-system", folder], environment, "/", deadline=_LONG)
    except process.TimedOut:
        raise Unavailable(f"the disk of {folder} did not take the clone within {_LONG:g} s; do this again") from None


def _unwritable(settings: Snapshot, project: Project, error: OSError) -> HeraldError:
    folder, root = os.path.dirname(project.path), settings.projects_root
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"the disk of {folder} is full; free some space, then do this again")
    if error.errno == errno.ENOENT:
        return Failed(f"the folder {folder} is missing; make it, for the user that agents run as, then do this again")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        inside = _is_in(folder, root)
        where = f"{folder} is closed to this unit" if inside else f"{folder} lies outside projects_root ({root})"
        return Failed(f"{where}, agents may not write there; `heraldctl config check` prints what opens it")
    return Failed(f"the clone at {project.path} could not be made: {error.strerror}")


def _is_in(folder: str, root: str) -> bool:
    return folder == root or folder.startswith(f"{root.rstrip('/')}/")


def _shown(url: str) -> str:
    return _LOGIN.sub("", url)[:200]
