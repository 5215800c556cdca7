"""House rules for the sources, each checked as far as a machine can."""

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.laws.repository import ROOT, run_tool, sources, tracked

_LONGEST_MODULE = 400
_LONGEST_FUNCTION = 60
_UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b(?!\.md)")


def test_types_are_strict_and_clean() -> None:
    done = run_tool("mypy")

    assert done.returncode == 0, done.stdout + done.stderr


def test_style_is_clean() -> None:
    done = run_tool("ruff", "check", ".")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_format_is_the_formatters() -> None:
    done = run_tool("ruff", "format", "--check", ".")

    assert done.returncode == 0, done.stdout + done.stderr


def test_who_imports_whom_is_as_agreed() -> None:
    done = run_tool("lint-imports", "--no-cache")

    assert done.returncode == 0, done.stdout + done.stderr


def test_shell_scripts_are_clean() -> None:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not here; `apt-get install shellcheck`")
    scripts = [
        str(path) for path in tracked() if path.read_bytes()[:64].startswith((b"#!/usr/bin/env bash", b"#!/bin/sh"))
    ]
    assert str(ROOT / "install.sh") in scripts

    done = subprocess.run([program, *scripts], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_no_module_is_too_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in sources()}

    assert {str(path): length for path, length in lengths.items() if length > _LONGEST_MODULE} == {}


def test_no_function_is_too_long() -> None:
    long = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                long += [f"{path}: {node.name} has {length} lines"] if length > _LONGEST_FUNCTION else []

    assert long == []


def _broad(path: Path) -> Iterator[str]:
    """Broad handlers that neither raise on nor say why they are broad."""
    text = path.read_text()
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = ast.unparse(node.type) if node.type else "everything"
        raises_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
        if (
            re.search(r"\b(Base)?Exception\b|everything", caught)
            and not raises_on
            and "#" not in lines[node.lineno - 1]
        ):
            yield f"{path}:{node.lineno}"


def test_whatever_catches_everything_says_why() -> None:
    assert [place for path in sources() for place in _broad(path)] == []


def test_no_service_knows_another_module_by_a_name_that_says_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}

    assert [path for path in sources() if path.stem in nothing] == []


def test_nothing_is_left_unfinished() -> None:
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            found += [f"{path}:{number}: {line.strip()}"] if _UNFINISHED.search(line) else []

    assert found == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    here = f"{ROOT}{os.sep}"

    assert [path for path in tracked() if here in path.read_text(errors="replace")] == []


def test_packages_are_not_doors_to_others() -> None:
    """Imports name the module that owns the thing; an `__init__.py` has a docstring and constants only."""
    doors = []
    for path in sources():
        if path.name == "__init__.py":
            doors += [
                path for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
            ]

    assert doors == []
