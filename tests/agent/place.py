"""A state folder, a project's clone with a local remote, and real instances of herald-agent serving calls there."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from herald import snapshot
from herald.bus.frames import Frames

_ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0
_STAY = (".index", ".exclude")
"""What is kept of a workspace at rest."""

RUN_FILES = ("prompt", "base_pack", "lock", "result", "pack", "log", "control", "attachments")


def git(folder: Path | str, *arguments: str, **options: Any) -> str:
    """Run git as the person at the keyboard."""
    identity = ["-c", "user.name=Person", "-c", "user.email=person@example.invalid", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True, **options
    )
    return done.stdout.strip()


class RunFiles:
    """The files of one run, as the worker prepares them."""

    def __init__(self, folder: Path, prompt: bytes, base_pack: bytes = b"") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in RUN_FILES:
            (folder / name).write_bytes(b"")
        (folder / "prompt").write_bytes(prompt)
        (folder / "base_pack").write_bytes(base_pack)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def entries(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.read(name).splitlines()]

    @property
    def end(self) -> dict[str, Any]:
        last = self.entries("result")[-1]
        assert last["type"] == "end"
        return last

    @property
    def text(self) -> str:
        return "".join(entry["text"] for entry in self.entries("result") if entry["type"] == "text")

    @property
    def progress(self) -> list[str]:
        return [entry["text"] for entry in self.entries("log") if entry["type"] == "progress"]

    def cancel(self) -> None:
        self._append_to_control("cancel\n")

    def tell(self, key: str, text: str, *, cancel: bool = False) -> None:
        """A further message for the agent at work, and a cancel in the same moment."""
        author = {"id": "discord:ada", "name": "Ada"}
        line = json.dumps({"key": key, "author": author, "text": text}) + "\n"
        self._append_to_control(line + "cancel\n" * cancel)

    def _append_to_control(self, line: str) -> None:
        with (self.folder / "control").open("a") as file:
            file.write(line)

    @property
    def taken(self) -> list[str]:
        """The keys of the messages that the agent has taken up."""
        return [entry["key"] for entry in self.entries("result") if entry["type"] == "taken"]

    def is_locked(self) -> bool:
        return is_locked(self.folder / "lock")


def is_locked(path: Path) -> bool:
    """Whether somebody holds a flock on the file."""
    import fcntl

    with path.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Instance:
    """One herald-agent process and the caller's end of its connection."""

    def __init__(
        self, environment: dict[str, str], *, notify: Path | None = None, module: str = "herald_agent"
    ) -> None:
        ours, theirs = socket.socketpair()
        if notify is not None:
            environment = {**environment, "NOTIFY_SOCKET": str(notify)}
        self.stderr = Path(environment["HERALD_STATE"]) / f"stderr-{time.monotonic_ns()}"
        with theirs, self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module], stdin=theirs, stderr=stderr, env=environment, cwd="/"
            )
        ours.settimeout(_PATIENCE)
        self._connection = ours
        self._frames = Frames(ours, 1 << 20)

    def send(self, method: str, parameters: dict[str, Any], descriptors: tuple[int, ...] = (), **more: Any) -> None:
        self._frames.send({"method": f"io.herald.Agent.{method}", "parameters": parameters, **more}, descriptors)

    def send_bytes(self, data: bytes) -> None:
        self._connection.sendall(data)

    def receive(self) -> dict[str, Any]:
        received = self._frames.receive()
        assert received is not None, f"the instance went away: {self.stderr.read_text()}"
        return received[0]

    def hang_up(self) -> None:
        """The caller dies."""
        self._connection.close()

    def wait(self) -> int:
        self._connection.close()
        return self.process.wait(_PATIENCE)


class Place:
    """One project named pounce, with its clone and remote, and a state folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.state = folder / "s"
        (self.state / "config").mkdir(parents=True)
        self.remote = folder / "remote.git"
        self.clone = folder / "clone"
        git(folder, "init", "--quiet", "--bare", str(self.remote))
        git(folder, "init", "--quiet", str(self.clone))
        (self.clone / "README.md").write_text("Pounce\n")
        git(self.clone, "add", "README.md")
        git(self.clone, "commit", "--quiet", "-m", "Begin")
        git(self.clone, "remote", "add", "origin", str(self.remote))
        git(self.clone, "push", "--quiet", "origin", "main")
        self.base = git(self.clone, "rev-parse", "HEAD")
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{_ROOT / 'shared'}:{_ROOT / 'services'}",
            "HERALD_MODE": "try",
            "HERALD_STATE": str(self.state),
            "HERALD_BOOT_ID": "boot-1",
            "HERALD_AGENT": "standin",
            "CLAUDE_STANDIN_SHELL": "1",
        }
        self.module = "herald_agent"
        self.others: list[snapshot.Project] = []
        self.workspace = self.state / "agent/workspaces/pounce"
        """Where runs work unless the project says `path`."""
        self.own = True
        self.runs = 0
        self._instances: list[Instance] = []
        self.configure(**settings)

    def configure(self, *, max_active: int = 1, **settings: Any) -> None:
        """Put a snapshot in force."""
        given = {
            "name": "pounce",
            "display_name": "Pounce",
            "path": str(self.clone),
            "channel": "1",
            "agent_name": "Pounce",
            "enabled": True,
            "workspace": "own",
            "auto_commit": True,
            "push_requires_approval": True,
            "branch_prefix": "agent/pounce",
            "remote": str(self.remote),
        } | settings
        project = snapshot.Project(**given)
        self.own = project.workspace == "own"
        projects = {each.name: each for each in (project, *self.others)}
        body = snapshot.Snapshot(1, "", "", max_active, 1800.0, (), projects)
        (self.state / "config" / "snapshot.json").write_bytes(snapshot.encode(body))

    def instance(self, notify: Path | None = None) -> Instance:
        """A process that waits for its call."""
        self._instances.append(Instance(self.environment, notify=notify, module=self.module))
        return self._instances[-1]

    def close(self) -> None:
        """End what a test that failed has left."""
        for instance in self._instances:
            instance.hang_up()
            instance.process.kill()
            instance.process.wait()

    def start(
        self,
        prompt: str | bytes,
        *,
        files: RunFiles | None = None,
        notify: Path | None = None,
        base_pack: bytes | None = None,
        **parameters: Any,
    ) -> tuple[Instance, RunFiles]:
        """Call Run on a new instance; the reply is still to come. The first run gets the whole history of its base."""
        self.runs += 1
        if base_pack is None:
            base = parameters.get("base", self.base)
            base_pack = b"" if not self.own or self.is_in_store(base) else self.history(base)
        if isinstance(prompt, str):
            prompt = prompt.encode()
        files = files or RunFiles(self.folder / f"run-{self.runs}", prompt)
        (files.folder / "base_pack").write_bytes(base_pack)
        call = {
            "run": f"task-{self.runs}",
            "project": "pounce",
            "workspace": "pounce",
            "branch": f"agent/pounce-{self.runs}",
            "base": self.base,
            "session": "",
            "resume": False,
            "deadline": 60.0,
            "title": "A title",
        } | parameters
        instance = self.instance(notify)
        descriptors = [os.open(files.folder / name, os.O_RDWR) for name in RUN_FILES]
        call |= {name: index for index, name in enumerate(RUN_FILES)}
        instance.send("Run", call, tuple(descriptors), more=True)
        for fd in descriptors:
            os.close(fd)
        return instance, files

    def run(self, prompt: str | bytes, **parameters: Any) -> RunFiles:
        """A whole run, from its start to the end of its process."""
        instance, files = self.start(prompt, **parameters)
        assert instance.receive() == {"parameters": {"state": "started"}, "continues": True}
        assert instance.receive() == {"parameters": {"state": "ended"}}
        assert instance.wait() == 0, instance.stderr.read_text()
        return files

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Any method but Run on a new instance; the whole reply."""
        instance = self.instance()
        descriptors: list[int] = []
        if method in ("Prepare", "Update"):
            pack = self.folder / "prepared.pack"
            descriptors.append(os.open(pack, os.O_RDWR | os.O_CREAT, 0o600))
            parameters["pack"] = 0
        if method != "Check":
            parameters["project"] = "pounce"
            parameters["workspace"] = "pounce"
        instance.send(method, parameters, tuple(descriptors))
        for fd in descriptors:
            os.close(fd)
        reply = instance.receive()
        assert instance.wait() == 0
        return reply

    @property
    def tree(self) -> Path:
        """Where the project's runs work."""
        return self.workspace if self.own else self.clone

    @property
    def store(self) -> Path:
        """The objects that the project's own workspaces share."""
        return self.state / "agent/stores/pounce/base.git"

    def is_in_store(self, commit: str) -> bool:
        """Whether the store has a commit."""
        command = ["git", f"--git-dir={self.store}", "cat-file", "-e", f"{commit}^{{commit}}"]
        return subprocess.run(command, capture_output=True).returncode == 0

    def history(self, head: str = "") -> bytes:
        """A pack of a commit with its whole history, as the worker hands it over."""
        wanted = f"{head or self.base}\n".encode()
        for folder in (self.clone, self.workspace):
            command = ["git", "-C", str(folder), "pack-objects", "--revs", "--stdout", "-q"]
            done = subprocess.run(command, input=wanted, capture_output=True)
            if done.returncode == 0:
                return done.stdout
        return b""

    def branches(self) -> list[str]:
        if not self.tree.exists():
            return []
        return git(self.tree, "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()

    def show(self, branch: str, path: str) -> str:
        return git(self.tree, "show", f"{branch}:{path}")

    def clone_state(self) -> dict[str, bytes | str]:
        """Every byte of the clone, with the times of its files."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.clone.rglob("*")):
            status = path.lstat()
            name = str(path.relative_to(self.clone))
            content = path.readlink().as_posix() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            found[name] = content
            found[f"{name} "] = f"{status.st_mode:o} {status.st_mtime_ns} {status.st_ino}"
        return found

    def leftovers(self) -> list[str]:
        """What a run that ended should have removed."""
        agent = self.state / "agent"
        checkouts = [path for path in agent.glob("checkouts/*") if path.suffix not in _STAY and not _is_at_rest(path)]
        found = [*agent.glob("tmp/*"), *checkouts, *agent.glob("kept/*/*"), *self.workspace.glob(".git.*")]
        locks = [path for path in (*agent.glob("slots/*"), *agent.glob("locks/*")) if is_locked(path)]
        return [str(path.relative_to(agent)) for path in (*found, *locks)]


def fake_cli(place: Place, script: str) -> None:
    """A program in place of the CLI that answers something strange."""
    program = place.folder / "fake"
    program.write_text(f"#!{sys.executable} -u\nimport json, sys\n{script}\n")
    program.chmod(0o755)
    place.environment |= {"HERALD_AGENT": "claude", "HERALD_CLAUDE": str(program)}


def _is_at_rest(path: Path) -> bool:
    """Whether a record tells of no run."""
    if path.suffix != ".json":
        return False
    body = json.loads(path.read_text())
    return body["going"] is None and not body["ended"]


def wait_for(condition: Any, what: str, patience: float = _PATIENCE) -> Any:
    """Wait until a condition gives something true, looking often."""
    until = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < until, f"waited {patience:g} s for {what}"
        select.select([], [], [], 0.01)
    return found
