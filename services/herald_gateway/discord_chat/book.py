"""The book of webhooks: `webhooks.json`, a flat object from a project to its URL, which people may edit by hand.

It is read again whenever it has changed. An address in it is a secret: masked from the moment it is known.
"""

import json
import os
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from herald import durable, journal, masking
from herald.errors import Unavailable

_FILE = "webhooks.json"
_LARGEST = 1 << 20
_HOSTS = {"discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"}
_PATH = re.compile(r"(.*)/webhooks/(\d{1,20})/([A-Za-z0-9_.-]{8,200})/?")
_PREFIX = re.compile(r"/api(?:/v\d+)?")


class Address(NamedTuple):
    """Where a webhook is posted to."""

    id: str
    token: str


def address_of(url: str, api: str) -> Address | None:
    """The webhook behind a URL of Discord, or of the server `api` that is used in its place; None: it is none."""
    try:
        parts, server = urlsplit(url.strip()), urlsplit(api)
    except ValueError:
        return None
    found = _PATH.fullmatch(parts.path)
    if found is None:
        return None
    usual = _PREFIX.fullmatch(found[1]) is not None
    discords = usual and parts.scheme == "https" and parts.netloc.lower() in _HOSTS
    ours = (
        bool(api) and (usual or found[1] == server.path.rstrip("/")) and parts.netloc.lower() == server.netloc.lower()
    )
    return Address(found[2], found[3]) if discords or ours else None


def url_of(address: Address, api: str) -> str:
    """How a webhook is written down."""
    return f"{api.rstrip('/') or 'https://discord.com/api'}/webhooks/{address.id}/{address.token}"


def learn(url: str) -> None:
    """Mask a webhook's URL and its token from now on."""
    masking.learn_value(url)
    token = urlsplit(url.strip()).path.rstrip("/").rpartition("/")[2] if "/webhooks/" in url else ""
    if token:
        masking.learn_value(token)


class Book:
    """The file, and what it held when it was read last."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, _FILE)
        self._seen: tuple[int, int, int] | None = None
        self._entries: dict[str, Any] = {}
        self.damaged = ""
        """Where a broken file was set aside by the last look; empty: it was sound."""

    def get(self, project: str) -> str:
        """The URL of a project; empty if there is none. Raises Unavailable when the file cannot be read."""
        self.look()
        url = self._entries.get(project, "")
        return url if isinstance(url, str) else repr(url)

    def set(self, project: str, url: str) -> None:
        """Write a project's URL; every other entry stays. Raises Unavailable."""
        learn(url)
        self.look()
        self._write({**self._entries, project: url})

    def remove(self, project: str, address: Address, api: str) -> None:
        """Forget a project's webhook, if it is still this one. Raises Unavailable."""
        found = address_of(self.get(project), api)
        if found is not None and found.id == address.id:
            self._write({name: url for name, url in self._entries.items() if name != project})

    def look(self) -> None:
        """Read the file if it has changed. Raises Unavailable."""
        self.damaged = ""
        try:
            status = os.stat(self.path)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return
            data = durable.read_limited(os.path.realpath(self.path), _LARGEST)
        except FileNotFoundError:
            self._seen, self._entries = None, {}
            return
        except (OSError, ValueError) as error:
            raise Unavailable(f"{self.path} cannot be read: {error}") from error
        try:
            entries = json.loads(data)
            if not isinstance(entries, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as error:
            self._set_aside(error)
            return
        for url in entries.values():
            if isinstance(url, str):
                learn(url)
        if status.st_mode & 0o077:
            os.chmod(self.path, 0o600)  # who edited it by hand left it open
        self._seen, self._entries = seen, entries

    def _set_aside(self, error: Exception) -> None:
        try:
            self.damaged = durable.set_aside(self.path)
        except OSError as problem:
            raise Unavailable(f"{self.path} is broken and cannot be set aside: {problem.strerror}") from problem
        self._seen, self._entries = None, {}
        journal.error(f"{self.path} is no JSON object ({error}); it was set aside as {self.damaged}")

    def _write(self, entries: dict[str, Any]) -> None:
        text = json.dumps(entries, indent=2, ensure_ascii=False)
        try:
            durable.write_atomic(self.path, f"{text}\n".encode("utf-8", "surrogatepass"), 0o600)
        except OSError as error:
            raise Unavailable(f"{self.path} cannot be written: {error.strerror}; free some space") from error
        self._seen = None
