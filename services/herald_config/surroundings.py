"""What a project needs besides its files: folders that belong to the right user and are open to the units, credentials.

All of it is notices: nothing here can keep a configuration from being put in force. What cannot be seen from here is
passed over, never claimed to be missing.
"""

import os
import pwd
import shlex
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from herald import names, signature
from herald_config import compose_files, credential_files, large_files, openings
from herald_config.problem import shown
from herald_config.project_file import Project
from herald_config.server_file import ServerFile
from herald_config.sources import Sources


class Part(NamedTuple):
    """A part that works in folders which the operator chooses."""

    service: str
    uid: int
    user: str
    """for chown; empty where it is oneself"""


class Addresses(Protocol):
    """Where a project is fetched from and pushed to, as far as known."""

    @property
    def remote(self) -> str: ...

    @property
    def push_url(self) -> str: ...


def notices(sources: Sources, remotes: Mapping[str, Addresses]) -> list[str]:
    """What is missing around the projects, each with file, field and the command that mends it."""
    if not looks():
        return []
    agent, git = _part(names.AGENT), _part(names.GIT)
    if agent is None or git is None:
        return []
    found = _of_root(sources.server, agent)
    for project in sources.projects:
        file = shown(project.document.file)
        of = remotes[project.keys.name]
        of_path = _of_path(project.keys.path, of.remote, agent) if _is_wanted(project) else []
        of_remotes = [*_of_remote("git.remote", of.remote, git), *_of_remote("git.push_url", of.push_url, git)]
        for field, message in (*of_path, *of_remotes):
            found.append(f"{file}: {field}: {message}")
        if project.keys.enabled and (needed := large_files.notice_of(project)):
            found.append(f"{file}: git.lfs: {needed}")
        unseen = compose_files.notice_of(project)
        if unseen:
            found.append(f"{file}: deploy.compose_path: {unseen}")
    enabled = [remotes[project.keys.name] for project in sources.projects if project.keys.enabled]
    in_use = [address for each in enabled for address in (each.remote, each.push_url)]
    return found + credential_files.notices(in_use)


def _is_wanted(project: Project) -> bool:
    """Whether its clone should be there: not of one that is not enabled, which may be just about to be added."""
    return project.keys.enabled or os.path.lexists(project.keys.path)


def looks() -> bool:
    """Whether this is an installation: not a try, nor `config check` in a source tree."""
    return names.mode() == "user" or (names.mode() == "system" and _part(names.AGENT) is not None)


def is_agents_alone(path: str) -> bool:
    """Whether a folder is closed to all but the agents' own user, as `!addproject` makes clones on a server."""
    agent = _part(names.AGENT) if names.mode() == "system" else None
    try:
        status = os.stat(path)
    except OSError:
        return False
    return agent is not None and status.st_uid == agent.uid and not status.st_mode & 0o007


def _part(service: str) -> Part | None:
    if names.mode() == "user":
        return Part(service, os.getuid(), "")
    try:
        user = pwd.getpwnam(f"herald-{service}")
    except KeyError:
        return None
    return Part(service, user.pw_uid, user.pw_name)


def _of_root(server: ServerFile, agent: Part) -> list[str]:
    """What keeps new clones from being made; the folder that the installation made is as it should be."""
    if "projects_root" not in server.model_fields_set:
        return []
    root = server.projects_root
    file = shown(os.path.join(names.config_folder(), signature.SERVER_FILE))
    found = []
    try:
        owner = os.stat(root).st_uid
    except (FileNotFoundError, NotADirectoryError):
        if not openings.is_private(root):
            make = f"mkdir -p {shlex.quote(root)}"
            make = f"sudo {make} && sudo chown {agent.user}: {shlex.quote(root)}" if agent.user else make
            found.append(f"{shown(root)} does not exist, no clone can be made there: `{make}`")
    except OSError:
        pass  # out of sight of this unit, for example below /home
    else:
        if owner != agent.uid:
            give = f"sudo chown {agent.user or agent.uid}: {shlex.quote(root)}"
            found.append(f"{shown(root)} belongs to {_name(owner)}, no clone can be made there: `{give}`")
    command = openings.command(names.AGENT, root)
    if command:
        found.append(f"{shown(root)} is closed to the agent's unit, which makes the clones: `{command}`")
    return [f"{file}: projects_root: {message}" for message in found]


def _of_path(path: str, remote: str, agent: Part) -> list[tuple[str, str]]:
    found = []
    try:
        owner = os.stat(path).st_uid
    except (FileNotFoundError, NotADirectoryError):
        if not openings.is_private(path):
            found.append(("path", f"{shown(path)} does not exist, its tasks fail: `{_clone(path, remote, agent)}`"))
    except OSError:
        pass  # out of sight of this unit, for example below /home
    else:
        if owner != agent.uid:
            found.append(("path", f"{shown(path)} belongs to {_name(owner)}: `{_give(path, agent)}`"))
    command = openings.command(names.AGENT, path)
    if command:
        found.append(("path", f"{shown(path)} is closed to the agent's unit, and with it to its tasks: `{command}`"))
    return found


def _of_remote(key: str, remote: str, git: Part) -> list[tuple[str, str]]:
    if not remote.startswith("/"):
        return []
    found = []
    try:
        owner = os.stat(remote).st_uid
    except OSError:
        pass  # herald-git itself says what is wrong with it
    else:
        if owner != git.uid:
            found.append((key, f"{shown(remote)} belongs to {_name(owner)}: `{_give(remote, git)}`"))
    command = openings.command(names.GIT, remote)
    if command:
        found.append((key, f"{shown(remote)} is closed to the unit that pushes: `{command}`"))
    return found


def _clone(path: str, remote: str, agent: Part) -> str:
    command = f"git clone {shlex.quote(remote or 'URL')} {shlex.quote(path)}"
    return f"sudo {command} && {_give(path, agent)}" if agent.user else command


def _give(path: str, part: Part) -> str:
    return f"sudo chown -R {part.user or os.getuid()}: {shlex.quote(path)}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
