"""What is in this repository."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    """Every file that is part of the repository, also those that are not committed yet."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"git cannot list the files of {ROOT}: {error}")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def sources() -> list[Path]:
    """The modules of Herald itself."""
    return sorted(path for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py"))


def services() -> list[Path]:
    """One folder for each service."""
    return sorted(path for path in (ROOT / "services").iterdir() if path.name.startswith("herald_"))


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def run(*arguments: str, program: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run Python, or another program, in this repository."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT / 'services'}"}
    return subprocess.run([program, *arguments], check=False, cwd=ROOT, capture_output=True, text=True, env=environment)


def run_tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool that is installed beside this Python; skips the test where it is not."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.skip(f"{name} is not installed here; `./install.sh test` installs it")
    return run(*arguments, program=str(path))
