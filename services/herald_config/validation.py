"""From a document to a model, and from pydantic's errors to problems with line, field and next step."""

import difflib
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from herald.interfaces.config import Problem
from herald_config.document import Document
from herald_config.problem import MOST_PROBLEMS, Flawed, Path, problem
from herald_config.section import Section

Model = TypeVar("Model", bound=Section)


def validated(model: type[Model], document: Document) -> Model:
    """The document as a model. Raises Flawed with every problem, in the order of lines."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    problems = [_problem(model, document, each) for each in errors[:MOST_PROBLEMS]]
    problems.sort(key=lambda each: each["line"])
    if len(errors) > MOST_PROBLEMS:
        problems.append(problem(document.file, 0, (), f"{len(errors) - MOST_PROBLEMS} further problems are left out"))
    raise Flawed(problems)


def _problem(model: type[Section], document: Document, error: ErrorDetails) -> Problem:
    path: Path = error["loc"]
    if error["type"] == "extra_forbidden":
        message = _unknown_key(model, path)
    elif error["type"] == "value_error":
        message = str(error.get("ctx", {}).get("error", error["msg"]))
    else:
        message = _message(error)
    return problem(document.file, document.line(path), path, message)


def _message(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    given = _shown(error["input"])
    match error["type"]:
        case "missing":
            return "is missing; add it"
        case "bool_parsing" | "bool_type":
            return f"must be true or false, is {given}"
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return f"must be a whole number, is {given}"
        case "float_parsing" | "float_type" | "finite_number":
            return f"must be a number, is {given}"
        case "string_type":
            return f"must be a text, is {given}"
        case "tuple_type":
            return f"must be a list (lines that begin with `- `), is {given}"
        case "model_type":
            return f"must be a mapping (indented `key: value` lines), is {given}"
        case "literal_error":
            return f"must be {context['expected']}, is {given}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, is {given}"
        case "less_than_equal":
            return f"must be at most {context['le']}, is {given}"
    return error["msg"]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "empty" if value is None else repr(str(value)[:60])


def _unknown_key(model: type[Section], path: Path) -> str:
    known = _section_at(model, path[:-1]).model_fields
    key = str(path[-1])
    near = difflib.get_close_matches(key.lower(), known, 1)
    if near:
        return f"is no key here; did you mean {near[0]!r}?"
    elsewhere = [place for place in _places(model, ()) if place[-1] == key]
    if elsewhere:
        return f"is no key here; it belongs under {'.'.join(elsewhere[0][:-1]) or 'no other key'!r}"
    return f"is no key here; known are {', '.join(known)}"


def _section_at(model: type[Section], path: Path) -> type[Section]:
    for part in path:
        if isinstance(part, str):
            model = section_of(model.model_fields[part].annotation) or model
    return model


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a field holds, by itself or as the entries of its list."""
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, Section):
            return each
    return None


def _places(model: type[Section], path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The full path of every key."""
    found: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        found.append((*path, name))
        inner = section_of(field.annotation)
        if inner is not None:
            found += _places(inner, (*path, name))
    return found
