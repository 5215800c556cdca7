"""The JSON schemas for editors, made from the models."""

import json
import os

from herald.durable import write_atomic
from herald_config.project_file import ProjectFile
from herald_config.section import Section
from herald_config.server_file import ServerFile

MODELS: dict[str, type[Section]] = {"herald.schema.json": ServerFile, "project.schema.json": ProjectFile}


def texts() -> dict[str, str]:
    """File name to content."""
    found = {}
    for name, model in MODELS.items():
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
        found[name] = json.dumps(schema, indent=2) + "\n"
    return found


def write(folder: str) -> None:
    """Write all schemas into a folder."""
    os.makedirs(folder, exist_ok=True)
    for name, text in texts().items():
        write_atomic(os.path.join(folder, name), text.encode(), mode=0o644)
