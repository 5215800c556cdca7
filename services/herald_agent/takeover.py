"""What an own workspace takes over when it is made: the agent's branches in the project's folder.

There agents worked before: in that folder itself, or, in versions before, in worktrees of it below the agent's state.
What such a worktree still holds is committed on its branch first; what cannot be, is kept and told.
"""

import contextlib
import os
import time
from functools import partial

from herald import journal
from herald.errors import Failed
from herald.snapshot import Project, Snapshot
from herald_agent import gitfolder, process
from herald_agent.confinement import confine_to
from herald_agent.environment import git_environment
from herald_agent.git import Git, refused
from herald_agent.inside import Overdue
from herald_agent.locks import folder
from herald_agent.ownclone import OwnClone
from herald_agent.settlement import clear_locks
from herald_agent.workspace import Workspace

_LONG = 900.0
_GITLINK = b"160000"
_MESSAGE = "Work that was left uncommitted before an upgrade"


def take_over(settings: Snapshot, own: OwnClone, notes: list[str]) -> None:
    """Bring the branches along. What cannot be read is left where it is, and said in the journal."""
    project, name = own.workspace.project, own.workspace.name
    if name != project.name or not os.path.lexists(os.path.join(project.path, ".git")):
        return
    worktrees = os.path.join(os.path.dirname(folder("worktrees", name)), name)
    there = Workspace(name, project, project.path, own=False)
    confinement = confine_to(settings, (project.path, worktrees, own.workspace.home))
    git = Git(project.path, git_environment(there), own.git.stop, confinement.enter)
    _close_worktrees(git, own, worktrees)
    try:
        heads = gitfolder.heads_of(git, project.branch_prefix)
        if heads:
            gitfolder.bring(git, own.git, heads, own.store.tips(), notes)
            journal.notice(f"took over {len(heads)} branches of agents from {project.path}", project=project.name)
    except Overdue as error:  # the next act would wait as long for nothing
        own.record.tell(f"The branches of agents in {project.path} are only there: {error.message}.")


def _close_worktrees(git: Git, own: OwnClone, worktrees: str) -> None:
    """Commit what worktrees of the version before still hold, and remove them; what cannot be committed is kept."""
    for entry in sorted(os.listdir(worktrees)):
        place = os.path.join(worktrees, entry)
        try:
            reason = _close(git, own.workspace.project, place)
        except Failed as error:
            reason = error.message
        if reason:
            _keep(git, own, place, reason)
    if not os.listdir(worktrees):
        os.rmdir(worktrees)


def _close(git: Git, project: Project, place: str) -> str:
    """Commit what it holds and remove it; returns why it stays, empty when it is gone. Raises Failed, OSError."""
    inner = git.at(place)
    asked = inner.attempt("rev-parse", "--absolute-git-dir", "--show-cdup")
    pointer, _, elsewhere = os.fsdecode(asked.out).partition("\n")
    if asked.code or elsewhere.strip():
        return "git does not know it"
    git.inside(partial(clear_locks, pointer, ""))
    if not _is_clean(inner):
        for command in (["add", "--all"], ["commit", "--quiet", "--no-verify", "--message", _MESSAGE]):
            output = inner.attempt(*command, deadline=_LONG)
            if output.code:
                return refused(command[0], output).message
        if not _is_clean(inner):
            return "something in it stays uncommitted"
    links = inner.listed("ls-files", "-z", "--stage", deadline=_LONG)
    paths = [os.fsdecode(each.partition(b"\t")[2]) for each in links if each.startswith(_GITLINK)]
    if git.inside(lambda: any(os.path.lexists(os.path.join(place, path, ".git")) for path in paths)):
        return "it holds repositories of their own"
    head = "" if inner.branch() else inner("rev-parse", "--verify", "HEAD^{commit}")
    if head and not inner("for-each-ref", "--count=1", f"--contains={head}", "refs/heads/"):
        inner("update-ref", f"refs/heads/{project.branch_prefix}-left-{head[:12]}", head)
    git.attempt("worktree", "remove", "--force", "--force", "--", place, deadline=_LONG)
    process.remove_tree(place)
    return ""


def _is_clean(git: Git) -> bool:
    return not git("status", "--porcelain", deadline=_LONG)


def _keep(git: Git, own: OwnClone, place: str, reason: str) -> None:
    """Move a worktree to the kept folder, and tell."""
    if not os.listdir(place):
        os.rmdir(place)
        return
    folder = os.path.join(own.workspace.kept, time.strftime("%Y%m%d-%H%M%S", time.gmtime()))
    target = os.path.join(folder, os.path.basename(place))
    os.makedirs(folder, 0o700, exist_ok=True)
    os.rename(place, target)
    with contextlib.suppress(Failed):
        git.attempt("worktree", "repair", target)
    own.record.tell(f"Work of an agent from before an upgrade is kept in {target}; it was not committed: {reason}.")
    journal.warning(f"kept the worktree {target}: {reason}", project=own.workspace.project.name)
