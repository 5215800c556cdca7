"""One login of Claude Code for all projects: lent to a project's home for a run, taken back when it was refreshed.

A project's home is what its agent made of it, so nothing there is followed, and of what is taken back only the tokens
and their times count; everything else stays as it was when the operator logged in.
"""

import contextlib
import fcntl
import json
import math
import os
import stat
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

from herald import claudecode, durable, journal
from herald_agent.locks import folder

_LIMIT = 1 << 16
_LONGEST_TOKEN = 4096
_LONGEST_LIFE = 400 * 86400
"""Seconds from now to the latest credible end of a token."""
_SECTION = "claudeAiOauth"
_CONFIG = ".claude"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Tokens(NamedTuple):
    """What a refresh changes; times are in milliseconds since the epoch, as the CLI writes them."""

    access: str
    refresh: str
    expires: float
    refresh_expires: float


def is_there() -> bool:
    """Whether somebody logged in."""
    return bool(_read_stored())


def lend(workspace: str) -> None:
    """Put the login into a workspace's home, if there is one and it is not there already."""
    gather()
    stored = _read_stored()
    if not stored:
        return
    try:
        with _config_folder(workspace, make=True) as config:
            if not _is_same(_read_at(config), stored):
                _write_at(config, json.dumps(stored).encode())
    except OSError as error:
        journal.warning(f"the login could not be put into the home of {workspace}: {error}", project=workspace)


def gather() -> None:
    """Take back what runs refreshed, of all projects: a run that was killed did not give it back."""
    if _read_stored():
        for project in os.listdir(folder("homes")):
            take_back(project)


def take_back(project: str) -> None:
    """Take the tokens in a project's home if they are a refresh of the login."""
    try:
        with _config_folder(project, make=False) as config:
            found = _tokens(_read_at(config))
    except OSError:  # it has none, or made something else of it
        return
    if found is None:
        return
    with _locked():
        stored = _read_stored()
        known = _tokens(stored)
        if known is None or not known.expires < found.expires < (time.time() + _LONGEST_LIFE) * 1000:
            return
        section = stored[_SECTION]
        section |= {"accessToken": found.access, "refreshToken": found.refresh, "expiresAt": found.expires}
        if known.refresh_expires and found.refresh_expires:
            section["refreshTokenExpiresAt"] = min(known.refresh_expires, found.refresh_expires)
        durable.write_atomic(_stored_path(), json.dumps(stored).encode(), 0o600)
    journal.notice("the login was refreshed in a run and is kept for the next", project=project)


def _stored_path() -> str:
    return os.path.join(claudecode.login_folder(), claudecode.CREDENTIALS)


def _read_stored() -> dict[str, Any]:
    try:
        return _login_in(durable.read_limited(_stored_path(), _LIMIT))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        journal.warning(f"the login cannot be read ({error}); `heraldctl agent-login` makes it anew")
        return {}


def _login_in(data: bytes) -> dict[str, Any]:
    """What a credential file says; empty when it holds no login."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) and _tokens(body) is not None else {}


def _tokens(body: dict[str, Any]) -> Tokens | None:
    section = body.get(_SECTION)
    if not isinstance(section, dict):
        return None
    access, refresh = section.get("accessToken"), section.get("refreshToken")
    expires, refresh_expires = section.get("expiresAt"), section.get("refreshTokenExpiresAt") or 0
    if not (_is_token(access) and _is_token(refresh) and _is_time(expires) and _is_time(refresh_expires)):
        return None
    return Tokens(access, refresh, expires, refresh_expires)


def _is_same(body: dict[str, Any], other: dict[str, Any]) -> bool:
    ours, theirs = _tokens(body), _tokens(other)
    return ours is not None and theirs is not None and ours[:2] == theirs[:2]


def _is_token(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_TOKEN and value.isascii() and value.isprintable()


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


@contextlib.contextmanager
def _config_folder(project: str, *, make: bool) -> Iterator[int]:
    """The CLI's configuration folder in a project's home, opened without following anything. Raises OSError."""
    home = os.open(os.path.join(folder("homes"), project), _FOLDER)
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(_CONFIG, 0o700, dir_fd=home)
        config = os.open(_CONFIG, _FOLDER, dir_fd=home)
    finally:
        os.close(home)
    try:
        yield config
    finally:
        os.close(config)


def _read_at(config: int) -> dict[str, Any]:
    """The login in an open configuration folder; empty when there is none. Raises OSError."""
    try:
        fd = os.open(claudecode.CREDENTIALS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=config)
    except OSError:  # not there, or something that is no file
        return {}
    try:
        return _login_in(durable.read_descriptor(fd, _LIMIT))
    except ValueError:
        return {}
    finally:
        os.close(fd)


def _write_at(config: int, data: bytes) -> None:
    """Write the login into an open configuration folder; it is not fsynced, since each run looks. Raises OSError."""
    temporary = f"{claudecode.CREDENTIALS}.herald"
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(temporary, dir_fd=config, follow_symlinks=False).st_mode):
            os.rmdir(temporary, dir_fd=config)
        else:
            os.unlink(temporary, dir_fd=config)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=config)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
    os.rename(temporary, claudecode.CREDENTIALS, src_dir_fd=config, dst_dir_fd=config)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One at a time. The CLI itself, when it logs in anew, replaces the file, and what is newest stays."""
    fd = os.open(os.path.join(folder("login"), ".herald-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
