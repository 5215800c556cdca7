"""Which submodules a project's clone has initialised: read from its configuration file, as data only."""

import os
import subprocess

from herald.durable import read_limited

_CONFIG_BYTES = 1 << 20
_DEADLINE = 5.0
_MOST = 200


def initialised(path: str) -> tuple[str, ...]:
    """The names that `git submodule init` noted; none where nothing can be read."""
    try:
        data = read_limited(os.path.join(path, ".git", "config"), _CONFIG_BYTES)
    except (OSError, ValueError):
        return ()
    if b"[submodule" not in data:
        return ()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_DIR": os.devnull,
    }
    command = [
        "git",
        "config",
        "--file",
        "-",
        "--no-includes",
        "--null",
        "--get-regexp",
        r"^submodule\..*\.(url|active)$",
    ]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, cwd="/", env=environment, timeout=_DEADLINE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found: dict[str, bool] = {}
    for entry in done.stdout.decode("utf-8", "replace").split("\0"):
        key, _, value = entry.partition("\n")
        name, _, field = key.removeprefix("submodule.").rpartition(".")
        if field == "url":
            found.setdefault(name, True)
        elif field == "active" and name:
            found[name] = value.lower() not in ("false", "no", "off", "0")
    return tuple(sorted(name for name, active in found.items() if active))[:_MOST]
