"""Whether a project needs git-lfs and it is missing, as far as that shows in its folder."""

import os
import re

from herald import largefiles
from herald_config.project_file import Project

_USES = re.compile(rb"^[^#\n]*[ \t]filter=lfs(?:[ \t\r]|$)", re.MULTILINE)
_MOST = 1 << 20


def notice_of(project: Project) -> str:
    """What to install, empty when nothing is known to be missing. Attributes in deeper folders are found by the run."""
    if largefiles.is_installed(os.environ.get("PATH", os.defpath)):
        return ""
    if project.keys.git.lfs.get == ("none",) and not _uses(os.path.join(project.keys.path, ".gitattributes")):
        return ""
    return f"the project keeps files with git-lfs, which is not installed; its tasks fail: {largefiles.INSTALL}"


def _uses(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # it is not there, or out of sight of this unit
        return False
    with open(fd, "rb") as file:
        return bool(_USES.search(file.read(_MOST)))
