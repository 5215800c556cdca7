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

_MOST_UNFINISHED = 50
_LIMIT = 1 << 30  # a million paths, some of them long


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
    """Changes that were left in the working tree: on which branch, from which commit on, and what path mode puts back
    when they are gone."""

    branch: str
    base: str
    back: str = ""


class Record:
    """The record of one workspace."""

    def __init__(self, workspace: str) -> None:
        records = folder("checkouts")
        self._path = os.path.join(records, f"{workspace}.json")
        self._ready = os.path.join(records, f"{workspace}.ready")
        self._taking = os.path.join(records, f"{workspace}.taking")
        self.index = os.path.join(records, f"{workspace}.index")
        self.going: Going | None = None
        self.uncommitted: Uncommitted | None = None
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
        self._unfinished: dict[str, list[str]] = {}
        for name in os.listdir(records):
            if name.startswith(f".{workspace}.json."):  # a kill came while it was written
                durable.with_no_trace(os.path.join(records, name))
        self._load()

    def _load(self) -> None:
        try:
            body = json.loads(durable.read_limited(self._path, _LIMIT))
            self.going = _going(body["going"])
            self._unfinished = {str(asked): [str(branch), str(base)] for asked, (branch, base) in body["ended"].items()}
            left = body.get("uncommitted")
            self.uncommitted = Uncommitted(*map(str, left)) if left else None
            self.excluded = str(body.get("excluded", ""))
            self.before = [str(each) for each in body.get("before", [])]
            self.ignored = [str(each) for each in body.get("ignored", [])]
            self.told = [str(each) for each in body.get("told", [])]
            branch, head = body.get("upstream", ("", ""))
            self.upstream = (str(branch), str(head))
            self.copied = {str(path): str(digest) for path, digest in body.get("copied", {}).items()}
            self.submodules = _standings(body.get("submodules", {}))
            self.came = _standings(body.get("came", {}))
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
        """Note that nothing is left to take over."""
        durable.with_no_trace(self._taking)

    def end(self) -> None:
        """Note that the workspace is at rest again."""
        self.going = None
        self.write()
        self.set_unready()

    def forget(self, asked: str) -> None:
        """Note that a run has its result and ended well: it is not continued."""
        self._unfinished.pop(asked, None)
        self.write()

    def clear(self) -> None:
        """Note that the workspace is made anew."""
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
        kept = (self._unfinished, self.uncommitted, self.excluded, self.before, self.told, self.copied, self.came)
        if self.going is None and not any((*kept, self.upstream[0])):
            durable.with_no_trace(self._path)
            return
        body = {
            "going": self.going and self.going._asdict(),
            "ended": self._unfinished,
            "uncommitted": self.uncommitted,
            "excluded": self.excluded,
            "before": self.before,
            "ignored": self.ignored,
            "told": self.told,
            "copied": self.copied,
            "upstream": self.upstream,
            "submodules": self.submodules,
            "came": self.came,
            "hidden": self.hidden,
        }
        durable.write_atomic(self._path, json.dumps(body, indent=1).encode(), 0o600)


def _standings(found: dict[str, Any]) -> dict[str, Standing]:
    return {str(path): Standing(*map(str, each)) for path, each in found.items()}


def _going(found: dict[str, Any] | None) -> Going | None:
    if found is None:
        return None
    if "mode" in found:  # of the version before, which knew worktrees of the clone
        if found["mode"] == "worktree":
            return None
        found = {**found, "own": False, "folder": found["clone"]}
    types = Going.__annotations__
    return Going(*(types[name](found[name]) for name in Going._fields))
