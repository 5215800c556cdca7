"""install.sh, with a Python of the test's own that only notes down what it is asked to do."""

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

ROOT = Path(__file__).parents[2]
FILES = ("install.sh", "pyproject.toml", "packaging/requirements-build.txt", "packaging/requirements.txt")

PYTHON = """#!/bin/sh
echo "$*" >>"$NOTES"
case "$*" in
*version_info*) exit ${VERSION_PROBLEM:-0} ;;
*ensurepip*) exit ${VENV_PROBLEM:-0} ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
*"-m pip "*--editable*)
  sleep 0.2
  if [ -n "${PIP_PROBLEM:-}" ]; then echo "no such release"; exit 1; fi
  printf '#!/bin/sh\\necho "tried $*"\\n' >"${0%python}herald-try"
  chmod +x "${0%python}herald-try" ;;
esac
"""


class Clone:
    """A clone whose only interpreters are stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        (self.folder / "packaging").mkdir(parents=True)
        for name in FILES:
            shutil.copy(ROOT / name, self.folder / name)
        self._programs = folder / "bin"
        self._programs.mkdir()
        for name in ("python3.13", "python3.12", "python3.11", "python3"):
            self._program(name, PYTHON)
        self.notes = folder / "notes"
        self.notes.touch()

    def _program(self, name: str, text: str) -> None:
        (self._programs / name).write_text(text, encoding="utf-8")
        (self._programs / name).chmod(0o755)

    def start(self, *arguments: str, user: int | None = None, **environment: str) -> "subprocess.Popen[str]":
        """Start install.sh."""
        path = f"{self._programs}:{os.environ['PATH']}"
        return subprocess.Popen(
            [self.folder / "install.sh", *arguments],
            env={"PATH": path, "NOTES": str(self.notes), "HOME": str(self.folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=user,
        )

    def run(self, *arguments: str, user: int | None = None, **environment: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of install.sh."""
        process = self.start(*arguments, user=user, **environment)
        out, err = process.communicate()
        return process.returncode, out, err

    def asked(self) -> list[str]:
        """What the interpreters were asked to do, except to tell about themselves."""
        lines = self.notes.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith("-m ")]


@pytest.fixture
def clone() -> Iterator[Clone]:
    with tempfile.TemporaryDirectory() as folder:  # another user must be able to enter it
        Path(folder).chmod(0o755)
        yield Clone(Path(folder))


@pytest.mark.parametrize("arguments", [(), ("install",), ("--user",)])
def test_without_a_known_command_there_is_the_usage(clone: Clone, arguments: tuple[str, ...]) -> None:
    code, out, err = clone.run(*arguments)
    assert (code, out) == (2, "")
    assert "usage: ./install.sh try" in err
    assert "Installation on a server is not there yet." in err


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


@pytest.mark.parametrize("name", FILES[1:])
def test_changed_requirements_make_it_anew(clone: Clone, name: str) -> None:
    clone.run("try")
    with (clone.folder / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
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
    for name in ("bash", "dirname", "cat"):
        (bare / name).symlink_to(shutil.which(name) or "")
    code, out, err = clone.run("try", PATH=str(bare))
    assert (code, out, err) == (3, "", "install.sh: git is missing: apt-get install git\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user who may not write into the clone")
def test_a_clone_that_cannot_be_written_has_its_environment_in_the_cache(clone: Clone) -> None:
    nobody = 65534
    clone.notes.chmod(0o666)
    cache = clone.folder.parent / "cache"
    cache.mkdir()
    os.chown(cache, nobody, nobody)
    assert clone.run("try", user=nobody, XDG_CACHE_HOME=str(cache)) == (0, "tried \n", "")
    assert not (clone.folder / ".venv").exists()
    assert clone.run("try", user=nobody, XDG_CACHE_HOME=str(cache)) == (0, "tried \n", "")
    assert sum(line.startswith("-m venv") for line in clone.asked()) == 1
    code, _, err = clone.run("try", user=nobody, XDG_CACHE_HOME="/proc")
    assert code == 3
    assert "XDG_CACHE_HOME" in err


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is missing: apt-get install shellcheck")
def test_the_scripts_are_clean() -> None:
    scripts = [ROOT / name for name in ("install.sh", ".ci/run", "packaging/lock.sh")]
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
