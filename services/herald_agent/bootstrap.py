"""The templates of a new project: what of them its repository lacks is committed on the branch of the first run.

They give the agent a place for who it is, what it remembers and whom it works for. From then on they are the agent's
and its people's own; Herald does not touch them again.
"""

import os
import stat

from herald import journal
from herald.snapshot import Project
from herald_agent.git import Git

_FOLDER = os.path.join(os.path.dirname(__file__), "templates")
_PLACES = {
    "SOUL.md": ".herald/SOUL.md",
    "MEMORY.md": ".herald/MEMORY.md",
    "humans/README.md": ".herald/humans/README.md",
    "CLAUDE.md": "CLAUDE.md",
}
_SUBJECT = "Add Herald's templates"


def add_templates(git: Git, project: Project) -> list[str]:
    """Write the templates that the workspace of `git` lacks, and commit them; returns their paths. Raises Failed.

    Nothing is written through a symbolic link: the repository is somebody else's work.
    """
    texts = {place: _filled_in(template, project) for template, place in _PLACES.items()}
    added: list[str] = git.inside(lambda: [place for place in texts if _add(git.folder, place, texts[place])])
    if added and project.auto_commit:
        git("add", "--force", "--", *added)
        git("commit", "--quiet", "--no-verify", "--message", _SUBJECT, "--", *added)
    if added:
        journal.info(f"templates added: {', '.join(added)}", project=project.name)
    return added


def _add(folder: str, place: str, text: str) -> bool:
    """In the child: write a template where nothing is."""
    if not _is_free(folder, place):
        return False
    _write(os.path.join(folder, place), text)
    return True


def _is_free(folder: str, place: str) -> bool:
    """Whether a file can be made there: nothing has its name, and no part of the way is anything but a folder."""
    path = folder
    for part in place.split("/")[:-1]:
        path = os.path.join(path, part)
        if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode):
            return False
    return not os.path.lexists(os.path.join(folder, place))


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "wb") as file:
        file.write(text.encode())


def _filled_in(template: str, project: Project) -> str:
    with open(os.path.join(_FOLDER, template), encoding="utf-8") as file:
        text = file.read()
    known = {"AGENT": project.agent_name or project.display_name, "PROJECT": project.display_name}
    for name, value in known.items():
        text = text.replace(f"@{name}@", value)
    return text
