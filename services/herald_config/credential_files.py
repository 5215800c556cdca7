"""The files of secrets: whether they are there and closed to others. Their content is read by nobody but who may."""

import os
import pwd
import shlex
import stat

from herald import claudecode, names
from herald_config import openings

_NAMES = ("discord_token", "git_ssh_key", "anthropic_api_key", "claude_oauth_token")
_OF_CLAUDE = ("anthropic_api_key", "claude_oauth_token")
_CLOSED = 0o077


def notices(remotes: list[str]) -> list[str]:
    """What is wrong with them, and what projects with these remotes lack."""
    folder = names.credentials_folder()
    try:
        os.stat(os.path.join(folder, "."))  # needs the right to look into it
    except FileNotFoundError:
        pass
    except OSError:
        return []
    found = [notice for name in _NAMES for notice in _of_file(names.credential_path(name))]
    needs_key = [remote for remote in remotes if remote and not remote.startswith(("/", "https://"))]
    if needs_key and names.mode() == "system" and _is_missing(names.credential_path("git_ssh_key")):
        found.append(
            f"{folder}/git_ssh_key: is missing or blank, and {needs_key[0]} asks for a key: "
            f"`sudo install -m 0600 KEY {shlex.quote(folder)}/git_ssh_key`, and its public half there as a deploy key"
            " with write access"
        )
    if remotes and all(_is_missing(names.credential_path(name)) for name in _OF_CLAUDE) and _has_nothing_else():
        found.append(
            f"{folder}: there is neither anthropic_api_key nor claude_oauth_token nor a login, so that no agent can "
            "work: put one there (root, 0600) or `heraldctl agent-login`"
        )
    return found


def _of_file(path: str) -> list[str]:
    try:
        status = os.stat(path)
    except OSError:
        return []
    owner = 0 if names.mode() == "system" else os.getuid()
    if status.st_uid == owner and not status.st_mode & _CLOSED:
        return []
    whose = "root" if not owner else pwd.getpwuid(owner).pw_name
    sudo = "sudo " if names.mode() == "system" else ""
    file = shlex.quote(path)
    notice = (
        f"{path}: belongs to uid {status.st_uid} with mode {stat.S_IMODE(status.st_mode):04o}, and must be closed to "
        f"all but {whose}: `{sudo}chown {whose}: {file} && {sudo}chmod 0600 {file}`"
    )
    return [notice]


def _is_missing(path: str) -> bool:
    """Whether it is not there, or blank as far as can be seen."""
    try:
        if os.stat(path).st_size == 0:
            return True
        with open(path, "rb") as file:
            return not file.read(1 << 16).strip()
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _has_nothing_else() -> bool:
    """No login, and no variable of the unit. False also where that cannot be seen: the agent's state is closed."""
    if any(line.startswith("Environment") for line in openings.drop_in_lines(names.AGENT)):
        return False
    login = os.path.join(claudecode.login_folder(), claudecode.CREDENTIALS)
    try:
        os.stat(login)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
