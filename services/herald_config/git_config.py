"""git's configuration as data: names and values, in the order in which git reads them.

A clone's file is handed to `git config` on standard input, which follows no include and runs nothing. Only in try mode
the configuration of the person who runs it counts as well; git reads that as it always does, includes too.
"""

import os
import subprocess
from typing import NamedTuple

from herald import names
from herald_config import conditional_includes

_DEADLINE = 5.0
"""Seconds for one git process."""

_OF_CALLER = ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
"""Where git looks for a person's configuration."""

_DEEPEST = 10
"""As git: so many files include one another."""

Entries = list[tuple[str, str]]
"""Name and value; section and key of a name are in lower case, what stands between them is as written. A name without
a value has an empty one. Bytes that are not UTF-8 are kept as surrogates."""


class Written(NamedTuple):
    """An entry and the file that it stands in."""

    file: str
    name: str
    value: str


class Unreadable(Exception):
    """git gave no answer; the text goes on from the name of the file: `cannot be read by git`."""


def parse(data: bytes) -> Entries:
    """The entries of one file. Raises Unreadable."""
    nothing_else = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return [(each.name, each.value) for each in _listed(["--file", "-", "--no-includes"], data, nothing_else)]


def of_user() -> list[Written]:
    """What whoever runs a try has configured for all repositories; nothing in the other modes. Raises Unreadable."""
    return _listed(["--includes"], b"", _of_caller()) if names.mode() == "try" else []


def for_repository(of_user: list[Written], git_folder: str, depth: int = 0) -> Entries:
    """The same for the repository in that folder, with what is included for it alone. Raises Unreadable."""
    entries: Entries = []
    for file, name, value in of_user:
        entries.append((name, value))
        more = conditional_includes.leads_to(name, value, file, git_folder)
        if more and os.path.isfile(more) and depth < _DEEPEST:
            included = _listed(["--file", more, "--includes"], b"", _of_caller())
            entries += for_repository(included, git_folder, depth + 1)
    return entries


def _of_caller() -> dict[str, str]:
    return {name: os.environ[name] for name in _OF_CALLER if name in os.environ}


def _listed(options: list[str], data: bytes, variables: dict[str, str]) -> list[Written]:
    # GIT_DIR: there is no repository, wherever this process stands
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "GIT_DIR": os.devnull, **variables}
    command = ["git", "config", *options, "--show-origin", "--null", "--list"]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, cwd="/", env=environment, timeout=_DEADLINE, check=False
        )
    except FileNotFoundError as error:
        raise Unreadable("cannot be looked into, because git is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"was not read by git within {_DEADLINE:g} s") from error
    if done.returncode != 0:
        raise Unreadable("cannot be read by git")
    fields = done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
    entries = (each.partition("\n") for each in fields[1::2])
    files = (each.removeprefix("file:") for each in fields[::2])
    return [Written(file, name, value) for file, (name, _, value) in zip(files, entries, strict=True)]
