"""What an own workspace takes over when it is made: the agent's branches in the project's folder.

There agents worked before: in that folder itself, or, in versions before, in worktrees of it below the agent's state.
What such a worktree still holds is committed on its branch first.
"""

import os
from functools import partial

from herald import journal
from herald.snapshot import Project, Snapshot
from herald_agent import gitfolder, process
from herald_agent.confinement import confine_to
from herald_agent.environment import git_environment
from herald_agent.git import Git
from herald_agent.locks import folder
from herald_agent.ownclone import OwnClone
from herald_agent.settlement import clear_locks
from herald_agent.workspace import Workspace

_LONG = 900.0
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
    _close_worktrees(git, project, worktrees)
    heads = gitfolder.heads_of(git, project.branch_prefix)
    if heads:
        gitfolder.bring(git, own.git, heads, own.store.tips(), notes)
        journal.notice(f"took over {len(heads)} branches of agents from {project.path}", project=project.name)


def _close_worktrees(git: Git, project: Project, worktrees: str) -> None:
    """Commit what worktrees of the version before still hold, and remove them."""
    for entry in sorted(os.listdir(worktrees)):
        place = os.path.join(worktrees, entry)
        inner = git.at(place)
        pointer = inner.attempt("rev-parse", "--absolute-git-dir")
        if pointer.code == 0:
            git.inside(partial(clear_locks, os.fsdecode(pointer.out.strip()), ""))
            inner.attempt("add", "--all", deadline=_LONG)
            inner.attempt("commit", "--quiet", "--no-verify", "--message", _MESSAGE, deadline=_LONG)
            if inner.attempt("status", "--porcelain").out.strip():
                journal.warning(f"{place} holds work that could not be committed; look there", project=project.name)
                continue
            git.attempt("worktree", "remove", "--force", "--force", "--", place, deadline=_LONG)
        if os.path.lexists(place) and pointer.code == 0:
            process.remove_tree(place)
    if not os.listdir(worktrees):
        os.rmdir(worktrees)
