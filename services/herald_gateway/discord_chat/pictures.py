"""The picture that comes with a command: checked when it comes, kept until the agent has it."""

import os

from herald import attachments, durable
from herald.errors import Invalid, Unavailable

_LARGEST = 8 << 20
"""Bytes; Discord takes no more for a webhook."""

_KINDS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")


def picture_of(path: str) -> bytes | None:
    """The picture in a tar of attachments, None without any attachment. Raises Invalid."""
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            found = list(attachments.read(file.fileno()))
    except FileNotFoundError:
        return None
    if not found:
        return None
    if len(found) > 1:
        raise Invalid("attach one picture, not several files")
    name, data = found[0]
    if len(data) > _LARGEST:
        raise Invalid(f"{name} has {len(data) >> 20} MB; the picture of an agent has at most {_LARGEST >> 20} MB")
    if not (data.startswith(_KINDS) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")):
        raise Invalid(f"{name} is no picture that Discord takes: attach a PNG, JPEG, GIF or WebP")
    return data


class Pictures:
    """Pictures of agents whose project is still being added."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def keep(self, project: str, data: bytes) -> None:
        """Keep a picture in the place of an earlier one. Raises Unavailable."""
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            durable.write_atomic(self._path(project), data, 0o600)
        except OSError as error:
            raise Unavailable(f"the picture cannot be kept: {error.strerror}; free some space") from error

    def get(self, project: str) -> bytes | None:
        """The picture that is kept, if there is one. Raises Unavailable."""
        try:
            return durable.read_limited(self._path(project), _LARGEST)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Unavailable(f"the picture that was kept cannot be read: {error}") from error

    def drop(self, project: str) -> None:
        """The agent has it."""
        durable.with_no_trace(self._path(project))

    def _path(self, project: str) -> str:
        return os.path.join(self._folder, project)
