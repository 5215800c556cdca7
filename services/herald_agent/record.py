"""What a workspace is used for at the moment, on disk, so that the act after a kill can put it right.

One file for each workspace, `checkouts/NAME.json`: the run that is going, the branches of runs that did not end well,
which a further attempt continues, and changes that were left uncommitted. Beside it `NAME.ready` exists from the end
of the checkout until everything was taken: without it, what lies in the workspace is nobody's work. `NAME.taking`
exists until a new workspace has taken over what versions before had. `NAME.index` is the index as of Herald's last look
at an own workspace. Written under the workspace lock.
"""

import json
import os
from typing import Any, NamedTuple

from herald import durable, journal
from herald_agent.beforehand import Beforehand
from herald_agent.locks import folder
from herald_agent.submodules import Standing
from herald_agent.workspace import Workspace, own_folder

_MOST_UNFINISHED = 50
_LIMIT = 1 << 30  # a million paths, some of them long
_MOST_UNTOLD = 20


class Going(NamedTuple):
    """A run that uses the workspace. `back` is the branch or commit that path mode puts back, `asked` the branch
    that the caller named, `created` whether this run has to make `branch`, `ours` whether it or an earlier attempt
    of the same run made it."""

    own: bool
    folder: str
    asked: str
    branch: str
    base: str
    back: str
    title: str
    created: bool
    ours: bool


class Uncommitted(NamedTuple):
    """Changes that were left in the working tree of a folder: on which branch, from which commit on, and what path
    mode puts back when they are gone."""

    branch: str
    base: str
    back: str
    folder: str
    own: bool


class Record:
    """The record of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        records, name = folder("checkouts"), workspace.name
        self._workspace = workspace
        self._path = os.path.join(records, f"{name}.json")
        self._ready = os.path.join(records, f"{name}.ready")
        self._taking = os.path.join(records, f"{name}.taking")
        self.index = os.path.join(records, f"{name}.index")
        self.going: Going | None = None
        self._left: dict[str, Uncommitted] = {}
        self.has_taken_over = False
        """Whether an own workspace had its beginning, with what there was before it."""
        self.untold: list[str] = []
        """Sentences for people that the next run's answer has to say."""
        self.excluded = ""
        """Patterns of files from before the run, which are nobody's work."""
        self.before: list[str] = []
        """Untracked files from before the run; a folder of such files ends with a slash."""
        self.ignored: list[str] = []
        """What git ignored then, in the same form."""
        self.told: list[str] = []
        """Kinds of things that are said once for a workspace."""
        self.upstream: tuple[str, str] = ("", "")
        """The remote's default branch and its head, as told last."""
        self.copied: dict[str, str] = {}
        """Digests of the files that were copied from the project's folder."""
        self.submodules: dict[str, Standing] = {}
        """Where submodules stood when the run began, by path."""
        self.came: dict[str, Standing] = {}
        """Where a person had them; path mode puts that back."""
        self.hidden: list[str] = []
        """Submodules that stand elsewhere than the base has them, and that git passes over during the run."""
        self.astray: tuple[str, str] = ("", "")
        """The run's branch that could not be left in a person's folder, and what is to be put back there."""
        self._unfinished: dict[str, list[str]] = {}
        for each in os.listdir(records):
            if each.startswith(f".{workspace.name}.json."):  # a kill came while it was written
                durable.with_no_trace(os.path.join(records, each))
        self._load()

    def _load(self) -> None:
        try:
            body = json.loads(durable.read_limited(self._path, _LIMIT))
            self.going = _going(body["going"])
            self._unfinished = {str(asked): [str(branch), str(base)] for asked, (branch, base) in body["ended"].items()}
            self._left = {each.folder: each for each in _left(body.get("uncommitted"), self._workspace)}
            self.has_taken_over = bool(body.get("taken over", False))
            self.untold = [str(each) for each in body.get("untold", [])]
            self.excluded = str(body.get("excluded", ""))
            self.before = [str(each) for each in body.get("before", [])]
            self.ignored = [str(each) for each in body.get("ignored", [])]
            self.told = [str(each) for each in body.get("told", [])]
            branch, head = body.get("upstream", ("", ""))
            self.upstream = (str(branch), str(head))
            self.copied = {str(path): str(digest) for path, digest in body.get("copied", {}).items()}
            self.submodules = _standings(body.get("submodules", {}))
            self.came = _standings(body.get("came", {}))
            branch, back = body.get("astray", ("", ""))
            self.astray = (str(branch), str(back))
            self.hidden = [str(each) for each in body.get("hidden", [])]
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            aside = durable.set_aside(self._path)
            journal.warning(f"{self._path} is damaged ({error!r}) and was set aside as {aside}; check the checkout")

    def begin(self, going: Going, *, ready: bool) -> None:
        """Note a run before it touches the workspace; `ready`: it goes on in what is there."""
        if ready:
            self.set_ready()
        else:
            self.set_unready()
        self.going = going
        self._unfinished.pop(going.asked, None)
        self._unfinished[going.asked] = [going.branch, going.base]
        self.write()

    @property
    def beforehand(self) -> Beforehand:
        """What lay in the workspace before the run."""
        return Beforehand(self.before, self.ignored)

    @property
    def uncommitted(self) -> Uncommitted | None:
        """Changes that were left in the folder of this workspace."""
        return self._left.get(self._workspace.folder)

    @uncommitted.setter
    def uncommitted(self, left: Uncommitted | None) -> None:
        if left is None:
            self._left.pop(self._workspace.folder, None)
        else:
            self.add_left(left)

    @property
    def elsewhere(self) -> list[Uncommitted]:
        """Changes that were left in another folder, when the project worked there."""
        return [each for each in self._left.values() if each.folder != self._workspace.folder]

    def add_left(self, left: Uncommitted) -> None:
        """Note changes that were left, wherever that is."""
        self._left[left.folder] = left

    def is_here(self, going: Going) -> bool:
        """Whether a run worked in the folder of this workspace."""
        return going.folder == self._workspace.folder and going.own == self._workspace.own

    def tell(self, *sentences: str) -> None:
        """Have the next run's answer say this; `write` puts it on the disk."""
        self.untold = list(dict.fromkeys([*self.untold, *sentences]))[-_MOST_UNTOLD:]

    @property
    def ready(self) -> bool:
        """Whether the workspace had been set up completely."""
        return os.path.exists(self._ready)

    def set_ready(self) -> None:
        """Note that the workspace is set up. Not fsynced: after a power cut the checkout may be incomplete anyway."""
        with open(self._ready, "wb"):
            pass

    def set_unready(self) -> None:
        """Note that everything was taken out of the workspace: nobody's work is lost with it."""
        durable.with_no_trace(self._ready)

    @property
    def taking_over(self) -> bool:
        """Whether the workspace is being made, and has not taken over yet what was there before it."""
        return os.path.exists(self._taking)

    def set_taking_over(self) -> None:
        """Note that the workspace is made now."""
        with open(self._taking, "wb"):
            pass

    def set_taken_over(self) -> None:
        """Note that nothing is left to take over, also when the workspace is made anew."""
        if not self.has_taken_over:
            self.has_taken_over = True
            self.write()
        durable.with_no_trace(self._taking)

    def end(self) -> None:
        """Note that the workspace is at rest again."""
        self.going = None
        self.write()
        self.set_unready()

    def forget(self, asked: str, told: list[str]) -> None:
        """Note that the result of a run is on the disk, which says what was `told`. One that was `asked` for and ended
        well is not continued."""
        if asked in self._unfinished or told:
            self._unfinished.pop(asked, None)
            self.untold = [each for each in self.untold if each not in told]
            self.write()

    def made_anew(self) -> None:
        """Note that an own workspace begins without any file."""
        self.uncommitted, self.copied = None, {}
        self.write()
        self.set_unready()
        durable.with_no_trace(self.index)

    def clear(self) -> None:
        """Note that the workspace is made anew; what there is elsewhere, and what is to be told, stays."""
        self.going, self.uncommitted, self.excluded = None, None, ""
        self.before, self.ignored = [], []
        self._unfinished, self.told, self.copied = {}, [], {}
        self.submodules, self.came, self.hidden = {}, {}, []
        self.write()
        self.set_unready()
        durable.with_no_trace(self.index)

    def continued(self, asked: str, base: str) -> str:
        """The branch on which an earlier attempt of the same run worked, empty if there is none."""
        branch, begun_at = self._unfinished.get(asked, ["", ""])
        return branch if begun_at == base else ""

    def write(self) -> None:
        """Put it on the disk. Raises OSError."""
        for asked in list(self._unfinished)[:-_MOST_UNFINISHED]:
            del self._unfinished[asked]
        kept = (self._unfinished, self._left, self.untold, self.excluded, self.before, self.told, self.copied)
        if self.going is None and not any((*kept, self.has_taken_over, self.came, self.upstream[0], self.astray[0])):
            durable.with_no_trace(self._path)
            return
        body = {
            "going": self.going and self.going._asdict(),
            "ended": self._unfinished,
            "uncommitted": [each._asdict() for each in self._left.values()],
            "untold": self.untold,
            "taken over": self.has_taken_over,
            "excluded": self.excluded,
            "before": self.before,
            "ignored": self.ignored,
            "told": self.told,
            "copied": self.copied,
            "upstream": self.upstream,
            "submodules": self.submodules,
            "came": self.came,
            "hidden": self.hidden,
            "astray": self.astray,
        }
        durable.write_atomic(self._path, json.dumps(body, indent=1).encode(), 0o600)


def _standings(found: dict[str, Any]) -> dict[str, Standing]:
    return {str(path): Standing(*map(str, each)) for path, each in found.items()}


def _left(found: Any, workspace: Workspace) -> list[Uncommitted]:
    if found and isinstance(found[0], str):  # of the version before, which told no folders
        branch, base, back = map(str, [*found, ""][:3])
        own_place = own_folder(workspace.name)
        return [Uncommitted(branch, base, back, workspace.project.path if back else own_place, own=not back)]
    types = Uncommitted.__annotations__
    return [Uncommitted(*(types[name](each[name]) for name in Uncommitted._fields)) for each in found or []]


def _going(found: dict[str, Any] | None) -> Going | None:
    if found is None:
        return None
    if "mode" in found:  # of the version before, which knew worktrees of the clone
        if found["mode"] == "worktree":
            return None
        found = {**found, "own": False, "folder": found["clone"]}
    types = Going.__annotations__
    return Going(*(types[name](found[name]) for name in Going._fields))
