"""Reads from a clone where it fetches from and pushes to, as data only.

Whoever works in the clone can write its configuration. So no git command ever runs in that folder: its files are
read with limits, and its configuration is handed to git on standard input.
"""

import errno
import os
import stat
from typing import NamedTuple

from herald.durable import read_limited
from herald_config import git_config, remote_url
from herald_config.destinations import Heads, NoRemote, Settings
from herald_config.git_config import Entries, Written

_CONFIG_BYTES = 1 << 20
_POINTER_BYTES = 4096
_SHOWN = 200
_MOST_SHOWN = 3
_TRUE = ("true", "yes", "on", "1", "")


class NoOrigin(Exception):
    """There is no usable origin; the text says why."""


class NoClone(NoOrigin):
    """There is no clone, so that none has said anything."""


class Missing(NoClone):
    """There is no such folder."""


class OutOfSight(NoOrigin):
    """The folder cannot be looked into by this user or unit, which says nothing about the agent's."""


class Found(NamedTuple):
    """What a clone says. Addresses are in the form in which they are kept, relative paths made absolute."""

    fetch: str
    """empty: none can be used"""
    fetch_problem: str
    """why not; goes on from the clone's path"""
    push_url: str
    """empty: pushes go where fetches come from, or there is a problem"""
    push_problem: str
    """why nothing can be pushed; goes on from the clone's path"""
    includes: list[str]
    """files that its configuration includes, which are not read"""


def read(path: str, of_user: list[Written]) -> Found:
    """What the clone at `path` says; `of_user` is what git reads before the clone's own. Raises NoOrigin."""
    try:
        folder, common = _folders(path)
        own, heads = _own(folder, common)
        settings = Settings([*git_config.for_repository(of_user, folder), *own])
    except FileNotFoundError as error:
        kind = NoOrigin if os.path.lexists(os.path.join(path, ".git")) else NoClone
        raise kind("is no git repository") from error
    except PermissionError as error:
        raise OutOfSight("cannot be looked into by herald-config") from error
    except OSError as error:
        reason = "holds a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise NoOrigin(f"has a .git that cannot be read ({reason})") from error
    except ValueError as error:
        # the error's own text may quote the clone, which is not to be trusted
        raise NoOrigin("has a .git that is not used: something in it is no regular file, or far too large") from error
    except git_config.Unreadable as error:
        raise NoOrigin(f"has a .git/config that {error}") from error
    remote = fetch = problem = ""
    try:
        remote = settings.fetch_remote(heads)
        fetch = _checked(settings.fetch_url(remote), path)
    except NoRemote as error:
        problem = str(error)
    except ValueError as error:
        problem = f"has an origin that {error}"
    push_url, push_problem = _push(settings.push_urls(heads, remote), path, fetch)
    return Found(fetch, problem, push_url, push_problem, Settings(own).includes)


def _push(urls: list[str], path: str, fetch: str) -> tuple[str, str]:
    """The push URL, and why there is none."""
    usable = []
    for url in dict.fromkeys(urls):
        # a word alone is a path for git, but nobody has a remote inside the work tree
        if remote_url.says_no(url) or (remote_url.is_relative(url) and "/" not in url and url != "."):
            return "", f"has the push URL {shown(url)}"
        try:
            usable.append(_checked(url, path))
        except ValueError as error:
            return "", f"has a push URL that {error}"
    usable = list(dict.fromkeys(usable))
    if len(usable) > 1:
        more = f" and {len(usable) - _MOST_SHOWN} more" if len(usable) > _MOST_SHOWN else ""
        return (
            "",
            f"has several push URLs ({', '.join(map(shown, usable[:_MOST_SHOWN]))}{more}), and Herald pushes to one",
        )
    if usable == [os.path.normpath(path)]:
        return "", "has itself as the place to push to"
    return ("" if usable in ([], [fetch]) else usable[0]), ""


def _checked(url: str, path: str) -> str:
    if not url.isprintable() and any("\udc80" <= each <= "\udcff" for each in url):
        raise ValueError("is not UTF-8")
    if remote_url.is_relative(url):
        url = os.path.normpath(os.path.join(path, url))
    return remote_url.check(url)


def shown(url: str) -> str:
    """An address for people: without password, short, printable."""
    return "".join(each if each.isprintable() else "?" for each in remote_url.without_password(url)[:_SHOWN])


def _own(folder: str, common: str) -> tuple[Entries, Heads]:
    """The clone's own configuration and its branches. Raises OSError, ValueError, Unreadable."""
    entries = git_config.parse(read_limited(os.path.join(common, "config"), _CONFIG_BYTES))
    if dict(entries).get("extensions.worktreeconfig", "false").lower() in _TRUE:
        try:
            entries += git_config.parse(read_limited(os.path.join(folder, "config.worktree"), _CONFIG_BYTES))
        except FileNotFoundError:
            pass
    defaults = {}
    for name in Settings(entries).remotes:
        if not {"", ".", ".."} & set(name.split("/")):
            within = f"refs/remotes/{name}/"
            branch = _branch(os.path.join(common, within, "HEAD"), within)
            if branch:
                defaults[name] = branch
    return entries, Heads(_branch(os.path.join(folder, "HEAD"), "refs/heads/"), defaults)


def _branch(path: str, within: str) -> str:
    """The branch that a symbolic ref names; empty if it names none, or cannot be read."""
    try:
        label, _, ref = read_limited(path, _POINTER_BYTES).decode("utf-8").rstrip("\n").partition(" ")
    except (OSError, ValueError):
        return ""
    return ref.removeprefix(within) if label == "ref:" and ref.startswith(within) else ""


def _folders(path: str) -> tuple[str, str]:
    """The repository's folder and the one it shares with other work trees; in a work tree or submodule `.git` is a file
    that points to them."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Missing("does not exist") from error
    dot_git = os.path.join(path, ".git")
    kind = os.lstat(dot_git).st_mode
    if stat.S_ISDIR(kind):
        return dot_git, dot_git
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
    return folder, os.path.join(folder, common)


def _pointer(path: str) -> str:
    return read_limited(path, _POINTER_BYTES).decode("utf-8").rstrip("\n")
