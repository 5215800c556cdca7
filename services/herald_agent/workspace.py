"""Where a run works: a branch of its own, in a worktree of its own or in the project's folder.

Opening writes down what has to be put right, closing puts it right; a run that was killed in between is closed by
the next act in the same project.
"""

import os

from herald import durable, journal
from herald.errors import Failed
from herald.snapshot import Project
from herald_agent import settlement
from herald_agent.git import Unusable, is_below
from herald_agent.locks import folder
from herald_agent.record import Going, Record
from herald_agent.reference import folder_name
from herald_agent.repository import Repository, check_rest, end_unfinished
from herald_agent.settlement import Left

_LONG = 300.0
"""Seconds for a checkout, which grows with the size of the repository."""


class Workspace:
    """An open workspace; the agent works in `folder` on `branch`."""

    def __init__(self, repository: Repository, project: Project, record: Record, going: Going) -> None:
        self._repository = repository
        self._auto_commit = project.auto_commit
        self._record = record
        self._going = going
        self.folder = going.folder
        self.branch = going.branch

    def set_up(self) -> None:
        """Check the branch out. Raises Failed."""
        git, going = self._repository.git, self._going
        if going.mode == "path":
            made, there = ["--no-track", "-b", going.branch, going.base], ["--no-guess", going.branch, "--"]
            git("checkout", "--quiet", *(made if going.created else there), deadline=_LONG)
        elif not os.path.isdir(going.folder):
            made, there = ["-b", going.branch, "--", going.folder, going.base], ["--", going.folder, going.branch]
            git("worktree", "add", "--quiet", *(made if going.created else there), deadline=_LONG)
        self._record.set_ready()

    def close(self) -> Left:
        """Take what the agent left, and put the workspace at rest. Not to be interrupted.

        No process of the run is left. Changes that have to stay uncommitted keep the workspace as it is.
        """
        git, going, notes = self._repository.git.unstoppable(), self._going, list[str]()
        cut_off = settlement.clear_locks(going)
        ready, uncommitted = self._record.ready, False
        if ready:
            uncommitted = settlement.take(git, going, notes, auto_commit=self._auto_commit)
        if not uncommitted:
            self._record.set_unready()
            settlement.put_at_rest(git, going, notes, cut_off=cut_off and not ready)
        left = settlement.result(git, going, notes, uncommitted=uncommitted)
        if going.ours and not left.commits and not uncommitted:
            git.attempt("branch", "-D", "--quiet", "--", going.branch)  # refused where it is checked out
        self._record.end()
        return left

    def forget(self) -> None:
        """The result of a run that ended well is on disk."""
        self._record.forget(self._going.asked)


def open_workspace(project: Project, repository: Repository, branch: str, base: str, title: str) -> Workspace:
    """Make a workspace for a run on `branch` from `base`. Raises Unusable, Failed."""
    record = Record(project.name)
    recover(project, repository, record, go_on=(branch, base))
    repository.require_rest()
    going = _plan(project, repository, record, branch, base, title)
    if going.mode == "own":
        going = _place(repository, going)
    record.begin(going, ready=going.mode == "own" and os.path.isdir(going.folder))
    workspace = Workspace(repository, project, record, going)
    try:
        workspace.set_up()
    except Failed as error:
        workspace.close()
        raise Unusable(f"{repository.folder}: {error.message}") from error
    except BaseException:
        workspace.close()
        raise
    return workspace


def recover(project: Project, repository: Repository, record: Record, go_on: tuple[str, str] = ("", "")) -> None:
    """Put right what a run that was killed left behind.

    Its worktree stays as it is when the same run, asked for by the branch and base `go_on`, goes on in it.
    """
    going = record.going
    if going is None:
        return
    if going.clone != project.path:
        journal.warning(f"a killed run worked in {going.clone}, look there", project=project.name)
        record.end()
        return
    same = going.branch == record.continued(*go_on) and going.mode == project.workspace == "own"
    if same and record.ready and os.path.isdir(going.folder):
        settlement.clear_locks(going)
        end_unfinished(repository.git.at(going.folder), settlement.git_folder(going.folder))
        return
    left = Workspace(repository, project, record, going).close()
    journal.notice(f"closed what a killed run left on {going.branch}: {left.describe()}", project=project.name)


def _plan(project: Project, repository: Repository, record: Record, asked: str, base: str, title: str) -> Going:
    """On which branch the run works, and where. Raises Unusable."""
    git = repository.git
    start, at_asked = git.commits_of(base, f"refs/heads/{asked}")
    if not start:
        raise Unusable(f"{repository.folder} lacks the commit {base[:12]} to start from; `git fetch` there")
    branch = record.continued(asked, base)
    head = git.head_of(branch) if branch else ""
    if not head:
        branch, head = asked, at_asked
        number = 1
        while head and head != base:
            number += 1
            branch = f"{asked}-{number}"
            head = git.head_of(branch)
    if project.workspace == "own":
        place, back = os.path.join(folder("worktrees", project.name), folder_name(branch)), ""
    else:
        place, back = repository.folder, _back(repository)
    return Going(
        mode=project.workspace,
        clone=project.path,
        folder=place,
        asked=asked,
        branch=branch,
        base=base,
        back=back,
        title=title,
        created=not head,
        ours=not head or branch == record.continued(asked, base),
    )


def _back(repository: Repository) -> str:
    """What is checked out in the project's folder. Raises Unusable when it cannot be left and put back."""
    git = repository.git
    if not git.commit_of("HEAD"):
        raise Unusable(f"{repository.folder} has no commit checked out; make a first commit there")
    if not git.is_clean():
        raise Unusable(f"{repository.folder} has uncommitted changes; commit or stash them, then send the task again")
    return git.branch() or git.commit_of("HEAD")


def _place(repository: Repository, going: Going) -> Going:
    """Where the worktree is to be: an existing one of this branch is continued. Raises Unusable."""
    at = "" if going.created else repository.worktrees().get(going.branch, "")
    if at and os.path.isdir(at):
        if not is_below(at, os.path.dirname(going.folder)):
            raise Unusable(f"branch {going.branch} is checked out in {at}; check out another one there")
        going = going._replace(folder=at)
        check_rest(at, settlement.git_folder(at))
        return going
    if at:
        repository.git("worktree", "prune")
    if os.path.lexists(going.folder):
        journal.warning(f"{going.folder} was in the way and is now {durable.set_aside(going.folder)}")
    return going
