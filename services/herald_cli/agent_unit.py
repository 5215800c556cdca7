"""What the agent's unit is given by its drop-ins, and the Claude CLI as the unit finds it."""

import os
import shlex
import subprocess

from herald import claudecode, names
from herald.errors import NotFound

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
"""What systemd gives to units."""

_PASSED = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "PATH", "HERALD_CLAUDE")


def environment() -> dict[str, str]:
    """The variables of the unit that its agent gets, and those that say where the CLI is. In try mode the caller's."""
    if names.mode() == "try":
        return {name: value for name, value in os.environ.items() if _is_passed(name)}
    manager = ["systemctl"] if names.mode() == "system" else ["systemctl", "--user"]
    show = ["show", "--property=Environment", "--value", f"herald-{names.AGENT}@login.service"]
    try:
        done = subprocess.run([*manager, *show], capture_output=True, text=True, timeout=10, check=False)
        assignments = shlex.split(done.stdout) if done.returncode == 0 else []
    except (OSError, ValueError, subprocess.TimeoutExpired):  # no systemd here, or it does not answer
        return {}
    variables = dict(each.split("=", 1) for each in assignments if "=" in each)
    return {name: value for name, value in variables.items() if _is_passed(name)}


def _is_passed(name: str) -> bool:
    return name.startswith(("ANTHROPIC_", "CLAUDE_")) or name in _PASSED or name.upper() in _PASSED[:3]


def path(unit: dict[str, str]) -> str:
    """Where the unit looks for programs."""
    return unit.get("PATH") or (_PATH if names.mode() == "system" else os.environ.get("PATH", _PATH))


def claude(unit: dict[str, str]) -> str:
    """The Claude CLI as the unit finds it. Raises NotFound with what installs it."""
    given = unit.get("HERALD_CLAUDE") or os.environ.get("HERALD_CLAUDE")
    os.environ |= {"PATH": path(unit)} | ({"HERALD_CLAUDE": given} if given else {})
    found = claudecode.find()
    if not found:
        raise NotFound(
            f"the Claude CLI is not there (looked for it in {given or path(unit)}): `./install.sh --with-claude`"
            " installs it, or `npm install -g @anthropic-ai/claude-code`"
        )
    return found
