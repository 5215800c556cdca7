"""What the files must not say together: of two projects, and of a project and herald.yaml."""

import difflib
import os
from urllib.parse import urlsplit

from herald.interfaces.config import Problem
from herald_config import compose_files
from herald_config.document import Document
from herald_config.problem import Path, problem, shown
from herald_config.project_file import Project
from herald_config.server_file import ServerFile

_DISCORD = {"discord.com", "ptb.discord.com", "canary.discord.com", "discordapp.com"}
_CHANNELS = ("system_channel", "work_channel")


def between(projects: list[Project]) -> list[Problem]:
    """Projects that cannot be beside an earlier one; each is told of the first such for each field."""
    found: list[Problem] = []
    for index, second in enumerate(projects):
        messages: dict[str, str] = {}
        for first in projects[:index]:
            for field, message in _clash(first, second):
                messages.setdefault(field, f"{message} (in {shown(os.path.basename(first.document.file))})")
        found += [_at(second.document, (field,), message) for field, message in messages.items()]
    return found


def with_server(file: Document, server: ServerFile, projects: list[Project]) -> list[Problem]:
    """What does not go with herald.yaml; only to be asked when all files could be read and are right by themselves."""
    found = [*_unknown_projects(file, server, projects), *_addresses(file, server), *_channels(file, server, projects)]
    for project in projects:
        url = project.keys.webhook_url
        if url is not None and not _is_of(url, server.discord.api or ""):
            hosts = "discord.com" + (" or that of discord.api" if server.discord.api else "")
            found.append(
                _at(project.document, ("webhook_url",), f"is no webhook of Discord; its host must be {hosts}, by https")
            )
        message = compose_files.problem_of(project, projects, server.projects_root)
        if message:
            found.append(_at(project.document, ("deploy", "compose_path"), message))
    return found


def _clash(first: Project, second: Project) -> list[tuple[str, str]]:
    one, two = first.keys, second.keys
    found = []
    if one.name == two.name:
        found.append(("name", f"another project is named {two.name!r}; give each its own name"))
    if one.discord_channel_id is not None and one.discord_channel_id == two.discord_channel_id:
        found.append(("discord_channel_id", f"is the channel of project {one.name!r}; give each project its own"))
    if one.webhook_url is not None and one.webhook_url == two.webhook_url:
        found.append(("webhook_url", f"is the webhook of project {one.name!r}; make one in each project's channel"))
    theirs, ours = first.real_path, second.real_path
    if ours == theirs:
        found.append(("path", f"is the path of project {one.name!r}; give each project its own clone"))
    elif ours.startswith(theirs + "/"):
        found.append(("path", f"lies inside {one.path}, the path of project {one.name!r}; move one of them"))
    elif theirs.startswith(ours + "/"):
        found.append(("path", f"contains {one.path}, the path of project {one.name!r}; move one of them"))
    return found


def _unknown_projects(file: Document, server: ServerFile, projects: list[Project]) -> list[Problem]:
    """Names in `operators` that no project has."""
    known = [each.keys.name for each in projects]
    found = []
    for index, operator in enumerate(server.operators):
        for position, name in enumerate(operator.projects):
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known) or 'none yet'}"
                path: Path = ("operators", index, "projects", position)
                found.append(_at(file, path, f"there is no project {name!r}; {hint}"))
    return found


def _addresses(file: Document, server: ServerFile) -> list[Problem]:
    """Another server is named by both of its addresses: half of it would speak to one and listen to the other."""
    if (server.discord.api is None) == (server.discord.gateway is None):
        return []
    given, lacking = ("gateway", "api") if server.discord.api is None else ("api", "gateway")
    form = "http://127.0.0.1:3201/api/v10" if lacking == "api" else "ws://127.0.0.1:3201"
    message = f"names another server, which needs discord.{lacking} too; add it ({form}), or remove this"
    return [_at(file, ("discord", given), message)]


def _channels(file: Document, server: ServerFile, projects: list[Project]) -> list[Problem]:
    """A plain message in a project's channel is a task; in the others it must not be one."""
    owners = {each.keys.discord_channel_id: each.keys.name for each in projects if each.keys.discord_channel_id}
    found = []
    for field in _CHANNELS:
        owner = owners.get(getattr(server.discord, field))
        if owner is not None:
            message = f"is the channel of project {owner!r}; take a channel that no project has"
            found.append(_at(file, ("discord", field), message))
    return found


def _is_of(webhook: str, api: str) -> bool:
    """Whether a webhook is one of Discord, or of the server in its place; by host and by the path before it."""
    ours, other = urlsplit(webhook), urlsplit(api)
    before, host = ours.path.rpartition("/webhooks/")[0], ours.netloc.lower()
    usual = before == "/api" or (before.startswith("/api/v") and before[6:].isdecimal())
    if usual and ours.scheme == "https" and host in _DISCORD:
        return True
    return bool(api) and host == other.netloc.lower() and (usual or before == other.path)


def _at(file: Document, path: Path, message: str) -> Problem:
    return problem(file.file, file.line(path), path, message)
