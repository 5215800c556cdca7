"""What belongs to a person's clone besides its folder: git can keep its parts in several places."""

import os

_MOST_BYTES = 65536
_MOST_LENDERS = 20


def of_clone(path: str) -> tuple[str, ...]:
    """The clone, the git folders of a linked work tree, a submodule or a separated one, and whose objects it borrows.

    Read from files that the clone's owner wrote; a place that is named and not there is left out.
    """
    folder = _pointed(path, os.path.join(path, ".git"), "gitdir:") or os.path.join(path, ".git")
    common = _pointed(folder, os.path.join(folder, "commondir")) or folder
    places = [path, folder, common]
    waiting = [os.path.join(common, "objects")]
    while waiting and len(places) < _MOST_LENDERS:
        objects = waiting.pop()
        lines = _read(os.path.join(objects, "info", "alternates")).splitlines()
        lenders = [os.path.normpath(os.path.join(objects, each)) for each in lines if each and each[0] not in '#"']
        waiting += [each for each in lenders if each not in places]
        places += lenders
    found: list[str] = []
    for each in map(os.path.realpath, places):
        if not any(each == other or each.startswith(f"{other}/") for other in found):
            found.append(each)
    return tuple(found)


def _pointed(folder: str, file: str, label: str = "") -> str:
    """The folder that a file names; empty when it is none, or not there."""
    text = _read(file).strip()
    if not text.startswith(label) or not text:
        return ""
    return os.path.normpath(os.path.join(folder, text.removeprefix(label).strip()))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_MOST_BYTES)
    except OSError:  # it is not there, or a folder
        return ""
