"""A real Herald, all of its processes, as `./install.sh try` starts it; driven through stdin and the bus.

    with Site(tmp_path) as site:
        herald = site.start()
        task = herald.enqueue("sleep 5")
        site.events.wait("task.running", task)
        herald.kill("worker")
        herald.finish()

A `Site` is a state folder with a project and its remote, over which one Herald after the other may run. At its end it
asserts that nothing is left behind: no process, no socket folder, no lock, no run.
"""

import contextlib
import itertools
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from herald.bus import blocking
from herald.errors import HeraldError, Unavailable
from tests.support import processes, repositories
from tests.support.processes import PATIENCE, wait_for
from tests.support.repositories import Remote

PROGRAMS = Path(sys.executable).parent
_ENDS = ("done", "failed", "blocked", "cancelled", "parked")


class Events:
    """The worker's event log, followed over kills of the worker and of the whole Herald."""

    def __init__(self, service: str = "worker") -> None:
        self._service = service
        self._changed = threading.Condition()
        self._closing = False
        self.seen: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._follow, name=f"follows the {service}", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._closing:
            since = self.seen[-1]["id"] if self.seen else 0
            try:
                for answer in blocking.stream(self._service, "Watch", {"since": since}, deadline=2.0):
                    event = answer if self._service == "worker" else answer["post"]
                    if event is None:
                        continue
                    with self._changed:
                        self.seen.append(event)
                        self._changed.notify_all()
            except (HeraldError, OSError):
                time.sleep(0.02)

    def wait(self, kind: str, task: str = "", *, count: int = 1, patience: float = PATIENCE) -> dict[str, Any]:
        """The event of this kind (of this task), the `count`-th one, as soon as it is there."""
        found: dict[str, Any] = self.wait_until(
            lambda: next(itertools.islice(self.of(kind, task), count - 1, None), None), f"{kind} {task}", patience
        )
        return found

    def wait_until(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """The first true value of a condition over `seen`."""
        with self._changed:
            found = self._changed.wait_for(condition, patience)
        assert found, f"not within {patience:g} s: {what}; seen {[self._short(each) for each in self.seen[-20:]]}"
        return found

    def of(self, kind: str, task: str = "") -> Iterator[dict[str, Any]]:
        """Events of this kind (of this task) so far."""
        return (each for each in self.seen if each["kind"] == kind and task in ("", each["task"]))

    def kinds(self, task: str) -> list[str]:
        """What happened to a task, without its progress."""
        return [e["kind"] for e in self.seen if e["task"] == task and e["kind"] != "task.progress"]

    def _short(self, event: dict[str, Any]) -> str:
        return f"{event['kind']} {event.get('task') or event.get('text', '')[:60]}"

    def close(self) -> None:
        """For when nobody serves any more."""
        self._closing = True
        self._thread.join(10.0)


class Herald:
    """One try command with everything below it."""

    def __init__(self, site: "Site", options: Sequence[str], environment: dict[str, str]) -> None:
        self._site = site
        self._log = site.folder / f"stderr-{site.starts}"
        self._posts = site.folder / f"stdout-{site.starts}"
        with self._log.open("wb") as log, self._posts.open("wb") as posts:
            self.process = subprocess.Popen(
                [PROGRAMS / "herald-try", *options], stdin=subprocess.PIPE, stdout=posts, stderr=log, env=environment,
                start_new_session=True,
            )  # fmt: skip
        assert self.process.stdin is not None
        self._stdin = self.process.stdin

    @property
    def stdout(self) -> str:
        """What it printed so far."""
        return self._posts.read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """What it and its services reported so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def bus(self) -> str:
        """The folder of the sockets."""
        return self.stderr.partition("bus: ")[2].partition("\n")[0]

    @property
    def runtime(self) -> Path:
        """The temporary folder of this run."""
        return Path(self.bus).parent

    @property
    def heraldctl(self) -> list[str]:
        """The command line that is bound to it."""
        return shlex.split(self.stderr.partition("heraldctl: ")[2].partition("\n")[0])

    def say(self, *lines: str | bytes) -> None:
        """Lines into stdin."""
        for line in lines:
            self._stdin.write((line.encode() if isinstance(line, str) else line) + b"\n")
        self._stdin.flush()

    def call(self, service: str, method: str, **parameters: Any) -> dict[str, Any]:
        """A call that is made again while the service restarts; only for what can be made again."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return blocking.call(service, method, parameters)
            except Unavailable:
                assert time.monotonic() < until, f"{service}.{method} is not answered:\n{self.stderr[-3000:]}"
                time.sleep(0.02)

    def enqueue(self, text: str, key: str = "", project: str = "") -> str:
        """Hand in a task; returns its id."""
        given = {"key": key or uuid.uuid4().hex, "project": project or self._site.project, "text": text}
        return str(self.call("worker", "Enqueue", **given)["task"])

    def vote(self, vote: str = "approve") -> dict[str, Any]:
        """Vote on the newest open proposal."""
        return self.call("worker", "Vote", key=uuid.uuid4().hex, vote=vote, project=self._site.project)

    def status(self) -> dict[str, Any]:
        """The worker's status."""
        return self.call("worker", "GetStatus")

    def task(self, task: str) -> dict[str, Any]:
        """A task as the worker shows it."""
        return self.call("worker", "GetTask", task=task)

    def proposals(self) -> list[dict[str, Any]]:
        """All proposals, newest first."""
        found: list[dict[str, Any]] = self.call("worker", "ListProposals", open=False)["proposals"]
        return found

    def posts(self) -> list[dict[str, Any]]:
        """All posts that the gateway has."""
        found: list[dict[str, Any]] = self.call("gateway", "ListPosts", limit=1000)["posts"]
        return found

    def ended(self, task: str, patience: float = PATIENCE) -> str:
        """The state in which a task ends, as soon as it does."""
        ends = {f"task.{state}" for state in _ENDS}
        found = self._site.events.wait_until(
            lambda: [each for each in self._site.events.kinds(task) if each in ends], f"the end of {task}", patience
        )
        return str(found[0]).removeprefix("task.")

    def pids(self, name: str) -> list[int]:
        """The processes of a part: a service's name, `cli` for the agent's own program, `command`, `inetd`."""
        if name == "command":
            return [self.process.pid] if processes.lives(self.process.pid) else []
        found = []
        for pid in processes.marked(self._site.mark):
            words = processes.arguments(pid)
            if name == "inetd":
                fits = any(word.endswith("/herald-try") for word in words) and processes.parent(pid) == self.process.pid
            elif name == "cli":
                fits = any(word.endswith(("/standin.py", "/claude", "/claude.exe")) for word in words[:4])
            else:
                fits = any(word.endswith(f"/herald-{name}") for word in words[:3])
            found += [pid] if fits else []
        return [pid for pid in found if processes.parent(pid) not in found]  # without one that is about to execute

    def pid(self, name: str) -> int:
        """The one process of a part, as soon as it is there."""
        found: list[int] = wait_for(lambda: self.pids(name), f"a process of {name}")
        assert len(found) == 1, f"{name}: {[(each, processes.arguments(each)) for each in found]}"
        return found[0]

    def kill(self, name: str) -> int:
        """kill -9, and wait until it is gone; returns its number. `everything`: all processes, one after the other."""
        if name == "everything":
            self.freeze_all()
            for pid in processes.marked(self._site.mark):
                processes.send(pid, signal.SIGKILL)
            return self.process.pid
        found: list[int] = wait_for(lambda: self.pids(name), f"a process of {name}")
        for pid in found:
            processes.send(pid, signal.SIGKILL)
        return found[0]

    def freeze(self, name: str) -> int:
        """Stop a process in its tracks; `thaw` lets it go on."""
        pid = self.pid(name)
        processes.send(pid, signal.SIGSTOP)
        return pid

    def freeze_all(self) -> None:
        """Stop every process, so that none sees another one die."""
        for pid in processes.marked(self._site.mark):
            processes.send(pid, signal.SIGSTOP)

    def thaw(self, pid: int) -> None:
        """Let a frozen process go on."""
        processes.send(pid, signal.SIGCONT)

    def kill_all(self) -> None:
        """kill -9 of the command; returns when what it takes along is gone."""
        self.kill("command")
        self.wait_until_gone()

    def wait_until_gone(self) -> int:
        """The exit code, when no process is left."""
        code = self.process.wait(PATIENCE)
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        wait_for(
            lambda: not processes.marked(self._site.mark),
            f"everything ends, left: {[processes.arguments(each) for each in processes.marked(self._site.mark)]}",
        )
        return code

    def idle(self) -> None:
        """Return when nothing is queued, running or being pushed."""
        wait_for(lambda: not self._busy(), "nothing is going on")

    def _busy(self) -> bool:
        # In this order: the end of a push puts its words into the backlog.
        if any(each["state"] in ("approved", "pushing", "rejected") for each in self.proposals()):
            return True
        status = self.status()
        return bool(status["queued"] or status["running"] or status["deployments"] or status["gateway_backlog"])

    def finish(self, code: int | None = 0) -> str:
        """End of input; returns what it printed when it has waited for everything and ended with this code."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        ended = self.wait_until_gone()
        assert code is None or ended == code, f"exit {ended}\n{self.stdout}\n{self.stderr}"
        return self.stdout


class Site:
    """A project with its remote, and the state folder of the Heralds that run over it."""

    def __init__(
        self,
        folder: Path,
        *,
        environment: dict[str, str] | None = None,
        agent: str = "standin",
        object_format: str = "sha1",
    ) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.agent = agent
        self.environment = environment or {}
        self.remote: Remote = repositories.remote_with_commit(folder, object_format)
        self.clone = repositories.clone(self.remote, folder / "sample")
        self.project = "sample"
        self.state = folder / "state"
        self.base = self.remote.heads()["main"]
        self.starts = 0
        self.whole = True
        """Whether nothing of the state was damaged, so that the event log must be without a gap."""
        self.going = False
        """Whether a run was going when the last Herald was stopped; its files wait for the next one."""
        self._heralds: list[Herald] = []
        self.events = Events()

    def start(self, *options: str, project: bool | None = None, ready: bool = True) -> Herald:
        """Start Herald over the state; it listens when this returns."""
        self.starts += 1
        given = ["--agent", self.agent, "--state", str(self.state), *options]
        if project if project is not None else self.starts == 1:
            given += ["--project", str(self.clone)]
        environment = {
            "PATH": f"{os.environ['PATH']}:/nonexistent/{self.mark}",
            "HOME": str(self.folder),
            "CLAUDE_STANDIN_SHELL": "1",
            **self.environment,
        }
        herald = Herald(self, given, environment)
        if ready:
            self._heralds.append(herald)
            wait_for(lambda: "\nagent: " in herald.stderr or herald.process.poll() is not None, "Herald is ready")
            assert herald.process.poll() is None, herald.stderr
            os.environ["HERALD_BUS"] = herald.bus
            wait_for(lambda: self.project in [p["name"] for p in herald.call("worker", "ListProjects")["projects"]],
                     f"the project is in force\n{herald.stderr}")  # fmt: skip
        return herald

    @property
    def herald(self) -> Herald:
        """The one started last."""
        return self._heralds[-1]

    def configure(self, **keys: Any) -> None:
        """Write the project's file, before the first start."""
        file = self.state / "etc" / "projects" / f"{self.project}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        given = {"name": self.project, "path": str(self.clone.resolve()), "workspace": "own", **keys}
        file.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in given.items()))

    def pushed(self) -> dict[str, str]:
        """The branches of agents at the remote."""
        return {name: head for name, head in self.remote.heads().items() if name.startswith("agent/")}

    def files(self, branch: str) -> list[str]:
        """The files on a branch of the remote."""
        return repositories.git(self.remote.path, "ls-tree", "-r", "--name-only", branch).splitlines()

    @property
    def tree(self) -> Path:
        """Where runs work: the project's own workspace, or the clone where there is none."""
        own = self.state / "agent" / "workspaces" / self.project
        return own if own.exists() else self.clone

    def subjects(self, head: str) -> list[str]:
        """The commits of a branch of the workspace that main lacks, oldest first."""
        return repositories.git(self.tree, "log", "--reverse", "--format=%s", f"{self.base}..{head}").splitlines()

    def checkout(self) -> dict[str, Any]:
        """Everything about the clone that a run in an own workspace may not change."""
        git = self.clone / ".git"
        plain = repositories.git(self.clone, "--no-optional-locks", "status", "--porcelain", "--untracked-files=all")
        return {
            "head": (git / "HEAD").read_text(),
            "index": (git / "index").read_bytes(),
            "config": (git / "config").read_text(),
            "main": repositories.git(self.clone, "rev-parse", "main"),
            "status": plain,
            "files": {str(f): f.read_bytes() for f in self.clone.rglob("*") if f.is_file() and git not in f.parents},
        }

    def left(self) -> list[str]:
        """What a Herald that ended should not have left behind, apart from processes."""
        agent, worker = self.state / "agent", self.state / "worker"
        found = [*worker.glob("proposing/*")]
        if not self.going:
            # A workspace that was not whole yet is gone on with by the next start.
            whole = [each.stem for each in agent.glob("checkouts/*.ready")]
            found += [path for name in whole for path in (agent / "workspaces" / name).glob(".git.*")]
            found += [*agent.glob("tmp/*"), *worker.glob("runs/*")]
            found += [*worker.glob("deployments/*"), *self.state.glob("deploy/*/trees/*.new")]
            # `.taking` is no leftover: what is being taken is gone on with by the next start.
            records = [f for f in agent.glob("checkouts/*") if f.suffix not in (".index", ".taking", ".exclude")]
            records = [f for f in records if ".damaged-" not in f.name]
            found += [f for f in records if f.suffix != ".json" or json.loads(f.read_text())["going"]]
        found += [*worker.glob("outputs/*"), *worker.glob("mirrors/*/quarantine"), *self.state.rglob("*.tmp")]
        locks = [self.state / "lock", *agent.glob("slots/*"), *agent.glob("locks/*"), *self.state.glob("git/*.lock")]
        locks += self.state.glob("deploy/*/lock")
        found += [path for path in locks if path.exists() and processes.is_locked(path)]
        return [str(path) for path in [*found, *(h.runtime for h in self._heralds if h.bus and h.runtime.exists())]]

    def _logged(self) -> list[int]:
        """The ids of all events in the worker's log."""
        database = self.state / "worker" / "worker.sqlite"
        if not database.exists():
            return []
        with contextlib.closing(sqlite3.connect(database)) as connection:
            return [row[0] for row in connection.execute("SELECT id FROM events ORDER BY id")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._heralds and self._heralds[-1].process.poll() is None:
            self._heralds[-1].finish(None)
        left = processes.marked(self.mark)
        words = [" ".join(processes.arguments(pid)) for pid in left]
        for pid in left:
            processes.send(pid, signal.SIGKILL)
        for each in self._heralds:
            each.process.kill()
            each.process.wait()
            with contextlib.suppress(OSError):
                each._stdin.close()
        os.environ.pop("HERALD_BUS", None)
        self.events.close()
        if kind is None:
            assert not words, words
            assert not self.left(), self.left()
            if self.whole:
                told = [each["id"] for each in self.events.seen]
                assert told == self._logged()[: len(told)], "the follower missed something or was told it twice"
        elif self._heralds:
            sys.stderr.write(f"\n--- the last Herald ---\n{self._heralds[-1].stderr[-6000:]}")
