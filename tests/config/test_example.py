"""The shipped files name every key with its default, and the schemas are those of the models."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from herald_config import document, project_file, schemas, server_file
from herald_config.section import Section
from herald_config.validation import section_of, validated
from tests.config.installation import ROOT

ETC = ROOT / "packaging" / "etc"
EXAMPLES: list[tuple[Path, type[Section]]] = [
    (ETC / "projects" / "example.yaml", project_file.ProjectFile),
    (ETC / "herald.yaml", server_file.ServerFile),
]


def keys_of(model: type[Section], path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every key with its field; of a list of sections, those of the first entry."""
    for name, field in model.model_fields.items():
        yield (*path, name), field
        inner = section_of(field.annotation)
        if inner is not None:
            entry = (name, 0) if isinstance(field.default, tuple) else (name,)
            yield from keys_of(inner, (*path, *entry))


def in_full(path: Path, folder: Path) -> Path:
    """A copy in which the keys that are commented out (`#key:`, not `# prose`) are in force, each in its line."""
    copy = folder / path.name
    copy.write_text(re.sub(r"(?m)^#(?=[a-z_]+:|  )", "", path.read_text()))
    return copy


def documented(lines: list[str], number: int) -> str:
    """What the comment of a key ends with: `required`, or its default; a comment may go on in the next line."""
    for line in lines[number - 1 : number + 1]:
        found = re.search(r"# .*(?:default: (.+)|(required))$", line)
        if found:
            return found[1] or found[2]
    return ""


@pytest.mark.parametrize(("path", "model"), EXAMPLES)
def test_every_key_is_in_the_example_with_its_default(path: Path, model: type[Section], tmp_path: Path) -> None:
    found = document.read(str(in_full(path, tmp_path)))
    lines = path.read_text().splitlines()
    for key, field in keys_of(model):
        assert key in found.lines, f"{key} is missing"
        if isinstance(field.default, Section):
            continue
        text = documented(lines, found.lines[key])
        if field.is_required():
            assert text == "required", key
        elif text.startswith("("):
            assert field.default is None, key
        else:
            assert text, f"{key} has no default"
            value = YAML(typ="safe", pure=True).load(text)
            assert field.default == (tuple(value) if isinstance(value, list) else value), key


@pytest.mark.parametrize(("path", "model"), EXAMPLES)
def test_the_example_is_valid_with_its_placeholders(path: Path, model: type[Section], tmp_path: Path) -> None:
    validated(model, document.read(str(in_full(path, tmp_path))))


def test_herald_yaml_as_shipped_changes_nothing() -> None:
    assert document.read(str(ETC / "herald.yaml")).data == {}


@pytest.mark.parametrize(("path", "model"), EXAMPLES)
def test_editors_find_the_schema(path: Path, model: type[Section]) -> None:
    first = path.read_text().splitlines()[0]

    assert first.startswith("# yaml-language-server: $schema=")
    schema = (path.parent / first.partition("=")[2]).resolve()
    assert schemas.MODELS[schema.name] is model
    assert schema.is_file()


def test_the_committed_schemas_are_those_of_the_models() -> None:
    folder = ETC / "schemas"

    assert {path.name: path.read_text() for path in folder.iterdir()} == schemas.texts()
