"""install.sh: its command line, try and test, the locked versions. Stand-ins note down what they are asked to do."""

import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.try_.installing import LOCKS, NOBODY, ROOT, Clone


@pytest.fixture
def clone() -> Iterator[Clone]:
    with tempfile.TemporaryDirectory() as folder:  # another user must be able to enter it
        Path(folder).chmod(0o755)
        yield Clone(Path(folder))


@pytest.mark.parametrize(
    "arguments",
    [("install",), ("--frobnicate",), ("--user", "now"), ("--purge",), ("--uninstall", "--with-claude"), ("--", "try")],
)
def test_what_is_not_known_gets_the_usage(clone: Clone, arguments: tuple[str, ...]) -> None:
    code, out, err = clone.run(*arguments)
    assert (code, out) == (2, "")
    assert "usage: ./install.sh [options]" in err
    assert clone.notes.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_option(clone: Clone, option: str) -> None:
    code, out, err = clone.run(option)
    assert (code, err) == (0, "")
    for word in ("--user", "--with-claude", "--uninstall", "--purge", "--dry-run", "install.sh try", "install.sh test"):
        assert word in out


def test_the_first_try_makes_an_environment_from_locked_versions(clone: Clone) -> None:
    assert clone.run("try", "--agent", "standin") == (0, "tried --agent standin\n", "")
    made, *installed = clone.asked()
    assert made == f"-m venv {clone.folder}/.venv"
    assert [("--require-hashes" in line, "--editable" in line) for line in installed] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert all("--no-build-isolation" in line for line in installed[1:])


def test_a_second_try_installs_nothing_and_is_quick(clone: Clone) -> None:
    clone.run("try")
    before = clone.notes.read_text(encoding="utf-8")
    durations = []
    for _ in range(5):
        begun = time.monotonic()
        assert clone.run("try", "a b") == (0, "tried a b\n", "")
        durations.append(time.monotonic() - begun)
    assert clone.notes.read_text(encoding="utf-8") == before
    assert min(durations) < 0.05


@pytest.mark.parametrize("name", LOCKS)
def test_changed_requirements_make_it_anew(clone: Clone, name: str) -> None:
    clone.run("try")
    clone.add(name)
    assert clone.run("try")[0] == 0
    assert sum(line.startswith("-m venv") for line in clone.asked()) == 2


def test_a_moved_clone_makes_it_anew(clone: Clone) -> None:
    clone.run("try")
    clone.folder = clone.folder.rename(clone.folder.with_name("moved"))
    assert clone.run("try")[0] == 0
    assert clone.asked()[-1].endswith("/moved")


def test_a_half_made_environment_is_never_used(clone: Clone) -> None:
    code, out, err = clone.run("try", PIP_PROBLEM="yes")
    assert (code, out) == (1, "")
    assert "no such release" in err
    assert clone.run("try") == (0, "tried \n", "")
    assert sum(line.startswith("-m venv") for line in clone.asked()) == 2


def test_two_at_once_make_it_once(clone: Clone) -> None:
    both = [clone.start("try"), clone.start("try")]
    assert [process.communicate() for process in both] == [("tried \n", ""), ("tried \n", "")]
    assert sum(line.startswith("-m venv") for line in clone.asked()) == 1


@pytest.mark.parametrize(
    ("problem", "advice"),
    [("VERSION_PROBLEM", "apt-get install python3 python3-venv"), ("VENV_PROBLEM", "apt-get install python3-venv")],
)
def test_an_unfit_python_is_told_with_the_command_that_helps(clone: Clone, problem: str, advice: str) -> None:
    code, out, err = clone.run("try", **{problem: "1"})
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert advice in err


def test_without_git_there_is_the_command_that_installs_it(clone: Clone) -> None:
    bare = clone.folder.parent / "bare"
    bare.mkdir()
    for name in ("bash", "dirname"):
        (bare / name).symlink_to(shutil.which(name) or "")
    code, out, err = clone.run("try", PATH=str(bare))
    assert (code, out, err) == (3, "", "install.sh: git is missing: apt-get install git\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user who may not write into the clone")
def test_a_clone_that_cannot_be_written_has_its_environment_in_the_cache(clone: Clone) -> None:
    clone.user = NOBODY
    cache = clone.folder.parent / "cache"
    cache.mkdir()
    os.chown(cache, NOBODY, NOBODY)
    assert clone.run("try", XDG_CACHE_HOME=str(cache)) == (0, "tried \n", "")
    assert not (clone.folder / ".venv").exists()
    assert clone.run("try", XDG_CACHE_HOME=str(cache)) == (0, "tried \n", "")
    assert sum(line.startswith("-m venv") for line in clone.asked()) == 1
    code, _, err = clone.run("try", XDG_CACHE_HOME="/proc")
    assert code == 3
    assert "XDG_CACHE_HOME" in err


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is missing: apt-get install shellcheck")
def test_the_scripts_are_clean() -> None:
    parts = sorted((ROOT / "packaging" / "install").glob("*.sh"))
    scripts = [*(ROOT / name for name in ("install.sh", ".ci/run", "packaging/lock.sh")), *parts]
    for script in scripts:
        assert script.stat().st_mode & stat.S_IXUSR
    checked = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_ci_runs_the_tests_and_nothing_else() -> None:
    script = '#!/usr/bin/env bash\ncd "$(dirname "$0")/.." && exec ./install.sh test\n'
    assert (ROOT / ".ci/run").read_text(encoding="utf-8") == script


@pytest.mark.parametrize("name", ["requirements-build", "requirements", "requirements-test"])
def test_every_locked_version_has_hashes_and_names_no_place(name: str) -> None:
    text = (ROOT / "packaging" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        assert "==" in line.split()[0]
        assert "--hash=sha256:" in line
    assert "://" not in text
    assert "index" not in text


@pytest.mark.parametrize(("name", "extra"), [("requirements", ""), ("requirements-test", "test")])
def test_the_locked_versions_are_those_that_the_project_allows(name: str, extra: str) -> None:
    text = (ROOT / "packaging" / f"{name}.txt").read_text(encoding="utf-8")
    locked = {
        canonicalize_name(each): version for each, version in re.findall(r"^([\w.-]+)==([^ ;]+)", text, re.MULTILINE)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name), "0")
        assert requirement.specifier.contains(version), f"{requirement}: packaging/lock.sh locks it"


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs here")
@pytest.mark.parametrize("options", [(), ("--with-claude",)])
def test_without_systemd_an_installation_says_what_to_do_instead(clone: Clone, options: tuple[str, ...]) -> None:
    before = clone.tree()
    code, _, err = clone.run(*options)
    assert code == 3
    assert ("./install.sh try" in err) or (os.getuid() != 0 and "sudo" in err)
    assert clone.tree() == before
    assert clone.notes.read_text(encoding="utf-8") == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("options", [(), ("--uninstall",), ("--uninstall", "--purge")])
def test_without_root_the_machine_is_left_alone(clone: Clone, options: tuple[str, ...]) -> None:
    clone.user = NOBODY
    code, _, err = clone.run(*options)
    assert code == 3
    assert "sudo ./install.sh" in err


@pytest.mark.skipif(os.getuid() != 0, reason="for root")
def test_root_is_told_that_a_user_installation_is_for_others(clone: Clone) -> None:
    code, _, err = clone.run("--user")
    assert code == 3
    assert "./install.sh installs Herald for the machine" in err
