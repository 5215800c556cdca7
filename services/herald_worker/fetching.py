"""Bringing the mirror up to the remote's default branch, by the unit that may talk to remotes."""

import os

from asyncvarlink import FileDescriptor

from herald import journal
from herald.bus import client
from herald.errors import Conflict, Unavailable
from herald.interfaces.git import Fetched, Git
from herald.snapshot import Project
from herald_worker.mirror import Mirror

_DEADLINE = 2000.0
"""Seconds. A first fetch clones the whole repository and packs it; herald-git itself ends what takes longer."""


class Fetcher:
    """Fetches for whoever needs it."""

    def __init__(self) -> None:
        self.git = client.peer(Git, _DEADLINE)
        self._mirrors: dict[str, Mirror] = {}
        """Kept, and with them what this process knows of each."""

    async def fetch(self, project: Project, pack: str) -> str:
        """Bring the mirror up to the remote's default branch; returns its head. Raises HeraldError."""
        return (await self.fetch_default(project, pack))["head"]

    async def fetch_default(self, project: Project, pack: str) -> Fetched:
        """The same; returns the default branch, too. `pack` is the path of a file that may be used for it."""
        if not project.remote:
            raise Conflict(
                f"{project.name} has no remote: set `git.remote` in its file, or `git remote add origin URL` in"
                f" {project.path} and reload"
            )
        mirror = self._mirrors.setdefault(project.name, Mirror(project.name))
        for known in (await mirror.known(), []):
            fd = os.open(pack, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                fetched = await self.git.Fetch(project=project.name, have=known, pack=FileDescriptor(fd))
            finally:
                os.close(fd)
            try:
                await mirror.import_base(pack, fetched["head"])
            except Unavailable as error:
                if not known:
                    raise
                journal.warning(f"the mirror is built anew: {error.message}", project=project.name)
                continue
            break
        return fetched
