"""All files of the configuration, read, checked one by one and against each other."""

import os
from typing import NamedTuple

from herald import signature, watchdog
from herald.interfaces.config import Problem
from herald_config import document, project_file, relations, server_file
from herald_config.document import Document
from herald_config.problem import Flawed, problem, shown
from herald_config.project_file import Project
from herald_config.section import not_in_effect
from herald_config.validation import validated

_NAMED_FILES = 3
"""So many files are named where one notice concerns several."""


class Sources(NamedTuple):
    """What the files say. With any problem in it, it must not be put in force."""

    server: server_file.ServerFile
    projects: tuple[Project, ...]
    problems: list[Problem]
    notices: list[str]


def load(folder: str, would_be: dict[str, bytes] | None = None) -> Sources:
    """Read and check the configuration folder; `would_be` has the content of files that are to be written into it."""
    would_be = would_be or {}
    problems: list[Problem] = []
    server_document = Document("", {}, {})
    server = server_file.ServerFile()
    projects: list[Project] = []
    for file in sorted({*_files(folder, problems), *would_be}):
        watchdog.feed()
        try:
            found = document.parse(file, would_be[file]) if file in would_be else document.read(file)
            if file == os.path.join(folder, signature.SERVER_FILE):
                server_document, server = found, validated(server_file.ServerFile, found)
            else:
                keys = validated(project_file.ProjectFile, found)
                projects.append(Project(found, keys, os.path.realpath(keys.path)))
        except Flawed as error:
            problems += error.problems
    problems += relations.between(projects)
    if not problems:
        problems += relations.with_server(server_document, server, projects)
    return Sources(server, tuple(projects), problems, _notices(folder, server_document, server, projects))


def _files(folder: str, problems: list[Problem]) -> list[str]:
    """The files to read. A missing folder is no empty configuration: what is in force stays."""
    try:
        os.stat(folder)
        return [os.path.join(folder, each) for each in signature.files(folder)]
    except OSError as error:
        file = str(error.filename or folder)
        problems.append(problem(file, 0, (), f"cannot be opened: {error.strerror}; make it a readable folder"))
        return []


def _notices(folder: str, file: Document, server: server_file.ServerFile, projects: list[Project]) -> list[str]:
    found = [f"{shown(file.file)}: {key}: not yet in effect" for key in not_in_effect(server)]
    by_key: dict[str, list[str]] = {}
    for project in projects:
        where = shown(project.document.file)
        for key in not_in_effect(project.keys):
            by_key.setdefault(key, []).append(where)
        if project.keys.name + ".yaml" != os.path.basename(where):
            found.append(f"{where}: name is {project.keys.name!r}; better name the file {project.keys.name}.yaml")
        if project.keys.workspace == "worktree":
            found.append(f"{where}: workspace: `worktree` is now `own`, a clone of Herald's that persists; write that")
        if not project.keys.git.push_requires_approval:
            found.append(f"{where}: {_open(project.keys)}")
    found += [f"{_several(files)}: {key}: not yet in effect" for key, files in by_key.items()]
    return found + _left_out(folder)


def _open(keys: project_file.ProjectFile) -> str:
    """What it means that nobody is asked."""
    told = f"git.push_requires_approval is false: PROJECT {keys.name} IS OPEN"
    if not keys.deploy.auto_deploy_on_push:
        return f"{told}, its commits are pushed without anybody's vote"
    return (
        f"{told} AND DEPLOYS BY ITSELF (deploy.auto_deploy_on_push): what its agent commits is pushed and started on "
        "this machine, with the rights of the container socket, without anybody's vote"
    )


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
