"""Changes of the project files that Herald makes itself, for AddProject and SetProject of the bus.

One act under the lock: the change is tried on the whole configuration, written, and put in force. Killed in the
middle it leaves the file as it was or as it was to be; the worker has what it finds compiled.
"""

import os
import re
from typing import Any

from herald import names
from herald.errors import Busy, HeraldError, Invalid, Unavailable
from herald.interfaces.config import Compiled
from herald_config import compiler, document, editing, project_files, rendering, sources, state
from herald_config.problem import Flawed

_NAME = r"[a-z0-9][a-z0-9-]{0,39}"
_NEW = "# yaml-language-server: $schema=../schemas/project.schema.json\n\nname: {}\n"

Settings = list[tuple[str, str]]
"""Dotted keys, and values as JSON."""


def add(name: str, settings: Settings) -> Compiled:
    """Write the file of a new project and put it in force. Raises Conflict when there is one of that name."""
    if not re.fullmatch(_NAME, name):
        raise Invalid(f"{name[:60]!r} is no name of a project: 1 to 40 of a-z, 0-9 and '-', a letter or digit first")
    with state.locked():
        stored = state.load()
        project_files.sweep()
        path = ""
        try:
            path = project_files.path_of_new(name)
            text = rendering.in_flow(name)
            data = _edited(path, _NEW.format(text).encode(), _read(name, settings))
        except Flawed as error:
            return compiler.refused(stored, error.problems)
        found = sources.load(names.config_folder(), {path: data})
        if found.problems:
            return compiler.refused(stored, found.problems, found.notices)
        project_files.create(path, data)
        return _put_in_force(path)


def change(name: str, settings: Settings) -> Compiled:
    """Change keys of a project's file and put it in force. Raises Conflict when somebody else changed it meanwhile."""
    with state.locked():
        stored = state.load()
        project_files.sweep()
        try:
            path = project_files.path_of(name)
            before = document.content(path)
            after = _edited(path, before, _read(name, settings))
        except Flawed as error:
            return compiler.refused(stored, error.problems)
        found = sources.load(names.config_folder(), {path: after})
        if found.problems:
            return compiler.refused(stored, found.problems, found.notices)
        if after != before:
            project_files.replace(path, before, after)
        return _put_in_force(path)


def _read(name: str, settings: Settings) -> list[tuple[str, Any]]:
    read = [(key, rendering.value_of(key, value)) for key, value in settings]
    for key, value in read:
        if key == "name" and value != name:
            raise Invalid("the name of a project is not changed; rename it by hand in its file")
    return read


def _edited(path: str, data: bytes, settings: list[tuple[str, Any]]) -> bytes:
    for key, value in settings:
        data = editing.changed(path, data, key, value)
    return data


def _put_in_force(path: str) -> Compiled:
    try:
        return compiler.put_in_force()
    except (Busy, Unavailable) as error:
        told: HeraldError = type(error)(f"{os.path.basename(path)} is written, and not in force yet: {error.message}")
        raise told from error
