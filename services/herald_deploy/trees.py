"""The trees of a project: one folder for each commit, kept as long as containers may use it.

Containers can have parts of a tree mounted. So a tree is never changed: another commit has another path, upon which
compose makes such containers anew; and it goes only after a later one was deployed well. What containers have
written into one stays where it is, and is told.
"""

import os
import shutil

from herald import durable, journal, names
from herald.errors import Failed
from herald_deploy.unpacking import unpack

_MADE, _NEW = ".made", ".new"
_MOST_KEPT = 5
"""Trees of deployments that did not go well, besides the last one that did."""


class Trees:
    """The folders of one project; whoever uses them holds the project's lock."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._record = os.path.join(names.state_folder(names.DEPLOY), project, "deployed")
        self._folder = os.path.join(names.state_folder(names.DEPLOY), project, "trees")

    def lay_out(self, tar: int, commit: str) -> str:
        """The tree of a commit, unpacked now or before; returns its path. Raises Failed and OSError."""
        os.makedirs(self._folder, 0o700, exist_ok=True)
        self._sweep()
        self._thin_out()
        number, name = 1, commit
        while name in self._there():
            if self._is_untouched(name):
                return self._path(name)
            number += 1
            name = f"{commit}.{number}"
        try:
            unpack(tar, self._path(name + _NEW))
        except Failed:
            self._remove(name + _NEW)
            raise
        os.rename(self._path(name + _NEW), self._path(name))
        durable.sync_folder(self._folder)
        durable.write_atomic(self._path(name + _MADE), b"", 0o600)
        return self._path(name)

    def deployed(self, tree: str) -> list[str]:
        """Note that a tree was deployed well, and remove the others; returns sentences on what stays."""
        name = os.path.basename(tree)
        durable.write_atomic(self._record, name.encode(), 0o600)
        notes = []
        for other in self._there() - {name}:
            if self._is_untouched(other):
                self._remove(other)
            else:
                notes.append(
                    f"⚠️ Containers have written into {self._path(other)}, which stays; they see another folder now."
                    " Data belongs into a named volume."
                )
        return sorted(notes)

    def _thin_out(self) -> None:
        """Keep what containers may use by now, but not any number of trees."""
        kept = self._last_deployed()
        others = sorted(self._there() - {kept}, key=lambda name: os.stat(self._path(name + _MADE)).st_mtime_ns)
        for name in others[:-_MOST_KEPT]:
            if self._is_untouched(name):
                self._remove(name)

    def _there(self) -> set[str]:
        """The names of all trees that are whole."""
        found = os.listdir(self._folder)
        return {name.removesuffix(_MADE) for name in found if name.endswith(_MADE)}

    def _sweep(self) -> None:
        """Remove what a kill has left half done: no container has seen it."""
        whole = self._there()
        for name in os.listdir(self._folder):
            if not name.endswith(_MADE) and name not in whole:
                self._remove(name)
        for name in whole:
            if not os.path.isdir(self._path(name)):
                durable.with_no_trace(self._path(name + _MADE))

    def _is_untouched(self, name: str) -> bool:
        """Whether nothing was written into a tree since it was made."""
        made = os.stat(self._path(name + _MADE)).st_ctime_ns
        try:
            for folder, folders, files in os.walk(self._path(name), onerror=_raise):
                if any(os.lstat(os.path.join(folder, each)).st_ctime_ns > made for each in (".", *folders, *files)):
                    return False
        except OSError:
            return False  # what cannot be looked at was made by a container
        return True

    def _remove(self, name: str) -> None:
        """The mark goes first: what is left of a tree after a kill is not taken for one."""
        durable.with_no_trace(self._path(name + _MADE))
        try:
            shutil.rmtree(self._path(name))
        except OSError as error:
            journal.warning(f"{self._path(name)} could not be removed: {error}", project=self._project)

    def _last_deployed(self) -> str:
        try:
            return durable.read_limited(self._record, 1000).decode(errors="replace")
        except (FileNotFoundError, ValueError):
            return ""

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)


def _raise(error: OSError) -> None:
    raise error
