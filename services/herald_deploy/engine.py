"""Why a compose command may have failed: what can be told from the container socket and from known words."""

import os
import shlex
import socket

from herald import names
from herald.snapshot import Project, Snapshot
from herald_deploy.said import Said

_PATIENCE = 5.0
_HIDDEN = ("/home/", "/root/", "/run/user/")
"""Where the unit sees nothing (ProtectHome=yes)."""


def hint(settings: Snapshot, project: Project, said: Said) -> str:
    """A sentence with the next step; empty when nothing is known."""
    path = settings.deploy.socket
    if "unknown flag: --project-name" in said or "'compose' is not a docker command" in said:
        return "The docker command knows no `compose`: Docker's package docker-compose-plugin brings it."
    if project.compose_path.startswith("/") and project.path in said:
        return "Its compose file names the agents' workspace, which is closed to it; `${HERALD_TREE}` is the commit."
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.settimeout(_PATIENCE)
            probe.connect(path)
    except FileNotFoundError:
        return _absent(path)
    except PermissionError:
        return _closed(path)
    except ConnectionRefusedError:
        return f"Nobody listens at {path}: `systemctl status docker.socket docker.service` says more."
    except OSError as error:
        return f"{path} cannot be reached: {error.strerror or error}."
    return ""


def _absent(path: str) -> str:
    if names.mode() == "system" and path.startswith(_HIDDEN):
        return _open(path)
    return f"There is no container socket {path}: is Docker installed? `deploy.socket` in herald.yaml names another."


def _closed(path: str) -> str:
    if names.mode() == "system" and path.startswith(_HIDDEN):
        return _open(path)
    user = "herald-deploy" if names.mode() == "system" else str(os.geteuid())
    group = f'"$(stat -L -c %G {shlex.quote(path)})"'
    if names.mode() == "system":
        return f"{user} may not use {path}: `sudo usermod -aG {group} {user}` lets it."
    return f'You may not use {path}: `sudo usermod -aG {group} "$USER"` lets you from your next login on.'


def _open(path: str) -> str:
    folder = "/etc/systemd/system/herald-deploy@.service.d"
    lines = shlex.join(["[Service]", "ProtectHome=tmpfs", f"BindPaths=-{path}"])
    return (
        f"The unit sees nothing of the folder of {path}: `sudo mkdir -p {folder} && printf '%s\\n' {lines}"
        f" | sudo tee {folder}/socket.conf >/dev/null && sudo systemctl daemon-reload` opens it; herald-deploy must"
        " also be allowed to use it."
    )
