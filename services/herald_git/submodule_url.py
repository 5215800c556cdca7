"""Which addresses of submodules are fetched, and with which rights.

The rule. A run, or whoever pushes, can write any address into `.gitmodules`, and Herald's key may open repositories
that the agent must not see. So:

1. an address that a person wrote into the project's file (`git.submodules.urls: {PATH: URL}`) is used as it is;
2. one that begins with https:// and names no user is fetched without key, password or cookie: what is public;
3. any other one is used only if it is at the host and below the owner of the repository that names it, and was named
   there when that repository was first fetched, whoever needed it then; this is kept in PROJECT.submodules.json;
4. everything else is refused with the key that accepts it.
"""

import json
import os
import re
from typing import NamedTuple

from herald import durable, journal, names
from herald.errors import Conflict

_ANONYMOUS = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?/[^\s@]+")
_SSH = re.compile(
    r"ssh://(?P<host>(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?)/(?P<path>[^\s]+)"
)
_SCP = re.compile(r"(?P<host>(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>(?!:)[^\s-][^\s]*)")
_HTTPS = re.compile(r"https://(?:[^/@\s]*@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?)/(?P<path>[^\s@]+)")
_LONGEST = 2000
_MOST_KEPT = 1 << 20
_ANY_OTHER = "*"
"""Stands in for every repository that is not listed, once the list was damaged: nothing of theirs is taken over."""


class Address(NamedTuple):
    """Where a submodule is fetched from. `anonymous`: without anything that Herald holds."""

    url: str
    anonymous: bool


def resolved(url: str, around: str) -> str:
    """An address of `.gitmodules`, made absolute as git does: relative to that of the repository around."""
    if not url.startswith(("./", "../")):
        return url
    base = around.rstrip("/")
    rest = url
    while rest.startswith(("./", "../")):
        step, _, rest = rest.partition("/")
        if step == "..":
            cut = max(base.rfind("/"), base.rfind(":"))
            if cut <= 0 or base[: cut + 1].endswith("://"):
                raise Conflict(f"its address {url} leads out of {around}")
            base = base[: cut + 1] if base[cut] == ":" else base[:cut]
    return f"{base}{rest}" if base.endswith(":") else f"{base}/{rest}"


def judged(project: str, path: str, url: str, around: str, accepted: dict[str, str]) -> Address:
    """The address by which the submodule at `path` may be fetched. Raises Conflict with what accepts it.

    `around` is the address of the repository that names it.
    """
    if path in accepted:
        return Address(accepted[path], _ANONYMOUS.fullmatch(accepted[path]) is not None)
    whole = resolved(url, around)
    if len(whole) > _LONGEST or not whole.isprintable() or whole.startswith("-") or "::" in whole.partition("/")[0]:
        raise Conflict(f"its address {whole[:80]!r} is not one that git may be given")
    if _ANONYMOUS.fullmatch(whole):
        return Address(whole, anonymous=True)
    owner, known = _owner(whole), _kept(project)
    if owner and owner == _owner(around) and whole in known.get(around, []):
        return Address(whole, anonymous=False)
    why = (
        "" if around in known or _ANY_OTHER not in known else ", as the list of accepted ones was damaged and set aside"
    )
    key = f"git.submodules.urls: {{{json.dumps(path)}: {json.dumps(whole)}}}"
    raise Conflict(f"its address {whole} is not accepted{why}; `{key}` in the file of {project} accepts it")


def is_noted(project: str, around: str) -> bool:
    """Whether it is known what a repository named when it was first fetched."""
    known = _kept(project)
    return around in known or _ANY_OTHER in known


def note(project: str, around: str, first: list[str]) -> None:
    """Keep what a repository names at its first fetch. It may be nothing: what comes later is then never the first."""
    known = _kept(project)
    known[around] = [each for url in first if (each := _or_none(url, around))]
    _write(project, known)


def _owner(url: str) -> tuple[str, str]:
    """Host and owner, or the folder of a local path; empty when it is nothing of the kind."""
    if url.startswith("/"):
        whole = os.path.normpath(url)
        return ("", os.path.dirname(whole))
    for form in (_HTTPS, _SSH, _SCP):
        if (found := form.fullmatch(url)) and ".." not in found["path"].split("/"):
            owner = found["path"].lstrip("/").partition("/")[0]
            return (found["host"].rpartition("@")[2].lower(), owner)
    return ("", "")


def _path(project: str) -> str:
    return os.path.join(names.state_folder(names.GIT), f"{project}.submodules.json")


def _kept(project: str) -> dict[str, list[str]]:
    """The addresses that repositories named when they were first fetched."""
    path = _path(project)
    try:
        known = json.loads(durable.read_limited(path, _MOST_KEPT))
        if not isinstance(known, dict):
            raise ValueError("it is no mapping")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        aside = durable.set_aside(path)
        journal.error(f"{path} is damaged ({error}); it is now {aside}", project=project)
        known = {_ANY_OTHER: []}
        _write(project, known)
    return {str(around): [str(each) for each in urls] for around, urls in known.items()}


def _write(project: str, known: dict[str, list[str]]) -> None:
    durable.write_atomic(_path(project), json.dumps(known, indent=1, sort_keys=True).encode(), 0o600)


def _or_none(url: str, around: str) -> str:
    try:
        return resolved(url, around)
    except Conflict:
        return ""
