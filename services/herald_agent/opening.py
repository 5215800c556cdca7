"""A workspace while a run has it: a branch of its own, from the commit that the worker named.

Opening writes down what has to be put right, closing puts it right; a run that was killed in between is closed by the
next act in the same workspace.
"""

import os
import zlib
from typing import NamedTuple, NoReturn

from herald import journal
from herald.errors import Failed
from herald_agent import (
    beforehand,
    claims,
    copies,
    gitfolder,
    largefiles,
    settlement,
    submodule_checkout,
    submodules,
    submodules_in_place,
    tree,
)
from herald_agent.changes import changes
from herald_agent.disarming import unblock
from herald_agent.git import Git, refused
from herald_agent.inside import Unusable
from herald_agent.ownclone import OwnClone, is_no_fault_of_it, set_aside
from herald_agent.record import Going, Record, Uncommitted
from herald_agent.repository import Repository, check_rest
from herald_agent.settlement import Left
from herald_agent.store import Incomplete
from herald_agent.submodule_checkout import within
from herald_agent.workspace import Workspace

_LONG = 300.0
"""Seconds for a checkout, which grows with the size of the repository."""

_NAMED = 5


class Wanted(NamedTuple):
    """What a run asks for. `title` is the message of what the agent leaves uncommitted."""

    branch: str
    base: str
    title: str


class OpenWorkspace:
    """A workspace in which a run goes on; the agent works in `folder` on `branch`, which began at `base`."""

    def __init__(self, repository: Repository, workspace: Workspace, record: Record, going: Going) -> None:
        self.repository = repository
        self.notes: list[str] = []
        self._workspace = workspace
        self._record = record
        self._going = going
        self.folder = going.folder
        self.branch = going.branch
        self.base = going.base

    def set_up(self) -> None:
        """Check the branch out. Raises Failed, OSError."""
        own, going = self.repository.own, self._going
        if own is not None:
            own.exclude(b"")
            start = own.git.head_of(going.branch) or going.base
            gitfolder.follow(own.git, own.upstream)
            moved = own.check_out(start, going.branch, self.notes)
            self._record.submodules = submodules.standings(own.git, within(own.git))
            self._tell_of_moved(moved)
            copies.copy_files(own, self.notes)
            copies.name_what_is_left_behind(own, self.notes)
            strangers = tree.untracked(own.git)
            self._note_what_lies_there(strangers)
            own.exclude(tree.patterns_of(map(os.fsencode, self._record.before)))
            self._tell_of_strangers(strangers)
            if largefiles.fill(own.git):
                own.save_index()
        else:
            made = (
                ["--no-track", "-b", going.branch, going.base] if going.created else ["--no-guess", going.branch, "--"]
            )
            git = self.repository.git
            self._record.came = submodules.standings(git)
            self._record.write()
            self._switch("checkout", "--quiet", "--no-overwrite-ignore", *made)
            self._record.hidden = submodules_in_place.bring(git, self.notes)
            self._record.submodules = submodules.standings(git)
            self._note_what_lies_there(tree.untracked(git))
            self._record.write()
            submodules_in_place.hide(git, self._record.hidden, hidden=True)
            if self._workspace.project.lfs_get != ("none",):
                largefiles.fill(self.repository.git)
        self._record.set_ready()

    def _switch(self, *arguments: str) -> None:
        """Check out in a person's folder, where nothing is moved out of the way. Raises Failed, Unusable."""
        output = self.repository.git.attempt(*arguments, deadline=_LONG)
        if output.code == 0:
            return
        names = [line[1:] for line in output.err.split(b"\n") if line.startswith(b"\t")]
        if names:
            raise Failed(f"in the way of what is to be checked out: {_some(names)}; move that away, or say `!own`")
        raise refused("checkout", output)

    def _note_what_lies_there(self, strangers: list[bytes]) -> None:
        git = self.repository.git
        self._record.before = [os.fsdecode(path) for path in tree.untracked_files(git, strangers)]
        self._record.ignored = beforehand.ignored(git)

    def _tell_of_moved(self, moved: list[str]) -> None:
        if moved:
            names = _some([each.encode("utf-8", "surrogateescape") for each in moved])
            self.notes.append(f"In the way of the checkout, and moved to {self._workspace.kept}: {names}.")

    def _tell_of_strangers(self, strangers: list[bytes]) -> None:
        """Once for as long as they are the same."""
        kind = f"strangers {zlib.crc32(b' '.join(strangers)):08x}"
        if strangers and kind not in self._record.told:
            self.notes.append(f"Not part of the work, because it was there before: {_some(strangers)}.")
        others = [each for each in self._record.told if not each.startswith("strangers ")]
        self._record.told = [*others, kind] if strangers else others
        self._record.write()

    def hidden(self) -> bytes:
        """Patterns of a person's untracked files, which the agent's own git is to pass over, too."""
        return tree.patterns_of([] if self._going.own else map(os.fsencode, self._record.before))

    def go_on(self) -> None:
        """Work in the tree as it is. Raises Failed, OSError."""
        own = self.repository.own
        if own is not None:
            own.look(own.git.head_of(self._going.branch) or self._going.base, self._going.branch)
            own.save_index()

    def close(self) -> Left:
        """Take what the agent left, and put the workspace at rest. Not to be interrupted.

        No process of the run is left. Changes that have to stay uncommitted keep the workspace as it is.
        """
        repository, going, notes = self.repository.unstoppable(), self._going, self.notes
        ready, uncommitted = self._record.ready, False
        auto_commit = self._workspace.project.auto_commit
        if repository.own is not None:
            uncommitted = self._close_own(repository.own, auto_commit=auto_commit) if ready else False
        else:
            removed: list[str] = repository.git.inside(lambda: unblock(repository.folder))
            notes.extend(f"Removed {path}, a pipe or the like that git would wait for." for path in removed)
            cut_off = repository.git.inside(lambda: settlement.clear_locks(repository.git_folder, going.branch))
            submodules_in_place.hide(repository.git, self._record.hidden, hidden=False)
            beforehand.hold(repository.git, repository.git_folder, self._record.beforehand)
            if ready:
                uncommitted = settlement.take_in_place(
                    *(repository.git, repository.git_folder, going, notes, self._record), auto_commit=auto_commit
                )
            if not uncommitted:
                self._record.set_unready()
                settlement.put_back(repository.git, going, notes, cut_off=cut_off and not ready)
                submodules_in_place.put_back(repository.git, self._record.came, going.branch, notes)
                self._record.came, self._record.hidden = {}, []
            beforehand.give_back(repository.git, repository.git_folder, notes)
        self._record.uncommitted = settlement.left_uncommitted(going) if uncommitted else None
        left = settlement.result(repository.git, going, notes, uncommitted=uncommitted)
        if going.ours and not left.commits and not uncommitted:
            self._drop_branch(repository)
        self._record.end()
        return left

    def _drop_branch(self, repository: Repository) -> None:
        going = self._going
        if repository.own is not None:
            head = repository.git.head_of(going.branch)
            if head:
                repository.git("update-ref", "--no-deref", "HEAD", head)
                repository.git("update-ref", "-d", f"refs/heads/{going.branch}", head)
        else:
            repository.git.attempt("branch", "-D", "--quiet", "--", going.branch)  # refused where it is checked out

    def _close_own(self, own: OwnClone, *, auto_commit: bool) -> bool:
        """Returns whether uncommitted changes stay in the tree."""
        going, notes = self._going, self.notes
        if own.is_gone():
            notes.append("The agent removed its own workspace, with what it committed there.")
            own.make_again()
            return False
        own.quieten(notes)
        git_folder = os.path.join(own.workspace.folder, ".git")
        end = settlement.end_of(own.git, git_folder, going, notes)
        sparse = own.left_out_by_choice()
        claimed = claims.read(own.git, end.head if end.on_branch else "")
        own.seal(notes)
        head = own.git.head_of(going.branch)
        on_branch = end.on_branch or not end.head  # a branch that is gone begins anew with what is in the tree
        if end.head and not head:
            notes.append(f"What the agent committed on {going.branch} is damaged and was not taken.")
        try:
            own.look(head or going.base if auto_commit else going.base, going.branch)
            began = self._record.submodules
            submodule_checkout.hold(own.git, going.branch)
            found = changes(own.git, before=self._record.beforehand)
            found = submodules.sort_out(own.git, found.without_deleted(own.git.folder, sparse), began)
            if auto_commit and on_branch and head:
                found = claims.take(own.git, claimed, found, self._record.beforehand, going.branch)
            submodules.tell(own.git, within(own.git), began, notes)
            settlement.name_what_is_left_out(found, notes)
            if auto_commit and on_branch:
                settlement.commit(own.git, going, head or going.base, found)
            own.save_index()
        except Failed as error:
            notes.append(f"Not all of it could be taken: {error.message}.")
            return True
        return bool(found) and not (auto_commit and on_branch)

    def forget(self) -> None:
        """The result of a run that ended well is on disk."""
        self._record.forget(self._going.asked)


def open_workspace(workspace: Workspace, repository: Repository, record: Record, wanted: Wanted) -> OpenWorkspace:
    """Open a workspace for a run. Raises Unusable, Incomplete, Failed."""
    aside: list[str] = []
    opened = recover(workspace, repository, record, go_on=wanted, aside=aside)
    if opened is not None:
        return opened
    if repository.own is None:
        repository.require_rest()
    going, go_on = _plan(workspace, repository, record, wanted)
    record.begin(going, ready=go_on)
    opened = OpenWorkspace(repository, workspace, record, going)
    opened.notes.extend(aside)
    try:
        if go_on:
            opened.go_on()
            opened.notes.append(f"It went on with the changes that were left in the workspace, from {going.base[:12]}.")
        else:
            opened.set_up()
    except (Failed, OSError) as error:
        _give_up(workspace, repository, record, error)
    except BaseException:
        opened.close()
        raise
    return opened


def _give_up(workspace: Workspace, repository: Repository, record: Record, error: Failed | OSError) -> NoReturn:
    """Raise what a workspace that cannot be set up means: an own one is made anew the next time."""
    words = error.message if isinstance(error, Failed) else f"{error.filename or workspace.folder}: {error.strerror}"
    if repository.own is None:
        record.end()
        raise Unusable(f"{repository.folder}: {words}") from error
    if is_no_fault_of_it(error):
        record.end()
        raise Failed(f"the workspace {workspace.name} could not be set up: {words}") from error
    if any(sign in words for sign in ("unable to read", "bad object", "missing blob", "missing tree", "corrupt")):
        repository.own.store.set_aside(words)
        record.end()
        raise Incomplete(
            f"the objects of {workspace.project.name} are damaged and are fetched anew ({words})"
        ) from error
    aside = set_aside(workspace, record)
    record.clear()
    journal.error(f"the workspace {workspace.folder} cannot be used ({words}); it is now {aside}")
    raise Incomplete(f"the workspace could not be used ({words}); it is kept as {aside} and made anew") from error


def recover(
    workspace: Workspace,
    repository: Repository,
    record: Record,
    go_on: Wanted | None = None,
    aside: list[str] | None = None,
) -> OpenWorkspace | None:
    """Put right what a run that was killed left behind; `aside` gets what there is to say about a person's edits.

    Where the same run, asked for by its branch and base, goes on, the tree stays as it is, and is returned open.
    """
    going = record.going
    if going is None:
        return None
    if going.folder != workspace.folder or going.own != workspace.own:
        journal.warning(f"a killed run worked in {going.folder}, look there", project=workspace.project.name)
        record.end()
        return None
    left = OpenWorkspace(repository, workspace, record, going)
    own = repository.own
    same = go_on is not None and going.branch == record.continued(go_on.branch, go_on.base)
    if own is not None and record.ready and same:
        notes: list[str] = []
        own.quieten(notes)
        settlement.end_of(own.git, os.path.join(own.workspace.folder, ".git"), going, notes)
        own.seal(notes)
        left.go_on()
        return left
    try:
        closed = left.close()
    except (Failed, OSError) as error:
        if own is None or is_no_fault_of_it(error):
            raise
        _give_up(workspace, repository, record, error)
    if aside is not None and own is None:
        aside.extend(closed.aside)
    journal.notice(f"closed what a killed run left on {going.branch}: {closed.describe()}", project=workspace.name)
    return None


def _plan(workspace: Workspace, repository: Repository, record: Record, wanted: Wanted) -> tuple[Going, bool]:
    """On which branch the run works, and whether it goes on in the tree as it is. Raises Unusable."""
    git, left = repository.git, record.uncommitted
    if left is not None and _is_there_still(repository, left):
        going = _going(workspace, wanted, left.branch, left.base, created=False, ours=True)
        return going._replace(back=left.back), True
    start, at_asked = git.commits_of(wanted.base, f"refs/heads/{wanted.branch}")
    if not start:
        raise Incomplete(f"{repository.folder} lacks the commit {wanted.base[:12]} to start from")
    branch = record.continued(wanted.branch, wanted.base)
    head = git.head_of(branch) if branch else ""
    if not head:
        branch, head = wanted.branch, at_asked
        number = 1
        while head and head != wanted.base:
            number += 1
            branch = f"{wanted.branch}-{number}"
            head = git.head_of(branch)
    ours = not head or branch == record.continued(wanted.branch, wanted.base)
    going = _going(workspace, wanted, branch, wanted.base, created=not head, ours=ours)
    if repository.own is None:
        going = going._replace(back=_back(repository))
    return going, False


def _going(workspace: Workspace, wanted: Wanted, branch: str, base: str, *, created: bool, ours: bool) -> Going:
    return Going(
        own=workspace.own,
        folder=workspace.folder,
        asked=wanted.branch,
        branch=branch,
        base=base,
        back="",
        title=wanted.title,
        created=created,
        ours=ours,
    )


def _is_there_still(repository: Repository, left: Uncommitted) -> bool:
    return bool(repository.git.head_of(left.branch)) and (
        repository.own is not None or repository.git.branch() == left.branch
    )


def _back(repository: Repository) -> str:
    """What is checked out in the project's folder. Raises Unusable when it cannot be left and put back."""
    git: Git = repository.git
    if not git.commit_of("HEAD"):
        raise Unusable(f"{repository.folder} has no commit checked out; make a first commit there")
    check_rest(repository.folder, repository.git_folder)
    if changes(git, with_untracked=False):
        raise Unusable(
            f"{repository.folder} has uncommitted changes; commit or stash them there, or say `!stash`, which puts"
            " them aside, or `!own`, after which the agent works in a clone of its own; then send the task again"
        )
    return git.branch() or git.commit_of("HEAD")


def _some(paths: list[bytes]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(path.decode("utf-8", "replace") for path in paths[:_NAMED]) + more
