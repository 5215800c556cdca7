"""Files that came with a message: unpacked where the run can read and not change them, removed at its end."""

import contextlib
import os
from typing import NamedTuple

from herald import attachments
from herald_agent import process
from herald_agent.locks import folder

_FILE_MODE, _FOLDER_MODE = 0o444, 0o555


class Unpacked(NamedTuple):
    """A file that the agent is told of."""

    path: str
    size: int


def place(workspace: str) -> str:
    """The folder for those of a workspace's runs, of which one goes at a time; there while a run has any."""
    return os.path.join(folder("attachments"), workspace)


def unpack(fd: int, workspace: str) -> list[Unpacked]:
    """Unpack them, after whatever a killed run left. Raises Invalid and OSError."""
    remove(workspace)
    if not os.fstat(fd).st_size:
        return []
    path = place(workspace)
    os.mkdir(path, 0o700)
    found = []
    for attachment in attachments.read(fd):
        target = os.path.join(path, attachment.name)
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
        with open(out, "wb") as file:
            os.fchmod(out, _FILE_MODE)  # whatever the mask is
            file.write(attachment.data)
        found.append(Unpacked(target, len(attachment.data)))
    os.chmod(path, _FOLDER_MODE)
    return found


def remove(workspace: str) -> None:
    """Remove the folder, if it is there."""
    path = place(workspace)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.chmod(path, 0o700, follow_symlinks=True)
        process.remove_tree(path)
