"""The project of a try: an existing clone, the one remembered in the state folder, or a sample made there."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from herald import durable
from herald_try.conditions import Missing
from herald_try.place import Place

_NAME_LENGTH = 40
_README = """# Sample

A project for trying Herald. Its remote is the bare repository beside it.
"""


def choose(place: Place, given: str | None) -> str:
    """The name of the project; its configuration file is written unless there is one. Raises Missing."""
    if given is not None:
        name = _register(place, Path(given).expanduser().absolute())
    else:
        name = _remembered(place) or _register(place, _sample(place))
    durable.write_atomic(os.path.join(place.own, "project"), name.encode())
    return name


def _remembered(place: Place) -> str:
    try:
        name = Path(place.own, "project").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    return name if _file(place, name).exists() else ""


def _file(place: Place, name: str) -> Path:
    return Path(place.config, "projects", f"{name}.yaml")


def _register(place: Place, folder: Path) -> str:
    """Write the project's file unless one for this folder is there already; returns the project's name."""
    _check_clone(folder)
    folder = folder.resolve()
    entry = f"path: {json.dumps(str(folder))}"
    number = 1
    while (file := _file(place, name := _name_of(folder, number))).exists():
        if entry in file.read_text(encoding="utf-8").splitlines():
            return name
        number += 1
    lines = [
        f"# Written by the try command for {json.dumps(str(folder))}.",
        f"name: {json.dumps(name)}",
        entry,
        "workspace: own",
    ]
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.write_atomic(str(file), "".join(f"{line}\n" for line in lines).encode())
    return name


def _name_of(folder: Path, number: int) -> str:
    """A valid project name from the folder's: `[a-z0-9][a-z0-9-]{0,39}`."""
    suffix = f"-{number}" if number > 1 else ""
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "project"
    return name[: _NAME_LENGTH - len(suffix)].rstrip("-") + suffix


def _check_clone(folder: Path) -> None:
    """Raise Missing unless this is a clone with a remote; which one counts is found out by herald-config.

    Read from the clone's configuration as a file, without includes: nothing in the clone is run.
    """
    git = folder / ".git"
    if git.is_file():
        text = git.read_text(encoding="utf-8", errors="replace")
        git = folder / text.removeprefix("gitdir:").strip()
        common = git / "commondir"
        if common.is_file():
            git = git / common.read_text(encoding="utf-8").strip()
    if not (git / "config").is_file():
        raise Missing(f"--project {folder} is no git clone: give a clone made with `git clone URL`")
    if not _git("config", "--file", str(git / "config"), "--no-includes", "--get-regexp", r"^remote\..*\.url$"):
        raise Missing(f"--project {folder} has no remote: `git -C {folder} remote add origin URL` adds one")


def _sample(place: Place) -> Path:
    """A clone with one commit and a bare remote beside it, made once."""
    final = Path(place.state, "sample")
    clone = final / "sample"
    if clone.exists():
        return clone
    making = Path(place.state, "sample.new")
    shutil.rmtree(making, ignore_errors=True)
    bare, work = making / "remote.git", making / "sample"
    _git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(bare))
    _git("clone", "--quiet", "--template=", str(bare), str(work))
    (work / "README.md").write_text(_README, encoding="utf-8")
    _git("-C", str(work), "checkout", "--quiet", "-B", "main")
    _git("-C", str(work), "add", "README.md")
    _git("-C", str(work), "-c", "user.name=Herald", "-c", "user.email=herald@localhost", "commit", "-qm", "Begin")
    _git("-C", str(work), "push", "--quiet", "--set-upstream", "origin", "main")
    _git("-C", str(work), "remote", "set-url", "origin", str(final / "remote.git"))
    making.rename(final)
    durable.sync_folder(place.state)
    return clone


def _git(*arguments: str) -> str:
    """Run git without anybody's configuration; returns what it printed. Raises Missing when it fails."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }
    done = subprocess.run(
        ["git", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0 and arguments[0] != "config":
        raise Missing(f"git {arguments[0]} failed: {' '.join(done.stderr.split()) or done.returncode}")
    return done.stdout
