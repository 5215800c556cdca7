"""Both ends of the bus agree: typed interfaces, golden files, the tables of the lean units, the documents."""

import importlib
import inspect
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

import pytest
from asyncvarlink import FileDescriptor

from herald import names
from herald.bus import limits, varlink
from herald.bus.frames import Frames
from herald.bus.oneshot import Descriptor, Method
from herald.errors import CLASSES
from herald.interfaces.agent import Agent
from herald.interfaces.deploy import Deploy
from herald.interfaces.git import Git
from herald.interfaces.interface import Interface
from herald_agent import acts
from herald_deploy import start
from herald_git import acts as git_acts
from tests.laws.regenerate import interfaces
from tests.laws.repository import ROOT

_TABLES: list[tuple[type[Interface], dict[str, Method]]] = [
    (Agent, acts.METHODS),
    (Git, git_acts.METHODS),
    (Deploy, {"Start": start.START}),
]


def test_the_golden_files_are_what_the_interfaces_say() -> None:
    differing = [path.name for path, text in interfaces().items() if path.read_text() != text]

    assert differing == [], "`python -m tests.laws.regenerate` writes them anew"


@pytest.mark.parametrize(("interface", "table"), _TABLES)
def test_a_lean_unit_takes_the_parameters_of_its_interface(
    interface: type[Interface], table: dict[str, Method]
) -> None:
    typed = {name: inspect.signature(method, eval_str=True) for name, method in varlink.methods_of(interface).items()}
    expected = {
        name: {each.name: _lean(each.annotation) for each in signature.parameters.values() if each.name != "self"}
        for name, signature in typed.items()
    }
    defaults = {
        name: {each.name: each.default for each in signature.parameters.values() if each.default is not each.empty}
        for name, signature in typed.items()
    }

    assert {name: method.parameters for name, method in table.items()} == expected
    assert {name: method.defaults for name, method in table.items()} == defaults


def _lean(annotation: Any) -> type:
    if annotation is FileDescriptor:
        return Descriptor
    if isinstance(annotation, UnionType):  # one that may be left out
        (annotation,) = (each for each in get_args(annotation) if each is not NoneType)
    if get_origin(annotation) is Literal:
        (kind,) = {type(each) for each in get_args(annotation)}
    else:
        kind = get_origin(annotation) or annotation
    assert isinstance(kind, type)
    return kind


@pytest.mark.parametrize("service", names.ON_CONNECT)
def test_a_lean_unit_serves_the_methods_of_its_interface_and_no_others(service: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"herald.interfaces.{service}")
    known = set(varlink.methods_of(getattr(module, service.capitalize())))
    ours, theirs = socket.socketpair()
    paths = {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}", "HERALD_STATE": str(tmp_path)}
    environment = {**os.environ, **paths, "HERALD_MODE": "try"}
    command = [sys.executable, "-m", f"herald_{service}"]
    with subprocess.Popen(command, stdin=theirs.fileno(), env=environment, cwd="/") as unit:
        theirs.close()
        frames = Frames(ours, 1 << 20)
        served = set()
        for method in sorted(known | {"Run", "Fetch", "Check", "Nope"}):
            frames.send({"method": f"{names.interface_of(service)}.{method}", "parameters": {"no such parameter": 1}})
            received = frames.receive()
            assert received is not None
            if received[0]["error"] == "org.varlink.service.InvalidParameter":
                served.add(method)
        ours.close()
    assert unit.returncode == 0
    assert served == known


def test_the_document_of_the_bus_says_which_errors_there_are() -> None:
    rows = re.findall(r"^\| (\w+) \| .* \| (\d) \|$", (ROOT / "shared/PROTOCOL.md").read_text(), re.MULTILINE)

    assert dict(rows) == {code: str(error.exit_code) for code, error in CLASSES.items()}


def test_the_document_of_the_bus_says_which_limits_there_are() -> None:
    text = (ROOT / "shared/PROTOCOL.md").read_text()

    for words in (
        f"{limits.FRAME >> 20} MiB",
        f"{limits.DESCRIPTORS} descriptors",
        f"within {limits.PARTIAL_FRAME:.0f} s",
        f"{limits.CONNECTIONS:,}",
        f"| {limits.IN_FLIGHT} |",
        f"{limits.DEADLINE:.0f} s unless",
        f"| {limits.PROMPT >> 20} MiB |",
    ):
        assert words in text, words


def test_the_schemas_for_editors_are_those_of_the_models(tmp_path: Path) -> None:
    schemas = pytest.importorskip("herald_config.schemas")
    schemas.write(str(tmp_path))

    for path in tmp_path.iterdir():
        golden = json.loads((ROOT / "packaging/etc/schemas" / path.name).read_text())
        assert golden == json.loads(path.read_text()), "`python -m tests.laws.regenerate` writes them anew"
