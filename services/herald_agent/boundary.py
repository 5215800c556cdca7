"""What a run of a project may reach, as a list of places: what is nearest to a path decides.

Places that are hidden need not exist: they are hidden also when they appear later.
"""

import os
from typing import NamedTuple

from herald import names
from herald.snapshot import Snapshot
from herald_agent.landlock import DEVICE, READ, WRITE
from herald_agent.workspace import Workspace

HIDDEN = 0

_NAME_RESOLUTION = ("/run/systemd/resolve", "/run/resolvconf", "/run/nscd")
_PROJECTS = "/srv/herald"
"""Where clones are on a server unless configured otherwise; also those that no project names any more."""

_SECRETS = (
    ".ssh", ".gnupg", ".pgpass", ".my.cnf", ".netrc", ".git-credentials", ".config/git/credentials", ".config/gh",
    ".config/hub", ".config/glab-cli", ".aws", ".azure", ".config/gcloud", ".kube", ".docker", ".config/containers",
    ".config/rclone", ".config/op", ".config/doctl", ".terraform.d", ".vault-token", ".boto", ".s3cfg",
    ".password-store", ".local/share/keyrings", ".local/share/kwalletd", ".pki", ".npmrc", ".yarnrc.yml", ".pypirc",
    ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".m2/settings.xml",
    ".gradle/gradle.properties", ".huggingface", ".cache/huggingface/token", ".kaggle", ".jupyter", ".codex", ".gemini",
    ".claude", ".claude.json", ".config/claude", ".config/anthropic", ".mozilla", ".thunderbird",
    ".config/google-chrome", ".config/chromium", ".config/BraveSoftware", ".config/Signal", ".var", ".bash_history",
    ".zsh_history", ".python_history", ".node_repl_history", ".psql_history", ".mysql_history", ".lesshst", ".viminfo",
    ".config/herald", ".local/state/herald", ".cache/herald", "herald",
)  # fmt: skip
"""What an agent of a person's own Herald has no business with, below the person's home."""


class Boundary(NamedTuple):
    """Rights by absolute path without symbolic links; every path has an entry above it, since `/` has one."""

    rights: dict[str, int]

    def at(self, path: str) -> int:
        """The rights on a path, given by the nearest entry."""
        while path not in self.rights:
            path = os.path.dirname(path)
        return self.rights[path]

    def above(self, path: str) -> int:
        """What would be the rights on an entry without it."""
        return self.rights["/"] if path == "/" else self.at(os.path.dirname(path))


def draw(
    settings: Snapshot, needed: tuple[str, ...], writable: tuple[str, ...] = (), readable: tuple[str, ...] = ()
) -> Boundary:
    """A boundary within which these folders may be written, or only read, although they lie in hidden ones.

    `needed`: programs, wherever they are.
    """
    rights = {"/": READ}
    for path in _hidden(settings):
        _put(rights, path, HIDDEN)
    _put(rights, "/dev", READ | DEVICE)
    for path in ("/dev/shm", *_own_temporary()):  # noqa: S108 - allowed, not used
        _put(rights, path, READ | WRITE)
    for path in writable:
        _put(rights, path, READ | WRITE)
    for path in readable:
        _put(rights, path, READ)
    for path in (*_NAME_RESOLUTION, "/etc/resolv.conf", *needed):
        if Boundary(rights).at(os.path.realpath(path)) == HIDDEN:
            _put(rights, path, READ)
    return Boundary(rights)


def places_of(workspace: Workspace) -> tuple[str, ...]:
    """What the runs in a workspace may write to."""
    return (workspace.folder, workspace.home, workspace.kept)


def _put(rights: dict[str, int], path: str, value: int) -> None:
    rights[os.path.realpath(path)] = value


def _hidden(settings: Snapshot) -> list[str]:
    paths = [
        names.state_root(),
        names.bus_folder(),
        names.config_folder(),
        "/run",
        _PROJECTS,
        *(other.path for other in settings.projects.values()),
    ]
    paths += [path for name in ("CREDENTIALS_DIRECTORY", "XDG_RUNTIME_DIR") if (path := os.environ.get(name))]
    if names.mode() == "system":
        return [*paths, settings.projects_root, "/home", "/root"]
    return [*paths, "/tmp", "/var/tmp", *secrets_of_home()]  # noqa: S108 - other programs leave sockets and secrets there


def secrets_of_home() -> list[str]:
    """Where the person whose Herald this is keeps secrets."""
    home = os.path.expanduser("~")
    return [os.path.join(home, path) for path in _SECRETS]


def _own_temporary() -> list[str]:
    """Folders for temporary files that nobody else has: the unit's own, given by the service manager."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        fields = [line.split(" ")[3:5] for line in file]
    return [at for root, at in fields if at in ("/tmp", "/var/tmp") and "/systemd-private-" in root]  # noqa: S108
