"""The file of patterns that a person's git ignores everywhere, as the agent's git would read it."""

import os
from collections.abc import Mapping

from herald.durable import read_limited
from herald_agent.git import Git

_LARGEST = 8 << 20
_NEEDED = ("PATH", "HOME", "LANG", "XDG_CONFIG_HOME")


def configured(git: Git, agent: Mapping[str, str]) -> str:
    """Where it is, by what the agent's git is configured with in all scopes, or else by default."""
    variables = {name: value for name, value in agent.items() if name in _NEEDED or name.startswith("GIT_")}
    wanted = ("--null", "--type=path", "--get", "core.excludesFile")
    output = git.in_environment(variables).attempt("config", *wanted)
    if output.code == 0:
        return os.path.join(git.folder, os.fsdecode(output.out.split(b"\0")[0]))
    settings = variables.get("XDG_CONFIG_HOME") or os.path.join(variables.get("HOME", "/"), ".config")
    return os.path.join(settings, "git", "ignore")


def read(path: str) -> bytes:
    """In the child: its lines, none where there is no such file."""
    try:
        data = read_limited(os.path.realpath(path), _LARGEST)
    except (OSError, ValueError):
        return b""
    return data if not data or data.endswith(b"\n") else data + b"\n"
