"""What the worker brought of a workspace's submodules, on disk: `submodules/NAME.json`. Written under its lock."""

import json
import os
from typing import NamedTuple

from herald import durable, journal
from herald_agent.locks import folder

_LIMIT = 8 << 20


class Known(NamedTuple):
    """A submodule that the worker brought: its folder below `.git/modules`, its name in the repository around it, and
    where it comes from. `problem` says why it could not be brought, empty when it was; `told`: people know."""

    folder: str
    name: str
    url: str
    problem: str = ""
    told: bool = False


def load(workspace: str) -> dict[str, Known]:
    """The submodules of a workspace by path. A damaged record is set aside: the worker brings them again."""
    path = _path(workspace)
    try:
        body = json.loads(durable.read_limited(path, _LIMIT))
        return {
            str(at): Known(str(each[0]), str(each[1]), str(each[2]), str(each[3]), told=each[4] is True)
            for at, each in body.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        aside = durable.set_aside(path)
        journal.warning(f"{path} is damaged ({error!r}) and was set aside as {aside}")
        return {}


def save(workspace: str, known: dict[str, Known]) -> None:
    """Raises OSError."""
    durable.write_atomic(_path(workspace), json.dumps(known, indent=1).encode(), 0o600)


def _path(workspace: str) -> str:
    return os.path.join(folder("submodules"), f"{workspace}.json")
