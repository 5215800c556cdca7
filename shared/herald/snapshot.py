"""The compiled configuration: what herald-config writes and every other part reads.

It holds only what is in effect, checked and with all defaults filled in, so that reading it needs neither
pydantic nor YAML. One file, `config/snapshot.json`: `{"crc32": N, "body": {...}}`, where the checksum is over
the body as compact JSON with sorted keys.
"""

import json
import os
import zlib
from typing import Any, Literal, NamedTuple

from herald import names
from herald.errors import NotFound, Unavailable

FORMAT = 3
_OLDEST_FORMAT = 1
"""Read as well, so that the first start after an upgrade has what was in force. Later formats added fields; format 3
calls the workspace `worktree` `own`."""
_FILE = "snapshot.json"

Role = Literal["reader", "operator", "approver"]


class Operator(NamedTuple):
    """A person. `projects` empty: all projects."""

    discord_id: str
    unix_user: str
    name: str
    role: Role
    projects: tuple[str, ...]


class Project(NamedTuple):
    """One project. `remote` is a URL or an absolute path, empty if there is none.

    `push_url` is where branches go, empty: to the remote; `push_problem` says why nothing can be pushed, if so.
    `submodules_init` is None where the clone at `path` decides; `("all",)`, `("none",)` mean that, as in `lfs_get`.
    `lfs_url` is the server of large files, empty where it follows from the remote.
    """

    name: str
    display_name: str
    path: str
    channel: str
    agent_name: str
    enabled: bool
    workspace: Literal["path", "own"]
    auto_commit: bool
    push_requires_approval: bool
    branch_prefix: str
    remote: str
    webhook_url: str = ""
    webhook_avatar_url: str = ""
    replies: Literal["steer", "queue"] = "queue"
    threads: Literal["off", "task"] = "off"
    compose_path: str = ""
    auto_deploy_on_push: bool = False
    push_url: str = ""
    push_problem: str = ""
    workspace_files: tuple[str, ...] = ()
    fsck_accept: tuple[str, ...] = ()
    submodules_init: tuple[str, ...] | None = None
    submodules_push: bool = False
    submodules_urls: tuple[tuple[str, str], ...] = ()
    submodules_found: tuple[str, ...] = ()
    """names of those that the project's clone has initialised"""
    lfs_get: tuple[str, ...] = ("none",)
    lfs_url: str = ""


class Discord(NamedTuple):
    """Where in Discord Herald speaks. `api` and `gateway` are empty unless another server is to be used."""

    guild_id: str = ""
    system_channel: str = ""
    work_channel: str = ""
    api: str = ""
    gateway: str = ""


class Deploy(NamedTuple):
    """How containers are started: the compose command, the container socket, the longest time in seconds."""

    command: str = "docker compose"
    socket: str = "/var/run/docker.sock"
    time_limit: float = 900.0


class Snapshot(NamedTuple):
    """One generation of the configuration. `signature` is that of the files it was compiled from."""

    generation: int
    signature: str
    compiled_at: str
    max_active: int
    task_limit: float
    """seconds"""
    operators: tuple[Operator, ...]
    projects: dict[str, Project]
    projects_root: str = "/srv/herald/repos"
    discord: Discord = Discord()
    deploy: Deploy = Deploy()

    def project(self, name: str) -> Project:
        """The project of that name. Raises NotFound that names the known ones."""
        found = self.projects.get(name)
        if found is None:
            known = ", ".join(sorted(self.projects)) or "none is configured yet"
            raise NotFound(f"there is no project named {name!r} (known: {known})")
        return found


def encode(snapshot: Snapshot) -> bytes:
    """The bytes of the snapshot file."""
    body = snapshot._asdict()
    body["format"] = FORMAT
    body["operators"] = [operator._asdict() for operator in snapshot.operators]
    body["projects"] = {name: project._asdict() for name, project in snapshot.projects.items()}
    body["discord"] = snapshot.discord._asdict()
    body["deploy"] = snapshot.deploy._asdict()
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return b'{"crc32":%d,"body":%s}\n' % (zlib.crc32(text.encode()), text.encode())


def without_secrets(snapshot: Snapshot) -> Snapshot:
    """What may be seen by the units that run agents, reach remotes and deploy: no address of a webhook."""
    projects = {name: project._replace(webhook_url="") for name, project in snapshot.projects.items()}
    return snapshot._replace(projects=projects)


def decode(data: bytes) -> Snapshot:
    """The snapshot in these bytes. Raises ValueError when they are damaged or of another format."""
    try:
        outer = json.loads(data)
        body = outer["body"]
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        if zlib.crc32(text.encode()) != outer["crc32"]:
            raise ValueError("checksum does not match")
        return _of(body)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a snapshot: {error!r}") from error


def _of(body: dict[str, Any]) -> Snapshot:
    written_in = body["format"]
    if written_in not in range(_OLDEST_FORMAT, FORMAT + 1):
        raise ValueError(f"format {written_in}, this version reads format {FORMAT}")
    operators = tuple(Operator(**{**each, "projects": tuple(each["projects"])}) for each in body["operators"])
    projects = {name: _project(each) for name, each in body["projects"].items()}
    rest = {key: value for key, value in body.items() if key != "format"}
    if written_in == _OLDEST_FORMAT:
        # compiled by a version before: of no files as they are now, so that whoever watches them has it compiled anew
        return Snapshot(**{**rest, "signature": "", "operators": operators, "projects": projects})
    server = {"discord": Discord(**body["discord"]), "deploy": Deploy(**body["deploy"])}
    signature = body["signature"] if written_in == FORMAT else ""
    return Snapshot(**{**rest, **server, "signature": signature, "operators": operators, "projects": projects})


def _project(body: dict[str, Any]) -> Project:
    lists = ("workspace_files", "fsck_accept", "submodules_init", "submodules_found", "lfs_get")
    fields: dict[str, Any] = {
        key: tuple(value) if key in lists and value is not None else value for key, value in body.items()
    }
    fields["submodules_urls"] = tuple((str(path), str(url)) for path, url in body.get("submodules_urls", ()))
    fields["workspace"] = "path" if body["workspace"] == "path" else "own"
    return Project(**fields)


EMPTY = Snapshot(0, "", "", 1, 1800.0, (), {})
"""In force before the first compile: no project, no operator."""


def read(path: str | None = None) -> Snapshot:
    """The snapshot in force, EMPTY if none was compiled yet. Raises Unavailable when the file is damaged.

    A unit that may not enter the state of others is handed it as a credential, which is blank when there is none.
    """
    handed_over = _handed_over()
    path = path or handed_over or names.snapshot_path()
    try:
        with open(path, "rb") as file:
            data = file.read()
        return EMPTY if path == handed_over and not data.strip() else decode(data)
    except FileNotFoundError:
        return EMPTY
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Unavailable(f"{path} is damaged ({error}); `heraldctl reload` compiles it anew") from error


def _handed_over() -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = os.path.join(folder, _FILE) if folder else ""
    return path if path and os.path.lexists(path) else ""


class Current:
    """The snapshot in force, read again whenever the file has been replaced."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or names.snapshot_path()
        self._seen: tuple[int, int] | None = None
        self._snapshot = EMPTY

    def get(self) -> Snapshot:
        """The snapshot in force. A damaged file leaves the one before in force; raises Unavailable if there is none."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return self._snapshot
        seen = (status.st_ino, status.st_mtime_ns)
        if seen != self._seen:
            try:
                self._snapshot = read(self._path)
            except Unavailable:
                if self._snapshot.generation == 0:
                    raise
            self._seen = seen
        return self._snapshot
