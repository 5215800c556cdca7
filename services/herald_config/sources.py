"""All files of the configuration, read, checked one by one and against each other."""

import difflib
import os
from typing import NamedTuple, TypeVar

from herald import signature, watchdog
from herald.interfaces.config import Problem
from herald_config import document, project_file, server_file
from herald_config.document import Document
from herald_config.problem import Flawed, Path, problem, shown
from herald_config.section import Section, not_in_effect
from herald_config.validation import validated

Model = TypeVar("Model", bound=Section)

_NAMED_FILES = 3
"""So many files are named where one notice concerns several."""


class Project(NamedTuple):
    """One project, the file it comes from, and its path without symbolic links."""

    document: Document
    keys: project_file.ProjectFile
    real_path: str


class Sources(NamedTuple):
    """What the files say. With any problem in it, it must not be put in force."""

    server: server_file.ServerFile
    projects: tuple[Project, ...]
    problems: list[Problem]
    notices: list[str]


def load(folder: str) -> Sources:
    """Read and check the configuration folder."""
    problems: list[Problem] = []
    server_document = Document("", {}, {})
    server = server_file.ServerFile()
    projects: list[Project] = []
    for path in _files(folder, problems):
        file = os.path.join(folder, path)
        watchdog.feed()
        try:
            found = document.read(file)
            if path == signature.SERVER_FILE:
                server_document, server = found, validated(server_file.ServerFile, found)
            else:
                keys = validated(project_file.ProjectFile, found)
                projects.append(Project(found, keys, os.path.realpath(keys.path)))
        except Flawed as error:
            problems += error.problems
    problems += _clashes(projects)
    if not problems:
        problems += _unknown_projects(server_document, server, projects)
    return Sources(server, tuple(projects), problems, _notices(folder, server_document, server, projects))


def _files(folder: str, problems: list[Problem]) -> list[str]:
    """The files to read. A missing folder is no empty configuration: what is in force stays."""
    try:
        os.stat(folder)
        return signature.files(folder)
    except OSError as error:
        file = str(error.filename or folder)
        problems.append(problem(file, 0, (), f"cannot be opened: {error.strerror}; make it a readable folder"))
        return []


def _clashes(projects: list[Project]) -> list[Problem]:
    """Projects that cannot be beside an earlier one; each is told of the first such for each field."""
    found: list[Problem] = []
    for index, second in enumerate(projects):
        messages: dict[str, str] = {}
        for first in projects[:index]:
            for field, message in _clash(first, second):
                messages.setdefault(field, f"{message} (in {shown(os.path.basename(first.document.file))})")
        found += [_at(second.document, (field,), message) for field, message in messages.items()]
    return found


def _clash(first: Project, second: Project) -> list[tuple[str, str]]:
    one, two = first.keys, second.keys
    found = []
    if one.name == two.name:
        found.append(("name", f"another project is named {two.name!r}; give each its own name"))
    if one.discord_channel_id is not None and one.discord_channel_id == two.discord_channel_id:
        found.append(("discord_channel_id", f"is the channel of project {one.name!r}; give each project its own"))
    theirs, ours = first.real_path, second.real_path
    if ours == theirs:
        found.append(("path", f"is the path of project {one.name!r}; give each project its own clone"))
    elif ours.startswith(theirs + "/"):
        found.append(("path", f"lies inside {one.path}, the path of project {one.name!r}; move one of them"))
    elif theirs.startswith(ours + "/"):
        found.append(("path", f"contains {one.path}, the path of project {one.name!r}; move one of them"))
    return found


def _unknown_projects(file: Document, server: server_file.ServerFile, projects: list[Project]) -> list[Problem]:
    """Names in `operators` that no project has. Only asked when all projects could be read."""
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


def _at(file: Document, path: Path, message: str) -> Problem:
    return problem(file.file, file.line(path), path, message)


def _notices(folder: str, file: Document, server: server_file.ServerFile, projects: list[Project]) -> list[str]:
    found = [f"{shown(file.file)}: {key}: not yet in effect" for key in not_in_effect(server)]
    by_key: dict[str, list[str]] = {}
    for project in projects:
        where = shown(project.document.file)
        for key in not_in_effect(project.keys):
            by_key.setdefault(key, []).append(where)
        if project.keys.name + ".yaml" != os.path.basename(where):
            found.append(f"{where}: name is {project.keys.name!r}; better name the file {project.keys.name}.yaml")
        if not project.keys.git.push_requires_approval:
            found.append(
                f"{where}: git.push_requires_approval is false: PROJECT {project.keys.name} IS OPEN, "
                "its commits are pushed without anybody's vote"
            )
    found += [f"{_several(files)}: {key}: not yet in effect" for key, files in by_key.items()]
    return found + _left_out(folder)


def _several(files: list[str]) -> str:
    named = ", ".join(files[:_NAMED_FILES])
    more = len(files) - _NAMED_FILES
    return f"{named} and {more} more" if more > 0 else named


def _left_out(folder: str) -> list[str]:
    """Files that look like projects but have the wrong ending."""
    projects = os.path.join(folder, signature.PROJECTS_FOLDER)
    try:
        names = sorted(os.listdir(projects))
    except OSError:
        return []
    wrong = [name for name in names if name.lower().endswith((".yml", ".yaml")) and not name.endswith(".yaml")]
    return [
        f"{shown(os.path.join(projects, name))}: is not loaded; projects are files that end in .yaml"
        for name in wrong
        if not name.startswith(".")
    ]
