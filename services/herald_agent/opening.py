"""A workspace while a run has it: a branch of its own, from the commit that the worker named.

Opening writes down what has to be put right, closing puts it right; a run that was killed in between is closed by the
next act in the same workspace.
"""

import os
import zlib
from typing import NoReturn

from herald import journal
from herald.errors import Failed
from herald_agent import (
    beforehand,
    claims,
    copies,
    gitfolder,
    largefiles,
    obstacles,
    recovery,
    settlement,
    submodule_checkout,
    submodules,
    submodules_in_place,
    tree,
)
from herald_agent.beforehand import Beforehand
from herald_agent.changes import changes
from herald_agent.disarming import unblock
from herald_agent.git import refused
from herald_agent.inside import Unusable
from herald_agent.obstacles import some
from herald_agent.ownclone import OwnClone, is_no_fault_of_it, set_aside
from herald_agent.planning import Wanted, name_what_is_elsewhere, plan
from herald_agent.record import Going, Record
from herald_agent.repository import Repository
from herald_agent.settlement import Left
from herald_agent.store import Incomplete
from herald_agent.submodule_checkout import within
from herald_agent.workspace import Workspace

_LONG = 300.0
"""Seconds for a checkout, which grows with the size of the repository."""


class OpenWorkspace:
    """A workspace in which a run goes on; the agent works in `folder` on `branch`, which began at `base`."""

    def __init__(self, repository: Repository, workspace: Workspace, record: Record, going: Going) -> None:
        self.repository = repository
        self.notes: list[str] = []
        self._told: list[str] = []
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
            obstacles.tell_of_moved(self._workspace.kept, moved, self.notes)
            copies.copy_files(own, self.notes)
            copies.name_what_is_left_behind(own, self.notes)
            strangers = tree.untracked(own.git)
            self._note_what_lies_there(strangers)
            own.exclude(tree.patterns_of(map(os.fsencode, self._record.beforehand.untracked)))
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
        if names := obstacles.named(output):
            raise Failed(f"in the way of what is to be checked out: {some(names)}; move that away, or say `!own`")
        raise refused("checkout", output)

    def _note_what_lies_there(self, strangers: list[bytes]) -> None:
        git = self.repository.git
        others = [os.fsdecode(path) for path in tree.untracked_files(git, strangers)]
        self._record.beforehand = Beforehand(others, beforehand.ignored(git))

    def _tell_of_strangers(self, strangers: list[bytes]) -> None:
        """Once for as long as they are the same."""
        kind = f"strangers {zlib.crc32(b' '.join(strangers)):08x}"
        if strangers and kind not in self._record.told:
            self.notes.append(
                f"Not part of the work, because it was there before: {some(list(map(os.fsdecode, strangers)))}."
            )
        others = [each for each in self._record.told if not each.startswith("strangers ")]
        self._record.told = [*others, kind] if strangers else others
        self._record.write()

    def hidden(self) -> bytes:
        """Patterns of a person's untracked files, which the agent's own git is to pass over, too."""
        return tree.patterns_of([] if self._going.own else map(os.fsencode, self._record.beforehand.untracked))

    def go_on(self) -> None:
        """Work in the tree as it is, whatever a run did to the repository. Raises Failed, OSError."""
        own = self.repository.own
        if own is not None:
            notes: list[str] = []
            own.quieten(notes)
            settlement.end_of(
                own.git, os.path.join(own.workspace.folder, ".git"), self._going, notes, self._workspace.kept
            )
            own.seal(notes)
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
                is_back = settlement.put_back(
                    *(repository.git, going, notes, self._workspace.kept), cut_off=cut_off and not ready
                )
                at = repository.git.branch() or repository.git.commit_of("HEAD") or going.branch
                self._record.astray = ("", "") if is_back else (at, going.back)
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
        end = settlement.end_of(own.git, git_folder, going, notes, own.workspace.kept)
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

    def tell_what_is_untold(self) -> None:
        """Say what acts before had to say to people, and what there is in another folder."""
        self._told = list(self._record.untold)
        self.notes.extend(self._told)
        name_what_is_elsewhere(self._record, self.notes)

    def forget(self, *, well: bool) -> None:
        """The result of the run, which ended well or not, is on disk."""
        self._record.forget(self._going.asked if well else "", self._told)


def open_workspace(workspace: Workspace, repository: Repository, record: Record, wanted: Wanted) -> OpenWorkspace:
    """Open a workspace for a run. Raises Unusable, Incomplete, Failed."""
    opened = recover(workspace, repository, record, go_on=wanted)
    if opened is not None:
        opened.tell_what_is_untold()
        return opened
    try:
        if repository.own is None:
            repository.require_rest()
        going, go_on = plan(workspace, repository, record, wanted)
    except Unusable as error:  # who cannot begin is told all the same
        raise type(error)(" ".join([*record.untold, error.message])) from error
    opened = OpenWorkspace(repository, workspace, record, going)
    opened.tell_what_is_untold()
    record.begin(going, ready=go_on)
    try:
        if go_on:
            opened.go_on()
            opened.notes.append(f"It went on with the changes that were left in the workspace, from {going.base[:12]}.")
        else:
            opened.set_up()
    except (Failed, OSError) as error:
        if repository.own is None:
            _put_back(opened, error)
        _give_up(workspace, repository.own, record, error)
    except BaseException:  # a stop, above all: the folder is put back before it goes on
        opened.close()
        raise
    return opened


def _put_back(opened: OpenWorkspace, error: Failed | OSError) -> NoReturn:
    """A person's folder could not be set up: it is as before, or the next act puts it back. Raises Unusable."""
    said, words = len(opened.notes), f"{opened.folder} could not be set up: {_words(error, opened.folder)}."
    try:
        opened.close()
    except (Failed, OSError) as other:
        reason = _words(other, opened.folder)
        raise Unusable(
            f"{words} Nor could it be put back: {reason}; it may stand on branch {opened.branch}, and the next task"
            " tries again"
        ) from error
    raise Unusable(" ".join([words, *opened.notes[said:]])) from error


def _words(error: Failed | OSError, folder: str) -> str:
    return error.message if isinstance(error, Failed) else f"{error.filename or folder}: {error.strerror}"


def _give_up(workspace: Workspace, own: OwnClone, record: Record, error: Failed | OSError) -> NoReturn:
    """Raise what an own workspace that cannot be set up means: it is made anew the next time."""
    words = _words(error, workspace.folder)
    if is_no_fault_of_it(error):
        record.end()
        raise Failed(f"the workspace {workspace.name} could not be set up: {words}") from error
    if any(sign in words for sign in ("unable to read", "bad object", "missing blob", "missing tree", "corrupt")):
        own.store.set_aside(words)
        own.making.set_aside(words)
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
) -> OpenWorkspace | None:
    """Put right what a run that was killed left behind; what people have to know is told by the next run.

    Where the same run, asked for by its branch and base, goes on, the tree stays as it is, and is returned open.
    """
    going = record.going
    if going is None:
        return None
    if repository.own is None and not recovery.is_as_it_was_left(repository, going, ready=record.ready):
        recovery.leave(repository, record, going)
        return None
    left = OpenWorkspace(repository, workspace, record, going)
    own = repository.own
    same = go_on is not None and going.branch == record.continued(go_on.branch, go_on.base)
    if own is not None and record.ready and same:
        left.go_on()
        return left
    try:
        closed = left.close()
    except (Failed, OSError) as error:
        if own is None or is_no_fault_of_it(error):
            raise
        _give_up(workspace, own, record, error)
    if own is None and closed.aside:
        record.tell(*closed.aside)
        record.write()
    journal.notice(f"closed what a killed run left on {going.branch}: {closed.describe()}", project=workspace.name)
    return None
