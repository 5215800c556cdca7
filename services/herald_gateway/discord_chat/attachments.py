"""Files that come with a message: fetched, looked at, and kept as a tar until the worker has them.

Archives and executables are refused, by name and by what is in them. A name is made one that can stand in a folder.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple

import aiohttp
import discord

from herald import attachments as tar
from herald import journal
from herald.attachments import LARGEST, MOST
from herald.durable import sync_folder
from herald.errors import Unavailable
from herald_gateway.discord_chat.unfit import Unfit, check_content, check_name, safe_name

_DEADLINE = 60.0
_ONE_DEADLINE = 20.0
_PAUSES = (0.5, 1.0, 2.0)
_CHUNK = 1 << 16


class Kept(NamedTuple):
    """What became of the files: the path of the tar, empty without one, and in words what was refused and why."""

    path: str = ""
    refused: str = ""


class LostConnection(Exception):
    """The files cannot be fetched, and nothing else can: the message is found again when Discord is back."""


class Attachments:
    """Keeps files for messages, below one folder."""

    def __init__(self, folder: str, connected: Callable[[], bool]) -> None:
        self._folder = folder
        self._connected = connected
        os.makedirs(folder, mode=0o700, exist_ok=True)

    def tidy(self, needed: set[str]) -> None:
        """Remove what no waiting message needs; before messages are taken."""
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif path not in needed:
                os.unlink(path)

    async def keep(self, key: str, given: Sequence[discord.Attachment]) -> Kept:
        """Fetch and keep what may be kept. Raises LostConnection, and Unavailable when there is no room."""
        refused = [f"{_shown(each.filename)}: more than {MOST} files" for each in given[MOST:]]
        try:
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=".new-") as folder:
                files = await self._fetch_all(folder, given[:MOST], refused)
                path = await asyncio.to_thread(self._pack, key, files) if files else ""
        except OSError as error:
            raise Unavailable(f"attachments cannot be stored: {error.strerror or error}; free some space") from error
        return Kept(path, "; ".join(refused))

    async def _fetch_all(
        self, folder: str, given: Sequence[discord.Attachment], refused: list[str]
    ) -> list[tuple[str, str]]:
        """Names and paths of what was fetched; the rest is added to `refused`."""
        files: list[tuple[str, str]] = []
        until = asyncio.get_running_loop().time() + _DEADLINE
        async with aiohttp.ClientSession() as session:
            for number, each in enumerate(given):
                path = os.path.join(folder, str(number))
                name = safe_name(each.filename, number, {taken for taken, _ in files})
                try:
                    check_name(each.filename)
                    if each.size > LARGEST:
                        raise Unfit(f"more than {LARGEST >> 20} MB")
                    await self._fetch(session, each.url, path, until)
                    check_content(path)
                except Unfit as reason:
                    refused.append(f"{_shown(each.filename)}: {reason}")
                else:
                    files.append((name, path))
        return files

    async def _fetch(self, session: aiohttp.ClientSession, url: str, path: str, until: float) -> None:
        """Raises Unfit, LostConnection, OSError of the disk."""
        problem = ""
        for pause in (*_PAUSES, 0.0):
            try:
                async with asyncio.timeout(min(_ONE_DEADLINE, until - asyncio.get_running_loop().time())):
                    await _download(session, url, path)
                return
            except aiohttp.ClientResponseError as error:
                problem = f"Discord answers {error.status}"
                if error.status in (401, 403, 404, 410):
                    break
            except aiohttp.ClientError as error:
                problem = str(error) or type(error).__name__
            except TimeoutError:
                problem = "it did not come in time"
            if not self._connected():
                raise LostConnection(problem)
            if asyncio.get_running_loop().time() + pause >= until:
                break
            await asyncio.sleep(pause)
        journal.warning(f"an attachment could not be fetched: {problem}")
        raise Unfit(f"it could not be fetched from Discord ({problem}); send it again")

    def _pack(self, key: str, files: list[tuple[str, str]]) -> str:
        """Write the tar, on the disk before its path is told. Runs in a thread."""
        path = os.path.join(self._folder, f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.tar")
        temporary = os.path.join(self._folder, f".{os.path.basename(path)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            tar.write(_contents(files), file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
        sync_folder(self._folder)
        return path


async def _download(session: aiohttp.ClientSession, url: str, path: str) -> None:
    """Raises Unfit when more comes than may."""
    got = 0
    async with session.get(url, raise_for_status=True) as response:
        with open(path, "wb") as file:
            async for chunk in response.content.iter_chunked(_CHUNK):
                got += len(chunk)
                if got > LARGEST:
                    raise Unfit(f"more than {LARGEST >> 20} MB")
                _write(file, chunk)


def _write(file: IO[bytes], chunk: bytes) -> None:
    file.write(chunk)


def _contents(files: list[tuple[str, str]]) -> Iterator[tar.Attachment]:
    for name, path in files:
        with open(path, "rb") as file:
            yield tar.Attachment(name, file.read())


def _shown(name: str) -> str:
    return " ".join(name.split())[:80] or "a file without a name"
