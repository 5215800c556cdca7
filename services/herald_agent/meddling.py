"""What a run made of the `.git` folder besides branches and objects, told once for each kind.

Sealing puts it back, whatever it is. What git, git-lfs, husky and Herald write there themselves is not worth a word.
"""

import os
import re

from herald.durable import read_limited
from herald_agent.git import Git

_LARGEST = 1 << 20
_HOOK = 1 << 16
"""Bytes of a hook that are looked at."""

_HUSKY = re.compile(rb"^core\.hookspath\n.*husky", re.IGNORECASE)
_ORDINARY = (b"branch.", b"filter.lfs.", b"lfs.", b"submodule.", b"remote.origin.", b"extensions.")
_PLACES = (("refs/replace", "replacements of objects"), ("refs/stash", "the stash"))


def kinds(git: Git, written: str) -> list[str]:
    """The kinds of what was changed in an own workspace; `written` is the configuration as Herald wrote it."""
    place = os.path.join(git.folder, ".git")
    found: list[str] = git.inside(lambda: _in(place))
    text: str = git.inside(lambda: _text(os.path.join(place, "config")))
    if text == written:
        return found
    foreign = _settings(git, text) - _settings(git, written)
    foreign = {each for each in foreign if not each.startswith(_ORDINARY) and not _HUSKY.match(each)}
    return [*(["git's configuration"] if foreign else []), *found]


def sentence(found: list[str]) -> str:
    """What people are told."""
    return f"The agent changed {' and '.join(found)} in the workspace; Herald restores that after each run."


def _text(path: str) -> str:
    """In the child: a configuration, empty where there is no such file."""
    try:
        return read_limited(path, _LARGEST).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


def _settings(git: Git, text: str) -> set[bytes]:
    """What a configuration says, as data: git reads no other one."""
    nowhere = git.with_variables(GIT_DIR=os.devnull)
    listed = nowhere.attempt("config", "--file", "-", "--no-includes", "--list", "-z", given=text)
    return {entry for entry in listed.out.split(b"\0") if entry} if listed.code == 0 else set()


def _in(place: str) -> list[str]:
    """In the child."""
    hooks = os.path.join(place, "hooks")
    found = []
    if os.path.isdir(hooks) and any(_is_foreign(os.path.join(hooks, name)) for name in os.listdir(hooks)):
        found.append("hooks")
    return found + [kind for name, kind in _PLACES if os.path.lexists(os.path.join(place, name))]


def _is_foreign(path: str) -> bool:
    """Whether a hook is neither a sample nor one of git-lfs or husky."""
    if path.endswith(".sample"):
        return False
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return not re.search(rb"git[- ]lfs|husky", file.read(_HOOK))
    except OSError:
        return True
