"""Which repositories of submodules a `.git` folder holds, below `modules`; links are not followed."""

import os

from herald_agent.disarming import is_folder
from herald_agent.submodules import DEEPEST, MOST

_LEVELS = 8
"""Slashes in the name of a submodule."""


def find(top: str, prefix: str = "", depth: int = 0, levels: int = 0) -> list[str]:
    """In the child: the repositories below a folder, each before those in it."""
    found: list[str] = []
    if not is_folder(top):
        return found
    for name in sorted(os.listdir(top)):
        path, inner = os.path.join(top, name), f"{prefix}{name}"
        if len(found) >= MOST or not is_folder(path):
            continue
        if is_folder(os.path.join(path, "objects")) and os.path.lexists(os.path.join(path, "HEAD")):
            found.append(inner)
            if depth < DEEPEST:
                found += find(os.path.join(path, "modules"), f"{inner}/modules/", depth + 1, 0)
        elif levels < _LEVELS:
            found += find(path, f"{inner}/", depth, levels + 1)
    return found
