"""A person with a Herald of their own in a machine: under their own service manager, installed from their own clone."""

import json
import shlex
import subprocess
from typing import Any

from tests.support import processes
from tests.system import layers, reach
from tests.system.forge import Forge, Remote
from tests.system.machine import Machine

UNITS = (
    "herald.target",
    *(f"herald-{name}.service" for name in ("gateway", "worker")),
    *(f"herald-{name}.socket" for name in ("gateway", "worker", "agent", "git", "deploy", "config")),
)
"""What runs whenever the target does."""

_PATIENCE = 60.0
_INSTALLATION = 900.0


class Person:
    """A user who lingers and has a clone of Herald. `places`: XDG_* variables."""

    def __init__(self, machine: Machine, name: str, **places: str) -> None:
        self.machine = machine
        self.name = name
        machine.run("useradd", "--create-home", "--user-group", "--shell=/bin/bash", name)
        # From a unit: systemd 257 does not listen to what comes from another cgroup than its own.
        machine.run("systemd-run", "--quiet", "--wait", "loginctl", "enable-linger", name)
        who = machine.user(name)
        self.uid, self.home = who.uid, who.home
        self.variables = places
        self.state = f"{places.get('XDG_STATE_HOME', self.home + '/.local/state')}/herald"
        self.config = f"{places.get('XDG_CONFIG_HOME', self.home + '/.config')}/herald"
        self.programs = f"{places.get('XDG_DATA_HOME', self.home + '/.local/share')}/herald"
        self.repos = f"{self.home}/herald"
        self.runtime = f"/run/user/{self.uid}"
        self.clone = f"{self.home}/herald-source"
        machine.run("cp", "--recursive", layers.SOURCES, self.clone)
        machine.run("chown", "--recursive", f"{name}:", self.home)
        machine.wait_for(lambda: machine.exists(f"{self.runtime}/bus"), f"the service manager of {name} runs")
        self.sh("systemctl --user is-system-running --wait || :")

    def run(self, *command: str, env: dict[str, str] | None = None, **how: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command as this person, at home."""
        how = {"cwd": self.home, **how}
        return self.machine.run(*command, user=self.name, env={**self.variables, **(env or {})}, **how)

    def sh(self, script: str, **how: Any) -> str:
        """Run a shell script as this person; returns what it printed."""
        return self.run("sh", "-euc", script, **how).stdout.rstrip("\n")

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        """Write a file of this person's, by rename."""
        self.run("sh", "-euc", 'mkdir -p "${1%/*}"; cat >"$1.new"; chmod "$2" "$1.new"; mv "$1.new" "$1"',
                 "sh", path, f"{mode:o}", stdin=text)  # fmt: skip

    def install(self, *options: str, env: dict[str, str] | None = None, check: bool = True) -> Any:
        """Run ./install.sh --user in the clone."""
        return self.run(
            "./install.sh", "--user", *options,
            env={**reach.variables(), **(env or {})}, cwd=self.clone, check=check, timeout=_INSTALLATION,
        )  # fmt: skip

    def systemctl(self, *words: str, **how: Any) -> str:
        """What this person's systemctl prints."""
        return self.run("systemctl", "--user", *words, **how).stdout.rstrip("\n")

    def show(self, unit: str) -> dict[str, str]:
        """All properties of a unit."""
        return dict(line.split("=", 1) for line in self.systemctl("show", unit).splitlines())

    def states(self) -> dict[str, str]:
        """What each unit of the target is doing."""
        return {unit: self.show(unit)["ActiveState"] for unit in UNITS}

    def units(self) -> dict[str, str]:
        """Every unit of Herald that this person's manager has loaded, with its state."""
        listed = json.loads(self.systemctl("list-units", "--all", "--output=json", "herald*"))
        return {each["unit"]: each["active"] for each in listed}

    def failed(self) -> str:
        """The units that have failed."""
        return self.systemctl("list-units", "--failed", "--no-legend")

    def processes(self, *, of: str = "") -> list[str]:
        """Command lines of this person's processes that name the programs (or `of`)."""
        listed = self.run("pgrep", "--uid", str(self.uid), "--list-full", "--full", of or self.programs, check=False)
        return listed.stdout.splitlines()

    def heraldctl(self, *words: str, **how: Any) -> "subprocess.CompletedProcess[str]":
        """Run the heraldctl that the installation made."""
        return self.run(f"{self.home}/.local/bin/heraldctl", *words, **how)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A call over the bus, by heraldctl."""
        said = self.heraldctl("call", method, json.dumps(parameters)).stdout
        found: dict[str, Any] = json.loads(said)
        return found

    def status(self) -> dict[str, Any]:
        """The worker's status."""
        return self.call("io.herald.Worker.GetStatus")

    def status_line(self) -> str:
        """What systemctl shows of the worker."""
        return self.show("herald-worker.service").get("StatusText", "")

    def messages(self, **fields: str) -> list[str]:
        """The texts of this person's journal entries with these fields."""
        self.machine.run("journalctl", "--sync")
        return self.machine.messages(_UID=str(self.uid), **fields)

    def set_agent(self, **variables: str) -> None:
        """Variables of the agent's unit."""
        text = "[Service]\n" + "".join(f'Environment="{name}={value}"\n' for name, value in variables.items())
        folder = f"{self.variables.get('XDG_CONFIG_HOME', self.home + '/.config')}/systemd/user"
        self.write(f"{folder}/herald-agent@.service.d/50-tests.conf", text, 0o644)
        self.systemctl("daemon-reload")

    def set_credential(self, name: str, text: str) -> None:
        """Write a credential, or with an empty text remove it."""
        path = f"{self.config}/credentials/{name}"
        if text:
            self.write(path, text)
        else:
            self.run("rm", "-f", path)

    def project(self, forge: Forge, name: str, **keys: object) -> Remote:
        """A project in force, cloned over ssh from the forge with the key that is among the credentials."""
        remote = forge.repository(name)
        path = f"{self.repos}/{name}"
        ssh = f"ssh -i {self.config}/credentials/git_ssh_key -o StrictHostKeyChecking=accept-new"
        self.sh(f"git clone --quiet {remote.url} {shlex.quote(path)}", env={"GIT_SSH_COMMAND": ssh})
        written = {"name": name, "path": path, **keys}
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in written.items())
        self.write(f"{self.config}/projects/{name}.yaml", text)
        processes.wait_for(lambda: name in self._projects(), f"project {name} of {self.name} is in force", _PATIENCE)
        return remote

    def _projects(self) -> list[str]:
        return [each["name"] for each in self.call("io.herald.Worker.ListProjects")["projects"]]
