"""Run inside a machine: makes repositories with traits, as people bring them to a server.

    python -m tests.system.grounds WHO URL TRAIT...    make them; prints as JSON what `Made` has
    python -m tests.system.grounds --own FOLDER...     prints a line for each that stays as long as every byte does
    python -m tests.system.grounds --path FOLDER...    ... as long as what no run in it may change

Each gets a folder below /srv/herald/repos, whose clone belongs to WHO. Its remotes lie below /home/forge and are
reached by URL.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.expectations import TRAITS
from tests.support.ground import IGNORED, Ground, every_byte, in_place

PROJECTS = "/srv/herald/repos"
_HOME = "/home/forge"


class Made(NamedTuple):
    """A repository and a person's clone of it."""

    clone: str
    watched: list[str]
    branch: str
    head: str
    arrives: str
    """The path of the remote that takes what is pushed."""


def slug(trait: str) -> str:
    """The name of a project for a trait."""
    return re.sub(r"[^a-z0-9]+", "-", trait.lower()).strip("-")[:40].strip("-")


def made(who: str, url: str, trait: str) -> Made:
    """Make one. Its remotes are moved at the end, and every address with them, as if it had been cloned from there."""
    folder, home = Path(PROJECTS) / slug(trait), Path(_HOME) / slug(trait)
    ground = Ground(folder)
    TRAITS[trait](ground)
    ground.finish()
    shutil.rmtree(ground.seed)
    home.mkdir()
    arrives = str(home / ground.arrived.path.name)
    branch, head = ground.branch, "" if trait == "an empty remote" else ground.head
    moved = [each.parent.parent for each in folder.glob("*/hooks/update") if (each.parent.parent / "HEAD").exists()]
    moved = [each for each in moved if each.name.endswith(".git") and each.name != "beside.git"]
    for each in moved:
        hook = each / "hooks/update"
        hook.write_text(hook.read_text().replace(str(each), str(home / each.name)))
        shutil.move(each, home / each.name)
    for config in folder.rglob("config"):
        if config.is_file():
            _readdress(config, folder, f"{url}{home}", [each.name for each in moved])
    for path, owner in ((folder, who), (home, "forge:forge")):
        subprocess.run(["chown", "-R", "--no-dereference", owner, path], check=True)
    return Made(str(ground.clone), [str(each) for each in ground.watched], branch, head, arrives)


def _readdress(config: Path, folder: Path, url: str, names: list[str]) -> None:
    text = config.read_bytes()
    for name in names:
        for old in (f"file://{folder}/{name}", f"{folder}/{name}", f"../{name}"):
            text = text.replace(old.encode(), f"{url}/{name}".encode())
    config.write_bytes(text)


def _in_place(clone: Path) -> dict[bytes, object]:
    """What no run may change, but for the files that runs leave in a folder which is ignored."""
    found = in_place(clone)
    files = found.pop("files")
    assert isinstance(files, dict)
    left = os.fsencode(clone / IGNORED / "out")
    kept = sorted((path, about) for path, about in files.items() if path != left)
    return {os.fsencode(name): about for name, about in {**found, "files": kept}.items()}


def main() -> None:
    """See above."""
    if sys.argv[1] in ("--own", "--path"):
        for each in sys.argv[2:]:
            found = repr(sorted((every_byte if sys.argv[1] == "--own" else _in_place)(Path(each)).items()))
            print(hashlib.sha256(found.encode(errors="surrogateescape")).hexdigest(), each)
        return
    who, url, *traits = sys.argv[1:]
    print(json.dumps({slug(each): made(who, url, each) for each in traits}))


if __name__ == "__main__":
    main()
