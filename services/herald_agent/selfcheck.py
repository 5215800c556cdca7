"""What an agent could do that it should not: tried out, in a child that is confined as the agent will be.

Only what exists is tried. Nothing is changed by it but for a file that is made and removed where that is possible.
"""

import errno
import os
import socket
import stat
from collections.abc import Callable
from typing import NamedTuple

from herald import names
from herald.snapshot import Snapshot
from herald_agent import landlock
from herald_agent.boundary import secrets_of_home
from herald_agent.confinement import Confinement
from herald_agent.workspace import Workspace

_NOTHING_HOLDS = (
    "Neither Landlock (Linux 5.19 and later, `landlock` in /sys/kernel/security/lsm) nor mount namespaces can be used "
    "here: agents are held by the unit alone, and not kept apart from one another."
)
_CAN_TRUNCATE = (
    "An agent can empty files of other projects with truncate(2): the Landlock of this kernel does not know that call, "
    "Linux 6.2 and later do."
)
_CREDENTIALS = ("discord_token", "git_ssh_key", "anthropic_api_key", "claude_oauth_token")
_OF_OTHERS = (*names.LONG_RUNNING, *(name for name in names.ON_CONNECT if name != names.AGENT), names.ALERT)
_OWN_STATE = ("login", "slots", "locks", "checkouts")
_SOCKETS = (
    "/run/systemd/private",
    "/run/dbus/system_bus_socket",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
)
_SOCKETS_OF_A_PERSON = (
    "bus", "systemd/private", "gnupg/S.gpg-agent", "gnupg/S.gpg-agent.ssh", "gcr/ssh", "keyring/ssh", "keyring/control",
    "ssh-agent.socket", "docker.sock", "podman/podman.sock",
)  # fmt: skip
_FOUND_LIMIT = 1 << 16


class _Trial(NamedTuple):
    """One act on one thing, known by its device and number; `means` is what its success stands for."""

    act: Callable[[str, tuple[int, int]], bool]
    path: str
    same: tuple[int, int]
    means: str


def not_held(settings: Snapshot, workspace: Workspace | None, confinement: Confinement) -> list[str]:
    """Sentences on what the confinement of a workspace's runs does not hold. Nothing is expected of it in try mode."""
    if names.mode() == "try":
        unheld = workspace is not None and workspace.own and confinement.means == "nothing"
        return [f"An agent can write to {workspace.project.path}."] if workspace and unheld else []
    trials = _trials(settings, workspace)
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            confinement.enter()
            succeeded = [number for number, trial in enumerate(trials) if _succeeds(trial)]
            os.write(write, b"".join(number.to_bytes(2) for number in succeeded))
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with open(read, "rb") as file:
        found = file.read(_FOUND_LIMIT)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        return ["What holds agents could not be tried out; `journalctl -t herald-agent` may say why."]
    done = [trials[int.from_bytes(found[at : at + 2])] for at in range(0, len(found), 2)]
    return [*_by_nature(settings, confinement), *_sentences(done)]


def _by_nature(settings: Snapshot, confinement: Confinement) -> list[str]:
    """What need not be tried."""
    if confinement.means == "nothing":
        return [_NOTHING_HOLDS]
    others = len(settings.projects) > 1
    return [_CAN_TRUNCATE] if confinement.means == "landlock" and others and not landlock.holds_truncation() else []


def _sentences(done: list[_Trial]) -> list[str]:
    """One for each kind of act."""
    paths: dict[str, list[str]] = {}
    for trial in done:
        paths.setdefault(trial.means, []).append(_shown(trial.path))
    return [f"An agent can {means} {', '.join(found)}." for means, found in paths.items()]


def _shown(path: str) -> str:
    """Without the numbers of this instance: the same thing shall be the same sentence every time."""
    if path == os.environ.get("CREDENTIALS_DIRECTORY"):
        return os.path.dirname(path)
    return path.replace(f"/proc/{os.getpid()}/", "/proc/PID/")


def _succeeds(trial: _Trial) -> bool:
    try:
        return trial.act(trial.path, trial.same)
    except OSError:
        return False


def _trials(settings: Snapshot, workspace: Workspace | None) -> list[_Trial]:
    agent, config = names.state_folder(names.AGENT), names.config_folder()
    states = [names.state_folder(name) for name in _OF_OTHERS]
    own = [os.path.join(agent, name) for name in _OWN_STATE]
    others = _of_other_projects(settings, workspace, agent)
    credentials = [names.credential_path(name) for name in _CREDENTIALS]
    credentials += [path for path in (os.environ.get("CREDENTIALS_DIRECTORY"), "/run/credentials") if path]
    personal = secrets_of_home() if names.mode() == "user" else ["/home", "/root"]
    home = [os.path.expanduser("~")] if names.mode() == "user" else []
    apart = [config, *states, *own, *others]
    return [
        *_existing(_can_read, [*apart, *credentials, *personal], "read"),
        *_existing(_can_write, [names.state_root(), agent, *apart, "/etc", "/usr/local", *home], "write to"),
        *_existing(_can_connect, _sockets(), "connect to"),
        *_existing(_can_look, [f"/proc/{os.getpid()}/environ"], "look into the process that drives it,"),
    ]


def _of_other_projects(settings: Snapshot, workspace: Workspace | None, agent: str) -> list[str]:
    """The folders of other projects, and the one that an own workspace is apart from."""
    own = "" if workspace is None else workspace.project.name
    found = [
        path
        for other in settings.projects.values()
        if other.name != own
        for path in (
            other.path,
            *(os.path.join(agent, kind, other.name) for kind in ("homes", "workspaces", "stores")),
        )
    ]
    return [*found, workspace.project.path] if workspace is not None and workspace.own else found


def _sockets() -> list[str]:
    personal = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
    return [
        *(names.socket_path(name) for name in (*names.LONG_RUNNING, *names.ON_CONNECT)),
        *_SOCKETS,
        *(os.path.join(personal, name) for name in _SOCKETS_OF_A_PERSON),
        *([path] if (path := os.environ.get("SSH_AUTH_SOCK")) else []),
    ]


def _existing(act: Callable[[str, tuple[int, int]], bool], paths: list[str], means: str) -> list[_Trial]:
    found = []
    for path in dict.fromkeys(paths):
        try:
            status = os.stat(path)
        except OSError:
            continue
        found.append(_Trial(act, path, (status.st_dev, status.st_ino), means))
    return found


def _is_same(fd: int, same: tuple[int, int]) -> bool:
    status = os.fstat(fd)
    return (status.st_dev, status.st_ino) == same


def _can_read(path: str, same: tuple[int, int]) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _is_same(fd, same)
    finally:
        os.close(fd)


def _can_look(path: str, _same: tuple[int, int]) -> bool:
    os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    return True


def _can_write(path: str, same: tuple[int, int]) -> bool:
    if not os.access(path, os.W_OK):
        return False
    if not stat.S_ISDIR(os.stat(path).st_mode):
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _is_same(fd, same)
        finally:
            os.close(fd)
    witness = os.path.join(path, f".herald-check-{os.getpid()}")
    os.close(os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    os.unlink(witness)
    return True


def _can_connect(path: str, _same: tuple[int, int]) -> bool:
    """Asked with a kind of socket that is not theirs: it is refused for that only when everything else allows it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as client:
        client.settimeout(0.2)
        try:
            client.connect(path)
        except OSError as error:
            return error.errno == errno.EPROTOTYPE
    return True
