"""What a project's workspace is used for at the moment, on disk, so that the act after a kill can put it right.

One file for each project, `checkouts/PROJECT.json`: the run that is going, and the branches of runs that did not end
well, which a further attempt continues. Beside it `PROJECT.ready` exists from the end of the checkout until
everything was taken: without it, what lies in the workspace is nobody's work. Written under the workspace lock.
"""

import json
import os
from typing import Any, NamedTuple

from herald import durable, journal
from herald_agent.locks import folder

_MOST_UNFINISHED = 50
_LIMIT = 1 << 20


class Going(NamedTuple):
    """A run that uses the workspace. `back` is the branch or commit that path mode puts back, `asked` the branch
    that the caller named, `created` whether this run has to make `branch`, `ours` whether it or an earlier attempt
    of the same run made it."""

    mode: str
    clone: str
    folder: str
    asked: str
    branch: str
    base: str
    back: str
    title: str
    created: bool
    ours: bool


class Record:
    """The record of one project."""

    def __init__(self, project: str) -> None:
        records = folder("checkouts")
        self._path = os.path.join(records, f"{project}.json")
        self._ready = os.path.join(records, f"{project}.ready")
        self.going: Going | None = None
        self._unfinished: dict[str, list[str]] = {}
        for name in os.listdir(records):
            if name.startswith(f".{project}.json."):  # a kill came while it was written
                durable.with_no_trace(os.path.join(records, name))
        self._load()

    def _load(self) -> None:
        try:
            body = json.loads(durable.read_limited(self._path, _LIMIT))
            self.going = _going(body["going"])
            self._unfinished = {str(asked): [str(branch), str(base)] for asked, (branch, base) in body["ended"].items()}
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            aside = durable.set_aside(self._path)
            journal.warning(f"{self._path} is damaged ({error!r}) and was set aside as {aside}; check the checkout")

    def begin(self, going: Going, *, ready: bool) -> None:
        """Note a run before it touches the workspace; `ready`: it goes on in one that is there."""
        if ready:
            self.set_ready()
        else:
            self.set_unready()
        self.going = going
        self._unfinished.pop(going.asked, None)
        self._unfinished[going.asked] = [going.branch, going.base]
        self._write()

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

    def end(self) -> None:
        """Note that the workspace is at rest again."""
        self.going = None
        self._write()
        self.set_unready()

    def forget(self, asked: str) -> None:
        """Note that a run has its result and ended well: it is not continued."""
        self._unfinished.pop(asked, None)
        self._write()

    def continued(self, asked: str, base: str) -> str:
        """The branch on which an earlier attempt of the same run worked, empty if there is none."""
        branch, begun_at = self._unfinished.get(asked, ["", ""])
        return branch if begun_at == base else ""

    def _write(self) -> None:
        for asked in list(self._unfinished)[:-_MOST_UNFINISHED]:
            del self._unfinished[asked]
        if self.going is None and not self._unfinished:
            durable.with_no_trace(self._path)
            return
        body = {"going": self.going and self.going._asdict(), "ended": self._unfinished}
        durable.write_atomic(self._path, json.dumps(body, indent=1).encode(), 0o600)


def _going(found: dict[str, Any] | None) -> Going | None:
    if found is None:
        return None
    types = Going.__annotations__
    return Going(*(types[name](found[name]) for name in Going._fields))
