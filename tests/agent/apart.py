"""A place whose runs are confined as on a server, with a second project and with everything an agent might want."""

import shlex
import socket
from pathlib import Path

from herald import snapshot
from tests.agent.place import Place, git

_ROOT = Path(__file__).parents[2]
SECRET = "heliotrope"


class Apart(Place):
    """In system mode or user mode; `neighbour` is the other project's clone, `person` the home of whoever runs it."""

    def __init__(self, folder: Path, mode: str) -> None:
        super().__init__(folder)
        self.config, self.bus, self.person = folder / "etc", folder / "bus", folder / "person"
        self.neighbour = folder / "neighbour"
        self._listening: list[socket.socket] = []
        self.environment |= {
            "HERALD_MODE": mode,
            "HERALD_CONFIG": str(self.config),
            "HERALD_BUS": str(self.bus),
            "HOME": str(self.person),
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "CREDENTIALS_DIRECTORY": str(folder / "handed-over"),
        }
        for path in self.secrets():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET)
        git(folder, "init", "--quiet", str(self.neighbour))
        project = snapshot.Project(
            "purr", "Purr", str(self.neighbour), "2", "Purr", True, "own", True, True, "agent/purr", ""
        )  # fmt: skip
        self.others = [project]
        self.configure()

    def secrets(self) -> list[Path]:
        """Files that no agent of this project may read, or write beside."""
        state = self.state
        found = [self.config / name for name in ("herald.yaml", "projects/pounce.yaml", "credentials/git_ssh_key")]
        found += [state / name for name in ("worker/worker.sqlite", "gateway/webhooks.json", "git/known_hosts")]
        found += [state / name for name in ("config/ledger.json", "alert/a.json", "agent/login/.credentials.json")]
        found += [
            state / name for name in ("agent/homes/purr/.claude/x", "agent/workspaces/purr/x", "agent/tmp/purr/x")
        ]
        found += [self.neighbour / name for name in ("secret.txt", ".git/secret")]
        found += [self.folder / name for name in ("handed-over/discord_token", "runtime/key")]
        return [*found, *self.personal_secrets()] if self.environment["HERALD_MODE"] == "user" else found

    def personal_secrets(self) -> list[Path]:
        names = (".ssh/id_ed25519", ".netrc", ".aws/credentials", ".config/gh/hosts.yml", ".claude/.credentials.json")
        return [self.person / name for name in names]

    def listen(self, path: Path) -> None:
        """Have somebody listen on a socket."""
        path.parent.mkdir(parents=True, exist_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()
        self._listening.append(listening)

    def close(self) -> None:
        super().close()
        for listening in self._listening:
            listening.close()

    def without_landlock(self, **more: str) -> None:
        """As on a machine that has none."""
        self.module = "tests.agent.without_landlock"
        self.environment |= {"PYTHONPATH": f"{self.environment['PYTHONPATH']}:{_ROOT}", **more}

    def succeeded(self, commands: list[str]) -> list[str]:
        """Those of these shell commands that succeed when the agent runs them; all of them in one run.

        $DRIVER is the process that drives the agent.
        """
        driver = "export DRIVER=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$PPID/status)"
        tries = (f"sh -c {shlex.quote(each)} >/dev/null 2>&1 && echo done-{n}-" for n, each in enumerate(commands))
        files = self.run(f"shell {driver}; {'; '.join(tries)}; echo all tried")
        assert "all tried" in files.text, files.end
        return [each for number, each in enumerate(commands) if f"done-{number}-" in files.text]
