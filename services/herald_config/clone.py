"""Reads `remote.origin.url` from a clone, as data only.

Whoever works in the clone can write its configuration. So no git command ever runs in that folder: the file is
read with limits and handed to `git config` on standard input, which follows no include and runs nothing.
"""

import errno
import os
import stat
import subprocess

from herald.durable import read_limited
from herald_config import remote_url

_CONFIG_BYTES = 1 << 20
_POINTER_BYTES = 4096
_DEADLINE = 5.0


class NoOrigin(Exception):
    """There is no usable origin; the text says why."""


class Missing(NoOrigin):
    """There is no such folder."""


class OutOfSight(NoOrigin):
    """The folder cannot be looked into by this user or unit, which says nothing about the agent's."""


def origin_of(path: str) -> str:
    """The origin of the clone at `path`, with a relative path made absolute. Raises NoOrigin."""
    try:
        data = read_limited(_config_file(path), _CONFIG_BYTES)
    except FileNotFoundError as error:
        raise NoOrigin("is no git repository") from error
    except PermissionError as error:
        raise OutOfSight("cannot be looked into by herald-config") from error
    except OSError as error:
        reason = "holds a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise NoOrigin(f"has a .git that cannot be read ({reason})") from error
    except ValueError as error:
        # the error's own text may quote the clone, which is not to be trusted
        raise NoOrigin("has a .git that is not used: something in it is no regular file, or far too large") from error
    origin = _query(data)
    if remote_url.is_relative(origin):
        origin = os.path.normpath(os.path.join(path, origin))
    try:
        return remote_url.check(origin)
    except ValueError as error:
        raise NoOrigin(f"has an origin that {error}") from error


def _config_file(path: str) -> str:
    """The configuration of the repository; in a worktree or submodule `.git` is a file that points to it."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Missing("does not exist") from error
    dot_git = os.path.join(path, ".git")
    kind = os.lstat(dot_git).st_mode
    if stat.S_ISDIR(kind):
        return os.path.join(dot_git, "config")
    if not stat.S_ISREG(kind):
        raise NoOrigin("has a .git that is neither a folder nor a file")
    label, _, target = _pointer(dot_git).partition(":")
    if label != "gitdir":
        raise NoOrigin("has a .git file that names no gitdir")
    folder = os.path.join(path, target.strip())
    try:
        common = _pointer(os.path.join(folder, "commondir"))
    except FileNotFoundError:
        common = "."
    return os.path.join(folder, common, "config")


def _pointer(path: str) -> str:
    return read_limited(path, _POINTER_BYTES).decode("utf-8").rstrip("\n")


def _query(data: bytes) -> str:
    """The first URL of origin, which is the one that git fetches from."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_DIR": os.devnull,
    }
    command = ["git", "config", "--file", "-", "--no-includes", "--null", "--get-all", "remote.origin.url"]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, cwd="/", env=environment, timeout=_DEADLINE, check=False
        )
    except FileNotFoundError as error:
        raise NoOrigin("cannot be looked into, because git is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise NoOrigin(f"has a .git/config that git did not read within {_DEADLINE:g} s") from error
    if done.returncode == 1:
        raise NoOrigin("has no remote named origin")
    if done.returncode != 0:
        raise NoOrigin("has a .git/config that git cannot read")
    try:
        origin = done.stdout.split(b"\0")[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoOrigin("has an origin that is not UTF-8") from error
    if not origin:
        raise NoOrigin("has no remote named origin")
    return origin
