"""fetch: the commits of a card, or those that a reset kept, from Herald's mirror into the clone of a person."""

import os
import subprocess
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from herald.bus.blocking import call
from herald.errors import Conflict, Failed, NotFound
from herald_cli.output import print_json, print_note
from herald_cli.workspaces import project_of

_KEPT = "refs/kept/"
_DEADLINE = 150.0
_GIT_DEADLINE = 300.0

# Of the clone nothing but the branch is touched: no FETCH_HEAD, no tags, no submodules, nothing tidied up.
_ALONE = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")


def fetch(arguments: Namespace) -> int:
    """`heraldctl fetch`."""
    if arguments.bundle:
        card = _written(arguments, arguments.bundle)
        shown = f"{arguments.bundle}: {card['branch']} at {card['head'][:12]}; needs {card['base'][:12]}"
        print_json(card) if arguments.json else print(shown)
        return 0
    folder = arguments.into or "."
    if not os.path.isdir(folder):
        raise NotFound(f"there is no folder {folder}")
    _git(folder, "rev-parse", "--git-dir")
    with tempfile.TemporaryDirectory(prefix="herald-fetch-") as place:
        bundle = os.path.join(place, "card.bundle")
        card = _written(arguments, bundle)
        ref = card["ref"]
        _git(folder, "fetch", *_ALONE, bundle, f"{ref}:{ref}")
    if arguments.json:
        print_json(card)
        return 0
    print(card["branch"])
    there = f"git -C {folder} " if arguments.into else "git "
    print_note(f"look at it: {there}diff {card['base'][:12]}...{card['branch']}, or {there}switch {card['branch']}")
    return 0


def _asked(arguments: Namespace) -> tuple[str, dict[str, Any]]:
    """The method, and which commits: a card's by its number, or those that a reset kept."""
    if not arguments.card.startswith(_KEPT):
        return "ExportCard", {"proposal": arguments.card}
    return "ExportKept", {"project": project_of(arguments.project), "ref": arguments.card}


def _written(arguments: Namespace, path: str) -> dict[str, Any]:
    """Have the bundle written to a file, which is gone again when that fails."""
    method, parameters = _asked(arguments)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise Conflict(f"{path} is there already") from None
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}") from error
    try:
        return call("worker", method, {**parameters, "bundle": 0}, deadline=_DEADLINE, fds=(fd,))
    except BaseException:  # Ctrl-C among it: half a bundle is none
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _git(folder: str, *arguments: str) -> None:
    """git as the person who asks, in their clone. Raises with git's words and what to do."""
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments],
            env={**os.environ, "LC_ALL": "C"},  # the words of git are read
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_DEADLINE,
            check=False,
        )
    except FileNotFoundError:
        raise NotFound("git is not installed; `apt install git` installs it") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"git {arguments[0]} timed out after {_GIT_DEADLINE:g} s") from None
    words = " ".join(done.stderr.split())
    if done.returncode == 0:
        return
    if "not a git repository" in words:
        raise NotFound(f"{Path(folder).resolve()} is not a git clone; go to yours, or name it with --into")
    if "prerequisite commits" in words:
        raise Conflict("this clone lacks commits that the card builds on; run `git fetch` in it, then try again")
    if "checked out" in words:
        raise Conflict(f"that branch is checked out in this clone; switch to another one, then try again ({words})")
    if "non-fast-forward" in words or "rejected" in words:
        raise Conflict(f"this clone has another branch of that name; rename or delete it, then try again ({words})")
    raise Failed(f"git {arguments[0]}: {words or done.returncode}")
