"""AddProject and SetProject as callers of the bus ask for them."""

import json
from typing import Any

from tests.config.installation import Installation

PREFIX = "io.herald.Config."


def ask(herald: Installation, method: str, project: str, /, **settings: Any) -> dict[str, Any]:
    """The whole reply; settings are values, with `__` for the dot in a key."""
    listed = [{"key": key.replace("__", "."), "value": json.dumps(value)} for key, value in settings.items()]
    with herald.connection() as connection:
        connection.send(method, name=project, settings=listed)
        return connection.receive()


def add(herald: Installation, project: str, /, **settings: Any) -> Any:
    """What AddProject replies."""
    return ask(herald, "AddProject", project, **settings)["parameters"]


def change(herald: Installation, project: str, /, **settings: Any) -> Any:
    """What SetProject replies."""
    return ask(herald, "SetProject", project, **settings)["parameters"]


def refusal(reply: dict[str, Any]) -> tuple[str, str]:
    """The error's code and its message."""
    return reply["error"].removeprefix(PREFIX), reply["parameters"]["message"]


def in_projects(herald: Installation) -> list[str]:
    """Everything in the folder, hidden files as well."""
    return sorted(each.name for each in (herald.config / "projects").iterdir())
