"""Run by an agent: tries what it should not be able to do, and a little that it should, and prints the outcome as JSON.

Each outcome is `done` or a reason. Names that begin with `may` are of things that have to work.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable

order = json.loads(sys.argv[1])
home, state, config, runtime = order["home"], order["state"], order["config"], order["runtime"]
found: dict[str, str] = {}


def attempt(name: str, act: Callable[[], object]) -> None:
    """Note how an act ends."""
    try:
        act()
    except (OSError, subprocess.SubprocessError) as error:
        found[name] = f"{type(error).__name__}: {error}"[:120]
    else:
        found[name] = "done"


def connect(path: str) -> None:
    """Reach a socket, of whichever kind."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as probe:
            try:
                probe.connect(path)
            except OSError:
                if kind == socket.SOCK_DGRAM:
                    raise
            else:
                return


def read(path: str) -> None:
    """Read a file or list a folder; an empty one that hides another says nothing."""
    if os.path.isdir(path):
        if not os.listdir(path):
            raise OSError("nothing is seen in it")
    else:
        with open(path, "rb") as file:
            file.read(1)


def write(path: str) -> None:
    """Make a file."""
    with open(path, "w") as file:
        file.write("evil")


def append(path: str) -> None:
    """Change a file that is there."""
    with open(path, "r+") as file:
        file.read(1)


def run(*command: str) -> None:
    """Run a command that knows where the user's service manager is."""
    environment = {
        **os.environ,
        "HOME": home,
        "XDG_RUNTIME_DIR": runtime,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
    }
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=20, stdin=subprocess.DEVNULL)


SOCKETS = [f"{runtime}/herald/io.herald.{name}" for name in ("Gateway", "Worker", "Agent", "Git", "Deploy", "Config")]
SOCKETS += [f"{runtime}/bus", f"{runtime}/systemd/private", "/run/dbus/system_bus_socket"]
for path in SOCKETS:
    attempt(f"connect {path}", lambda path=path: connect(path))  # type: ignore[misc]
attempt("start a unit", lambda: run("systemd-run", "--user", "--wait", "true"))
attempt("ask the manager", lambda: run("systemctl", "--user", "list-units"))
attempt("vote", lambda: run(f"{home}/.local/bin/heraldctl", "status"))
attempt("push", lambda: run("git", "push", "origin", "HEAD:refs/heads/evil"))
HIDDEN = [f"{home}/.ssh", f"{home}/.ssh/id_secret", config, f"{config}/credentials/git_ssh_key"]
HIDDEN += [f"{state}/{name}" for name in ("gateway", "worker", "git", "deploy", "config")]
HIDDEN += [f"{state}/worker/worker.sqlite", f"{state}/agent/homes/other", f"{order['other']}/README.md"]
HIDDEN += [f"/proc/{order['worker']}/root{home}/.ssh/id_secret", f"/proc/{order['worker']}/environ"]
HIDDEN += [f"{runtime}/credentials"]
for path in HIDDEN:
    attempt(f"read {path}", lambda path=path: read(path))  # type: ignore[misc]
CLOSED = [f"{home}/.evil", f"{home}/.config/systemd/user/evil.service", f"{order['other']}/evil", f"{state}/evil"]
CLOSED += [f"{home}/.local/share/herald/evil", f"{home}/.local/share/systemd/user/evil.service"]
for path in CLOSED:
    attempt(f"write {path}", lambda path=path: write(path))  # type: ignore[misc]
attempt("change .bashrc", lambda: append(f"{home}/.bashrc"))
attempt("may read its project", lambda: read(f"{order['own']}/README.md"))
attempt("may write its project", lambda: append(f"{order['own']}/README.md"))
attempt("may use a temporary folder", lambda: write(f"{os.environ['TMPDIR']}/x"))
attempt("may have a home", lambda: write(f"{os.environ['HOME']}/.profile"))
attempt("may read the system", lambda: read("/etc/passwd"))
print(json.dumps(found))
