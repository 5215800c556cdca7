"""Inside a machine: a server of git repositories that is reached over ssh, and projects whose remotes it holds."""

import json
import shlex
import socket

from tests.system.bus import Bus
from tests.system.machine import Machine

KEY = "/etc/herald/credentials/git_ssh_key"
_HOME = "/home/forge"
_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey /etc/ssh/ssh_host_ed25519_key
AllowUsers forge
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
"""
_UNIT = """\
[Unit]
Description=A server of git repositories, for tests

[Service]
ExecStart=/usr/sbin/sshd -D -e -f /etc/forge.conf
RuntimeDirectory=sshd
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""


class Remote:
    """A bare repository of the forge, with an update hook that counts."""

    def __init__(self, machine: Machine, name: str, port: int) -> None:
        self._machine = machine
        self.path = f"{_HOME}/{name}.git"
        self.url = f"ssh://forge@127.0.0.1:{port}{self.path}"
        self._log = f"{self.path}/updates.log"
        self.sh('git init --quiet --bare --initial-branch=main "$PWD"')
        self.hook("update", f'echo "$1 $2 $3" >> {self._log}')
        self.sh(
            'seed=$(mktemp -d); git clone --quiet . "$seed"; cd "$seed"; echo "A sample." >README.md; git add --all;'
            "git -c user.name=Ada -c user.email=ada@example.org commit --quiet -m Begin;"
            f'git push --quiet origin HEAD:main; rm -rf "$seed" {self._log}'
        )
        self.base = self.heads()["main"]

    def sh(self, script: str) -> str:
        """Run a shell script in the repository, as its owner."""
        self._machine.run("mkdir", "-p", self.path, user="forge")
        return self._machine.sh(f"cd {self.path}; {script}", user="forge")

    def hook(self, name: str, script: str) -> None:
        """Write a hook, a shell script."""
        self._machine.write(f"{self.path}/hooks/{name}", f"#!/bin/sh\n{script}\n", mode=0o755, owner="forge:forge")

    def refuse(self, words: str) -> None:
        """From now on every push is refused with these words."""
        self.hook("pre-receive", f"echo {shlex.quote(words)} >&2; exit 1")

    def hold(self, name: str = "pre-receive") -> tuple[str, str]:
        """A hook waits: it makes the first file when it is reached, and goes on when the second exists."""
        reached, go = f"{self.path}/{name}.reached", f"{self.path}/{name}.go"
        self.hook(name, f": > {reached}\nwhile [ ! -e {go} ]; do sleep 0.02; done")
        return reached, go

    def accept(self) -> None:
        """Take back `refuse` and `hold`."""
        self.sh("rm -f hooks/pre-receive hooks/post-receive *.reached *.go")

    def heads(self) -> dict[str, str]:
        """Branches and their hashes."""
        listed = self.sh('git for-each-ref --format="%(refname:lstrip=2) %(objectname)" refs/heads')
        return dict(line.split(" ") for line in listed.splitlines())

    def updates(self) -> list[list[str]]:
        """What the update hook has seen: [ref, old, new] each."""
        return [line.split() for line in self.sh(f"cat {self._log} 2>/dev/null || :").splitlines()]


class Forge:
    """The server; it comes back with the machine. Its only key is the one that Herald has."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        with socket.socket() as probe:  # the network is shared with everything on the machine below
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        machine.run("useradd", "--create-home", "--password=*", "--shell=/bin/sh", "--user-group", "forge")
        machine.write("/etc/forge.conf", _CONFIG.format(port=self.port))
        machine.write("/etc/systemd/system/forge.service", _UNIT)
        machine.sh(
            f"rm -f {KEY}; ssh-keygen -q -t ed25519 -N '' -C herald -f {KEY}; chmod 600 {KEY};"
            f"install -d -o forge -g forge -m 700 {_HOME}/.ssh;"
            f"install -o forge -g forge -m 600 {KEY}.pub {_HOME}/.ssh/authorized_keys; rm {KEY}.pub;"
            "[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -A"
        )
        machine.systemctl("daemon-reload")
        machine.systemctl("enable", "--quiet", "--now", "forge.service")

    def repository(self, name: str) -> Remote:
        """A repository whose branch main has one commit."""
        return Remote(self._machine, name, self.port)

    def project(self, name: str = "demo", **keys: object) -> Remote:
        """A project in force, whose clone is /srv/herald/repos/NAME; `keys` go into its file. Returns its remote."""
        remote = self.repository(name)
        path = f"/srv/herald/repos/{name}"
        ssh = f"ssh -i {KEY} -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        self._machine.wait_for(lambda: self._answers(ssh), "the forge answers")
        self._machine.sh(
            f'GIT_SSH_COMMAND="{ssh}" git clone --quiet {remote.url} {path}; chown -R herald-agent: {path}'
        )
        configure(self._machine, name, path=path, **keys)
        bus = Bus(self._machine)
        self._machine.wait_for(lambda: name in bus.projects(), f"project {name} is in force")
        return remote

    def _answers(self, ssh: str) -> bool:
        return self._machine.run("sh", "-c", f"{ssh} -p {self.port} forge@127.0.0.1 true", check=False).returncode == 0


def configure(machine: Machine, name: str, **keys: object) -> None:
    """Write the file of a project."""
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in {"name": name, **keys}.items())
    machine.write(f"/etc/herald/projects/{name}.yaml", text, mode=0o640, owner="root:herald")


def set_agent(machine: Machine, **variables: object) -> None:
    """Variables of the agent's unit: HERALD_AGENT="standin", or what leads the CLI to a peer."""
    path = "/etc/systemd/system/herald-agent@.service.d/50-tests.conf"
    machine.write(path, "[Service]\n" + "".join(f'Environment="{name}={value}"\n' for name, value in variables.items()))
    machine.systemctl("daemon-reload")


def set_credential(machine: Machine, name: str, text: str) -> None:
    """Write a credential, or with an empty text remove it."""
    path = f"/etc/herald/credentials/{name}"
    if text:
        machine.write(path, f"{text}\n", mode=0o600)
    else:
        machine.run("rm", "-f", path)
