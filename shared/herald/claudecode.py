"""Where Claude Code is, and where its one login for all projects is kept.

The login is Claude Code's own configuration folder, in the state of the agent's unit. `heraldctl agent-login` has the
CLI log in there as the agent's user; the driver carries its credential file to the projects.
"""

import os
import sys

from herald import names

CREDENTIALS = ".credentials.json"


def find() -> str:
    """The absolute path of the CLI, empty if there is none.

    HERALD_CLAUDE names it; else it is on the PATH, or beside Herald's versions, or where its own installer puts it for
    one person.
    """
    given = os.environ.get("HERALD_CLAUDE")
    if given:
        candidates = [given]
    else:
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        versions, _ = os.path.split(os.path.realpath(sys.prefix))
        if os.path.basename(versions) == "versions":  # installed; a checkout's neighbours may be anybody's
            folders.append(os.path.join(os.path.dirname(versions), "claude", "bin"))
        if names.mode() == "user":
            folders.append(os.path.expanduser("~/.local/bin"))
        candidates = [os.path.join(folder, "claude") for folder in folders if folder]
    for path in candidates:
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return os.path.join(os.getcwd(), path)
    return ""


def login_folder() -> str:
    """The CLI's configuration folder of the login; the agent's user alone may enter it."""
    return os.path.join(names.state_folder(names.AGENT), "login")


def login_environment() -> dict[str, str]:
    """What sends the CLI there, for whoever runs it as the agent's user."""
    return {"HOME": login_folder(), "CLAUDE_CONFIG_DIR": login_folder()}
