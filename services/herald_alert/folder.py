"""The folder of alerts: root writes it, the gateway reads it."""

import os
import time

from herald import durable, journal, names
from herald.alerts import NAME, Alert, encode

_KEPT_SECONDS = 7 * 86_400.0
_KEPT_FILES = 100
_UNSEEN_SECONDS = 600.0
"""The gateway looks every 10 s; what is younger than this may be new to one that was away for a moment."""


def made() -> str:
    """The folder, made when it is missing."""
    path = names.state_folder(names.ALERT)
    try:
        os.makedirs(path, mode=0o750)
        if names.mode() == "system":
            import grp  # hardly ever needed

            os.chown(path, -1, grp.getgrnam("herald").gr_gid)
            os.chmod(path, 0o2750)  # noqa: S103 - what is made in it belongs to the group
    except FileExistsError:
        pass
    except (OSError, KeyError) as error:
        journal.warning(f"{path} cannot be made for the gateway: {error}; `systemd-tmpfiles --create` makes it")
    return path


def leave(folder: str, alert: Alert) -> None:
    """Leave an alert for the gateway, and remove what is old."""
    try:
        durable.write_atomic(os.path.join(folder, alert.file_name), encode(alert))
        _prune(folder)
    except OSError as error:
        journal.warning(f"this alert cannot be left for the gateway in {folder} and is not posted: {error}")


def _prune(folder: str) -> None:
    """Remove old alerts, and what killed ones left half written."""
    moment = time.time()
    ages = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.removeprefix(".").removesuffix(".tmp")
            if NAME.fullmatch(name):
                ages.append((moment - entry.stat(follow_symlinks=False).st_mtime, entry.name))
    ages.sort()
    for number, (age, name) in enumerate(ages):
        if age > _KEPT_SECONDS or (age > _UNSEEN_SECONDS and (number >= _KEPT_FILES or name.startswith("."))):
            durable.with_no_trace(os.path.join(folder, name))
