"""Places, sockets and commands that a run has no business with."""

import functools
import os
from collections.abc import Callable

from tests.system.probes import acts
from tests.system.probes.acts import Act, Facts

SECRET = "heliotrope"
"""The name and the content of files that the test puts where they are to stay closed."""

STATE, REPOSITORIES = "/var/lib/herald", "/srv/herald/repos"
TABLE: dict[str, Act] = {}

_FILES = (
    *(f"/etc/herald/credentials/{name}" for name in ("discord_token", "git_ssh_key", "anthropic_api_key")),
    "/etc/herald", "/etc/herald/herald.yaml", "/etc/herald/projects", "/etc/herald/projects/demo.yaml",
    "/etc/herald/projects/other.yaml", "/etc/herald/schemas", "/run/credentials", "/run/herald",
    f"{STATE}/gateway", f"{STATE}/gateway/gateway.sqlite", f"{STATE}/gateway/{SECRET}",
    f"{STATE}/worker", f"{STATE}/worker/worker.sqlite", f"{STATE}/worker/mirrors", f"{STATE}/worker/{SECRET}",
    f"{STATE}/config", f"{STATE}/config/snapshot.json", f"{STATE}/config/handed-over.json",
    f"{STATE}/config/ledger.json",
    f"{STATE}/git", f"{STATE}/git/{SECRET}", f"{STATE}/git/demo.git/HEAD",
    f"{STATE}/deploy", f"{STATE}/deploy/{SECRET}",
    f"{STATE}/alert", f"{STATE}/alert/{SECRET}",
    f"{STATE}/agent", f"{STATE}/agent/homes", f"{STATE}/agent/login", f"{STATE}/agent/login/.credentials.json",
    f"{STATE}/agent/slots", f"{STATE}/agent/locks",
    f"{STATE}/agent/checkouts/other.json",
    "/home/alice/notes", "/root/notes",
)  # fmt: skip
OF_OTHER = (
    f"{REPOSITORIES}/other/README.md", f"{REPOSITORIES}/other/.git/config", f"{STATE}/agent/homes/other/{SECRET}",
    f"{STATE}/agent/workspaces/other/{SECRET}",
)  # fmt: skip
_FOLDERS = (
    "/", "/etc", "/etc/herald", "/etc/herald/projects", "/etc/herald/credentials", "/etc/systemd/system", "/usr/bin",
    "/usr/local", "/usr/local/bin", "/usr/local/lib/systemd/system", "/opt", "/opt/herald", "/opt/herald/venv/bin",
    "/var", "/var/lib", "/var/log", "/var/spool", "/var/cache", "/run", "/run/herald", "/run/systemd/system", "/home",
    "/home/alice", "/root", "/boot", "/srv", "/srv/herald", REPOSITORIES, STATE,
    *(f"{STATE}/{name}" for name in ("gateway", "worker", "worker/runs", "config", "git", "deploy", "alert", "agent")),
    *(f"{STATE}/agent/{name}" for name in ("homes", "workspaces", "stores", "login", "slots", "locks", "checkouts")),
)  # fmt: skip
_SOCKETS = (
    *(f"/run/herald/io.herald.{name}" for name in ("Gateway", "Worker", "Agent", "Git", "Deploy", "Config")),
    "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/docker.sock",
)  # fmt: skip
_COMMANDS = {
    "systemctl status": ("systemctl", "status", "herald-worker.service"),
    "systemctl kill": ("systemctl", "kill", "--signal=CONT", "herald-gateway.service"),
    "systemctl stop": ("systemctl", "stop", "systemd-tmpfiles-clean.service"),
    "systemctl set-environment": ("systemctl", "set-environment", "PROBE=1"),
    "busctl list": ("busctl", "list", "--no-pager"),
    "busctl call": (
        "busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
        "GetUnit", "s", "herald.target",
    ),
    "systemd-run": ("systemd-run", "--quiet", "--wait", "true"),
    "heraldctl status": ("heraldctl", "status"),
    "heraldctl vote": ("heraldctl", "call", "io.herald.Worker.ListProposals"),
    "runuser": ("runuser", "-u", "herald-worker", "true"),
    "chroot": ("chroot", "/", "true"),
    "unshare user": ("unshare", "--user", "true"),
    "unshare mount": ("unshare", "--user", "--map-root-user", "--mount", "true"),
    "unshare network": ("unshare", "--user", "--net", "true"),
    "unshare pid": ("unshare", "--user", "--pid", "--fork", "true"),
    "unshare ipc": ("unshare", "--user", "--ipc", "true"),
}  # fmt: skip


def _at(act: Callable[[str], object], place: str, _facts: Facts) -> object:
    return act(place)


def _run(words: tuple[str, ...], _facts: Facts) -> object:
    return acts.command(*words)


def _each(act: Callable[[str], object], places: tuple[str, ...], word: str) -> None:
    for place in places:
        TABLE[f"{word} {place}"] = functools.partial(_at, act, place)


_each(acts.read, _FILES + OF_OTHER, "read")
_each(acts.create, (*_FOLDERS, *(os.path.dirname(path) for path in OF_OTHER)), "create in")
_each(acts.append, (*OF_OTHER, f"{STATE}/agent/locks/other"), "append to")
_each(acts.truncate, OF_OTHER, "truncate")
_each(acts.touch, OF_OTHER, "set the time of")
_each(acts.change_mode, OF_OTHER, "set the mode of")
_each(acts.move_away, OF_OTHER, "rename")
_each(acts.link_here, OF_OTHER, "link")
_each(acts.connect, _SOCKETS, "connect to")
for _name, _words in _COMMANDS.items():
    TABLE[_name] = functools.partial(_run, _words)
