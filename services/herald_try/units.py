"""The unit files as the inetd understands them: a listed subset of keys.

Each key is in exactly one of four lists: it has its effect; it must have the one value that the inetd holds to
anyway; it says nothing to an inetd; or it restricts rights, which only a service manager with root can do.
"""

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from herald_try.syntax import Sections, SyntaxProblem, boolean, read, span

_EFFECTIVE = {
    "Unit": {"Wants"},
    "Socket": {"ListenStream", "Accept", "MaxConnections", "SocketMode", "FileDescriptorName"},
    "Service": {
        "ExecStart", "StandardInput", "StateDirectory", "StateDirectoryMode", "UMask", "TimeoutStartSec",
        "TimeoutStopSec", "TimeoutAbortSec", "FileDescriptorStoreMax", "Restart", "RestartSec", "WatchdogSec",
        "RuntimeMaxSec", "LimitCORE",
    },
}  # fmt: skip
_HELD = {
    ("Unit", "StartLimitIntervalSec"): "0",
    ("Unit", "CollectMode"): "inactive-or-failed",
    ("Unit", "PartOf"): "herald.target",
    ("Unit", "StopPropagatedFrom"): "herald.target",
    ("Socket", "TriggerLimitIntervalSec"): "0",
    ("Socket", "RemoveOnStop"): "yes",
    ("Service", "Type"): "notify",
    ("Service", "KillMode"): "mixed",
    ("Service", "StandardOutput"): "journal",
    ("Service", "StandardError"): "journal",
}
_SAYS_NOTHING = {
    "Unit": {"Description", "Documentation", "Requires", "After", "Before"},
    "Install": {"WantedBy", "Also"},
    "Socket": {"Backlog", "DirectoryMode"},
    "Service": {"ExecStopPost", "Environment"},  # it tells of every end itself, and gives an environment of its own
}
_RIGHTS = {
    "Socket": {"SocketUser", "SocketGroup"},
    "Service": {
        "User", "Group", "SupplementaryGroups", "DynamicUser", "LoadCredential", "NoNewPrivileges", "ProtectSystem",
        "ProtectHome", "ProtectProc", "ProcSubset", "ProtectClock", "ProtectHostname", "ProtectControlGroups",
        "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "PrivateTmp", "PrivateDevices",
        "PrivateUsers", "PrivateMounts", "PrivateNetwork", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths",
        "CapabilityBoundingSet", "AmbientCapabilities", "RestrictSUIDSGID", "RestrictNamespaces", "RestrictRealtime",
        "RestrictAddressFamilies", "SystemCallFilter", "SystemCallArchitectures", "SystemCallErrorNumber",
        "LockPersonality", "MemoryDenyWriteExecute", "RemoveIPC", "IPAddressDeny", "IPAddressAllow", "DevicePolicy",
        "DeviceAllow", "KeyringMode", "SetCredential", "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths",
        "PrivateIPC", "OOMPolicy", "MemoryMax", "MemoryHigh", "TasksMax", "CPUQuota", "CPUWeight", "Slice",
    },
}  # fmt: skip

_T = TypeVar("_T")


class Service(NamedTuple):
    """One service unit. All times are in seconds, infinite where there is no limit."""

    name: str
    """without suffix and without the @ of a template"""
    template: bool
    arguments: tuple[str, ...]
    connection_on_stdin: bool
    state_folder: str
    """below the state root; empty: none"""
    state_mode: int
    umask: int
    start_timeout: float
    stop_timeout: float
    abort_timeout: float
    stored_max: int
    restarts: bool
    restart_delay: float
    watchdog: float
    run_max: float
    cores: bool


class Socket(NamedTuple):
    """One socket unit and the service behind it. `accept`: one instance of the service for each connection."""

    name: str
    path: str
    accept: bool
    max_connections: int
    mode: int
    descriptor_name: str


class Units(NamedTuple):
    """What the target wants. `not_in_force` are the keys that restrict rights, `problems` what is not understood."""

    sockets: tuple[Socket, ...]
    services: dict[str, Service]
    started: tuple[str, ...]
    not_in_force: tuple[str, ...]
    problems: tuple[str, ...]


def load(folder: Path, relocated: Callable[[str], str] = str) -> Units:
    """The units of `herald.target` in a folder; `relocated` maps the paths of an installation to those of now.

    Raises SyntaxProblem when a unit cannot be used, and OSError.
    """
    problems: list[str] = []
    rights: set[str] = set()

    def unit(name: str) -> Sections:
        sections = read(folder / name)
        problems.extend(problems_of(name, sections))
        rights.update(key for section, keys in sections.items() for key in keys if key in _RIGHTS.get(section, ()))
        return sections

    wanted = [name for value in unit("herald.target").get("Unit", {}).get("Wants", ()) for name in value.split()]
    sockets = tuple(_socket(name, unit(name), relocated) for name in wanted if name.endswith(".socket"))
    started = tuple(name.removesuffix(".service") for name in wanted if name.endswith(".service"))
    services = {name: _service(f"{name}.service", unit(f"{name}.service"), relocated) for name in started}
    for socket in sockets:
        if socket.accept:
            template = f"{socket.name}@.service"
            services[socket.name] = _service(template, unit(template), relocated)
        elif socket.name not in services:
            raise SyntaxProblem(f"{socket.name}.socket: its service is not wanted by herald.target")
    return Units(sockets, services, started, tuple(sorted(rights)), tuple(problems))


def problems_of(name: str, sections: Sections) -> list[str]:
    """The keys of a unit file that the inetd does not know, and values other than the one it holds to."""
    found = []
    for section, keys in sections.items():
        known = _EFFECTIVE.get(section, set()) | _SAYS_NOTHING.get(section, set()) | _RIGHTS.get(section, set())
        for key, values in keys.items():
            held = _HELD.get((section, key))
            if held is None and key not in known:
                found.append(f"{name}: unknown key {key}= in [{section}]")
            elif held is not None and values != [held]:
                found.append(f"{name}: {key}={' '.join(values)} is not supported, only {held}")
    return found


def _socket(name: str, sections: Sections, relocated: Callable[[str], str]) -> Socket:
    take = _Reader(name, sections.get("Socket", {}))
    return Socket(
        name=name.removesuffix(".socket"),
        path=relocated(take.required("ListenStream")),
        accept=take.one("Accept", boolean, False),
        max_connections=take.one("MaxConnections", int, 64),
        mode=take.one("SocketMode", _octal, 0o666),
        descriptor_name=take.one("FileDescriptorName", str, name),
    )


def _service(name: str, sections: Sections, relocated: Callable[[str], str]) -> Service:
    take = _Reader(name, sections.get("Service", {}))
    command, *arguments = shlex.split(take.required("ExecStart"))
    if not command.startswith("/"):
        raise SyntaxProblem(f"{name}: ExecStart={command}: an absolute path is needed, without prefix characters")
    stop_timeout = take.one("TimeoutStopSec", span, 90.0)
    return Service(
        name=name.removesuffix(".service").removesuffix("@"),
        template=name.endswith("@.service"),
        arguments=(relocated(command), *arguments),
        connection_on_stdin=take.one("StandardInput", _choice("null", "socket"), "null") == "socket",
        state_folder=take.one("StateDirectory", str, "").removeprefix("herald/"),
        state_mode=take.one("StateDirectoryMode", _octal, 0o755),
        umask=take.one("UMask", _octal, 0o022),
        start_timeout=take.one("TimeoutStartSec", span, 90.0),
        stop_timeout=stop_timeout,
        abort_timeout=take.one("TimeoutAbortSec", span, stop_timeout),
        stored_max=take.one("FileDescriptorStoreMax", int, 0),
        restarts=take.one("Restart", _choice("no", "always"), "no") == "always",
        restart_delay=take.one("RestartSec", span, 0.1),
        watchdog=take.one("WatchdogSec", span, 0.0) or math.inf,
        run_max=take.one("RuntimeMaxSec", span, math.inf),
        cores=take.one("LimitCORE", _choice("0", "infinity"), "infinity") != "0",
    )


def _octal(text: str) -> int:
    return int(text, 8)


def _choice(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"only {' and '.join(allowed)} are supported")
        return text

    return check


class _Reader:
    """Takes the last value of each key out of a section."""

    def __init__(self, unit: str, keys: dict[str, list[str]]) -> None:
        self._unit = unit
        self._keys = keys

    def one(self, key: str, convert: Callable[[str], _T], default: _T) -> _T:
        if key not in self._keys:
            return default
        try:
            return convert(self._keys[key][-1])
        except ValueError as error:
            raise SyntaxProblem(f"{self._unit}: {key}={self._keys[key][-1]}: {error}") from error

    def required(self, key: str) -> str:
        if key not in self._keys:
            raise SyntaxProblem(f"{self._unit}: {key}= is missing")
        return self._keys[key][-1]
