"""Which agent answers: the Claude Code CLI when it is installed and logged in, else the scripted stand-in."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from herald_try.conditions import Missing

_DEADLINE = 10.0
_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")


class Agent(NamedTuple):
    """The choice, why, and what the agent's unit gets in its environment."""

    kind: Literal["claude", "standin"]
    reason: str
    environment: dict[str, str]


def choose(wanted: str | None, caller: Mapping[str, str], home: str) -> Agent:
    """The agent for this try; `home` is where the CLI runs when a key is given.

    Raises Missing when the CLI is asked for and cannot be used.
    """
    environment = {name: value for name, value in caller.items() if name.startswith(("ANTHROPIC_", "CLAUDE_"))}
    if wanted == "standin":
        return Agent("standin", "as asked for", environment | {"HERALD_AGENT": "standin"})
    path = _find(caller)
    reason = _login_problem(path, caller, environment, home) if path else "claude is not installed"
    if not reason:
        environment |= {"HERALD_AGENT": "claude", "HERALD_CLAUDE": path}
        if not any(caller.get(name) for name in _CREDENTIALS):
            environment["HERALD_AGENT_HOME"] = caller.get("HOME", "/")
        return Agent("claude", path, environment)
    if wanted == "claude":
        advice = "claude auth login" if path else "npm install -g @anthropic-ai/claude-code"
        raise Missing(f"{reason}: `{advice}` helps, or use --agent standin")
    return Agent("standin", reason, environment | {"HERALD_AGENT": "standin"})


def _find(caller: Mapping[str, str]) -> str:
    named = caller.get("HERALD_CLAUDE", "")
    path = shutil.which(named or "claude", path=caller.get("PATH"))
    return str(Path(path).absolute()) if path else ""


def _login_problem(path: str, caller: Mapping[str, str], given: Mapping[str, str], home: str) -> str:
    """Why the CLI cannot be used, empty if it can. It says only whether a credential is there, not whether it works."""
    keyed = any(caller.get(name) for name in _CREDENTIALS)
    environment = {
        "PATH": caller.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": home if keyed else caller.get("HOME", "/"),
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        **given,
    }
    try:
        asked = subprocess.run(
            [path, "auth", "status"],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{path} did not answer `auth status` within {_DEADLINE:g} s"
    except OSError as error:
        return f"{path} cannot be run ({error.strerror})"
    return "" if asked.returncode == 0 else "claude is installed but not logged in"
