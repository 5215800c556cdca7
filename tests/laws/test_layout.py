"""One name everywhere: a part of Herald is there in every place where it belongs, or in none."""

import re

import pytest

from herald import names
from tests.laws.repository import ROOT, project, run, services, tracked

_SCRIPTS = {"herald_cli": "heraldctl"}
_TESTS = {"try": "try_"}  # `try` is a word of the language
_TOP = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "install.sh",
    "packaging", "pyproject.toml", "services", "shared", "tests", "units",
}  # fmt: skip
_UNITS = {
    **{name: [f"herald-{name}.socket", f"herald-{name}.service"] for name in names.LONG_RUNNING},
    **{name: [f"herald-{name}.socket", f"herald-{name}@.service"] for name in names.ON_CONNECT},
}
_FURTHER_UNITS = {
    "README.md", "herald.target", "herald-agent.slice", "user",
    "backoff.conf", "without-landlock.conf",  # drop-ins for some machines
}  # fmt: skip
_PACKAGES = [path.name for path in services()]


def test_nothing_else_stands_at_the_top() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= _TOP


@pytest.mark.parametrize("package", _PACKAGES)
def test_each_package_is_there_in_every_place(package: str) -> None:
    name = package.removeprefix("herald_")
    config = project()
    script = _SCRIPTS.get(package, f"herald-{name}")

    assert (ROOT / "services" / package / "__init__.py").is_file()
    assert config["project"]["scripts"][script] == f"{package}.__main__:main"
    assert f"services/{package}" in config["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert package in config["tool"]["mypy"]["packages"]
    assert package in config["tool"]["importlinter"]["root_packages"]
    assert (ROOT / "tests" / _TESTS.get(name, name) / "__init__.py").is_file()
    assert f"`services/{package}/`" in (ROOT / "README.md").read_text()


def test_there_is_no_script_or_package_of_what_is_not_there() -> None:
    config = project()

    assert len(config["project"]["scripts"]) == len(_PACKAGES)
    assert set(config["tool"]["mypy"]["packages"]) == {"herald", *_PACKAGES}
    assert set(config["tool"]["importlinter"]["root_packages"]) == {"herald", *_PACKAGES}


@pytest.mark.parametrize("service", _UNITS)
def test_each_service_has_its_units_interface_and_rows(service: str) -> None:
    interface = names.interface_of(service)
    socket = (ROOT / "units" / f"herald-{service}.socket").read_text()

    assert f"herald_{service}" in _PACKAGES
    assert f"ListenStream=/run/herald/{interface}\n" in socket
    for unit in _UNITS[service]:
        text = (ROOT / "units" / unit).read_text()
        assert f"`{unit}`" in (ROOT / "units/README.md").read_text()
        if unit.endswith(".service"):
            assert f"ExecStart=/opt/herald/venv/bin/herald-{service}\n" in text
            assert f"StateDirectory=herald/{service}\n" in text
    assert (ROOT / "shared/herald/interfaces" / f"{service}.py").is_file()
    assert (ROOT / "shared/herald/interfaces" / f"{interface}.varlink").is_file()
    assert f"| `{service}/" in (ROOT / "shared/STATE.md").read_text()
    assert f"`{interface}`" in (ROOT / "shared/PROTOCOL.md").read_text()


def test_there_is_no_unit_or_interface_of_what_is_not_there() -> None:
    units = {unit for both in _UNITS.values() for unit in both}
    interfaces = {names.interface_of(service) for service in _UNITS}

    assert {path.name for path in (ROOT / "units").iterdir()} == _FURTHER_UNITS | units
    assert {path.stem for path in (ROOT / "shared/herald/interfaces").glob("*.varlink")} == interfaces


@pytest.mark.parametrize("package", _PACKAGES)
def test_a_start_file_is_short_and_its_docstring_is_the_man_page(package: str) -> None:
    text = (ROOT / "services" / package / "__main__.py").read_text()
    script = _SCRIPTS.get(package, f"herald-{package.removeprefix('herald_')}")

    assert len(text.splitlines()) <= 45
    first = text.removeprefix('"""').splitlines()[0]
    assert re.match(rf"{script}\b", first), first
    done = run("-m", package, "--help")
    assert done.returncode == 0
    assert first in done.stdout


def test_every_dependency_and_every_exception_from_a_rule_says_why() -> None:
    silent, section = [], ""
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        if re.match(r"\[|\w+ = \[$", line):
            section = line
        requirement = re.match(r'\s+"[\w.-]+[<>=~]', line)
        exception = section == "ignore = [" and line.startswith("  ")
        if (requirement or exception) and "#" not in line:
            silent.append(line)

    assert silent == []


def test_every_file_that_a_document_names_is_there() -> None:
    missing = []
    for document in tracked():
        if document.suffix != ".md":
            continue
        for name in re.findall(r"`((?:services|shared|units|tests|packaging|\.ci)/[\w./@-]*)`", document.read_text()):
            there = "NAME" in name or (ROOT / name).exists()
            missing += [] if there else [f"{document.relative_to(ROOT)}: {name}"]

    assert missing == []


def test_programs_can_be_run() -> None:
    programs = [path for path in tracked() if path.read_bytes()[:2] == b"#!"]

    assert {ROOT / "install.sh", ROOT / ".ci/run"} <= set(programs)
    assert [path for path in programs if not path.stat().st_mode & 0o100] == []
