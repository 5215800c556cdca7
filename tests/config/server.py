"""The folders of an installation on a machine of their own, and what `config check` says of them."""

import json
import os
from pathlib import Path

import pytest

from herald.interfaces.config import Compiled
from tests.config.installation import git
from tests.support.users import AGENT, ROOT_USER, Machine, User, machine

__all__ = ["machine"]

_REMOTE = "git: {remote: 'git@example.org:o/r.git'}\n"


class Server:
    """The folders of an installation: `/srv` and the drop-ins are this machine's own."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.etc, self.repos = machine.srv / "etc", machine.srv / "herald" / "repos"
        self.drop_ins = machine.show("/etc/systemd/system")
        machine.environment |= {"HERALD_CONFIG": "/srv/etc", "HERALD_STATE": "/srv/state", "HERALD_MODE": "system"}
        for folder in (self.etc / "projects", self.etc / "credentials", self.repos, machine.srv / "state" / "agent"):
            folder.mkdir(parents=True)
        (self.etc / "credentials").chmod(0o711)
        for name in ("git_ssh_key", "anthropic_api_key"):
            self.credential(name, "secret")

    def credential(self, name: str, text: str, mode: int = 0o600) -> Path:
        file = self.etc / "credentials" / name
        file.write_text(text)
        file.chmod(mode)
        return file

    def project(self, path: str, more: str = _REMOTE) -> None:
        (self.etc / "projects" / "demo.yaml").write_text(f"name: demo\npath: {json.dumps(path)}\n{more}")

    def clone(self, owner: int = AGENT.uid) -> str:
        git("init", "--quiet", str(self.repos / "demo"))
        git("-C", str(self.repos / "demo"), "remote", "add", "origin", "git@example.org:o/r.git")
        os.chown(self.repos / "demo", owner, owner)
        return "/srv/herald/repos/demo"

    def check(self, user: User = ROOT_USER, **environment: str) -> Compiled:
        done = self.machine.python(user, "herald_config", "--check", "--json", **environment)
        compiled: Compiled = json.loads(done.stdout)
        assert compiled["problems"] == []
        return compiled

    def notices(self, user: User = ROOT_USER, **environment: str) -> list[str]:
        return self.check(user, **environment)["notices"]


@pytest.fixture
def server(machine: Machine) -> Server:
    return Server(machine)
