"""Which folders a unit may write, and the command that opens a further one to it by a drop-in."""

import os
import shlex

from herald import names

_FILES = {names.AGENT: "workspaces.conf", names.GIT: "remotes.conf"}
_HIDDEN = ("/home", "/root", "/run/user")
"""Where the unit sees nothing (ProtectHome=yes): such a folder is bound in."""
_OF_ITS_OWN = ("/tmp", "/var/tmp")  # noqa: S108 - named, not used
"""Where the unit has folders of its own (PrivateTmp=yes): likewise."""

_MOST_CHARACTERS = 1 << 20


def command(service: str, path: str) -> str:
    """What opens `path` to the unit of a service; empty when it is open already."""
    if names.mode() == "user" and service == names.GIT:
        return ""  # under a user's manager the agent's unit alone is confined
    real = os.path.realpath(path)
    if _within(real, [*_given(service), *_dropped_in(service)]):
        return ""
    written = _quoted(real)
    keys = []
    if is_hidden(real):
        keys = ["ProtectHome=tmpfs", f"BindPaths=-{written}"]
    elif is_private(real):
        keys = [f"BindPaths=-{written}"]
    keys.append(f"ReadWritePaths=-{written}")
    folder = _folder(service)
    lines = " ".join(shlex.quote(line) for line in ["[Service]", *keys])
    sudo, manager = ("sudo ", "systemctl") if names.mode() == "system" else ("", "systemctl --user")
    file = shlex.quote(os.path.join(folder, _FILES[service]))
    return (
        f"{sudo}mkdir -p {shlex.quote(folder)} && printf '%s\\n' {lines} | {sudo}tee -a {file} >/dev/null"
        f" && {sudo}{manager} daemon-reload"
    )


def is_private(path: str) -> bool:
    """Whether each unit has a folder of its own there, so that what one of them lacks, another may see."""
    return _within(os.path.realpath(path), _OF_ITS_OWN)


def is_hidden(path: str) -> bool:
    """Whether the units see nothing of what is there."""
    return names.mode() == "system" and _within(os.path.realpath(path), _HIDDEN)


def _given(service: str) -> list[str]:
    """What the unit as installed may write."""
    state = os.path.realpath(names.state_folder(service))
    if service != names.AGENT:
        return [state]
    repositories = "/srv/herald/repos" if names.mode() == "system" else os.path.expanduser("~/herald")
    return [os.path.realpath(repositories), state]


def _folder(service: str) -> str:
    """Where the operator's drop-ins for a unit are."""
    units = "/etc/systemd/system"
    if names.mode() == "user":
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        units = os.path.join(config, "systemd", "user")
    return os.path.join(units, f"herald-{service}@.service.d")


def _dropped_in(service: str) -> list[str]:
    """The folders that drop-ins open, whatever their files are named."""
    found: list[str] = []
    for line in drop_in_lines(service):
        key, _, value = line.partition("=")
        if key.strip() in ("ReadWritePaths", "BindPaths"):
            found += _paths(value)
    return found


def drop_in_lines(service: str) -> list[str]:
    """The lines of the operator's drop-ins for a unit, as far as they can be read."""
    found: list[str] = []
    folder = _folder(service)
    try:
        files = sorted(name for name in os.listdir(folder) if name.endswith(".conf"))
    except OSError:
        return found
    for name in files:
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                text = file.read(_MOST_CHARACTERS)
        except OSError:
            continue
        found += [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return found


def _paths(value: str) -> list[str]:
    """The folders inside the unit that a value names: `-/a "/b c" /outside:/inside:rbind`."""
    try:
        words = shlex.split(value)
    except ValueError:
        return []
    found = []
    for word in words:
        parts = word.lstrip("-+").split(":")
        found.append((parts[1] if len(parts) > 1 else parts[0]).replace("%%", "%").rstrip("/") or "/")
    return found


def _within(path: str, folders: tuple[str, ...] | list[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _quoted(path: str) -> str:
    """As systemd reads it."""
    text = path.replace("%", "%%")
    if any(character in text for character in " \t'\"\\"):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
