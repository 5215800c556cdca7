"""The only file that spells Herald's names: services, sockets, folders.

One name everywhere: folder of the source, unit, socket, state folder, journal identifier.
This module is imported by the units that must start fast, so it imports `os` alone.
"""

import os

GATEWAY = "gateway"
WORKER = "worker"
AGENT = "agent"
GIT = "git"
DEPLOY = "deploy"
CONFIG = "config"

LONG_RUNNING = (GATEWAY, WORKER)
"""Services that systemd keeps running."""

ON_CONNECT = (AGENT, GIT, DEPLOY, CONFIG)
"""Services of which systemd starts one instance for each connection (Accept=yes)."""

ALERT = "alert"
"""No service: what tells of a unit that crashed. It has a state folder, which the gateway reads."""


def interface_of(service: str) -> str:
    """The Varlink interface of a service, which is also the name of its socket: `io.herald.Worker`."""
    return f"io.herald.{service.capitalize()}"


def mode() -> str:
    """How this Herald runs: `system`, `user` or `try` (environment HERALD_MODE)."""
    return os.environ.get("HERALD_MODE", "system")


def bus_folder() -> str:
    """Folder of all sockets."""
    return os.environ.get("HERALD_BUS", "/run/herald")


def socket_path(service: str) -> str:
    """Path of the socket of one service."""
    return os.path.join(bus_folder(), interface_of(service))


def state_root() -> str:
    """Folder that holds one folder for each service."""
    return os.environ.get("HERALD_STATE", "/var/lib/herald")


def state_folder(service: str) -> str:
    """Folder in which this service alone writes."""
    return os.path.join(state_root(), service)


def config_folder() -> str:
    """Folder of herald.yaml, projects/ and credentials/."""
    return os.environ.get("HERALD_CONFIG", "/etc/herald")


def credentials_folder() -> str:
    """Where an administrator puts secrets; readable for root alone, handed to units one by one."""
    return os.path.join(config_folder(), "credentials")


def credential_path(name: str) -> str:
    """Where an administrator puts one secret."""
    return os.path.join(credentials_folder(), name)


def snapshot_path() -> str:
    """The compiled configuration, written by herald-config, read by everyone."""
    return os.path.join(state_folder(CONFIG), "snapshot.json")


def handed_over_path() -> str:
    """The compiled configuration without the addresses of webhooks: systemd hands it to units that may not see them."""
    return os.path.join(state_folder(CONFIG), "handed-over.json")


def alert_webhook_path() -> str:
    """The URL by which a crash of the gateway is posted while the gateway cannot; written by the gateway."""
    return os.path.join(state_folder(GATEWAY), "alert-webhook")


def boot_id() -> str:
    """Changes whenever everything that ran before is certainly gone.

    The kernel's boot id, which systemd gives to units that cannot see it in /proc (`%b`, without dashes); in try mode
    the id of the try command, whose end takes all its processes along.
    """
    given = os.environ.get("HERALD_BOOT_ID")
    if given:
        return given
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip().replace("-", "")
