"""A real gateway that is connected to a fake Discord, with a scripted worker behind it."""

import copy
import json
import time
from typing import Any

from herald import names, snapshot
from herald.bus.blocking import call
from tests.fake_discord.client import Discord
from tests.fake_discord.things import Message
from tests.gateway.running import WORKER, Bus

PROJECTS = ("demo", "other")


class Herald:
    """One guild with `#demo`, `#other`, `#herald` (system) and `#elsewhere` (of no project), and people of each role.

    `approver`, `operator`, `reader` have that role for all projects, `stranger` has none, `machine` is another bot.
    """

    def __init__(self, bus: Bus, discord: Discord) -> None:
        self.bus = bus
        self.discord = discord
        self.channels = {name: discord.channel(name) for name in (*PROJECTS, "herald", "elsewhere")}
        self.demo, self.other = self.channels["demo"], self.channels["other"]
        self.system, self.elsewhere = self.channels["herald"], self.channels["elsewhere"]
        self.approver = discord.user("ada")
        self.operator = discord.user("otto")
        self.reader = discord.user("rita")
        self.stranger = discord.user("sam")
        self.machine = discord.user("machine", bot=True)
        folder = bus.root / "credentials"
        folder.mkdir()
        bus.environment["CREDENTIALS_DIRECTORY"] = str(folder)
        self.token(discord.token)
        self.script: dict[str, Any] = copy.deepcopy(WORKER)
        known = [{"name": name, "display_name": name.title(), "path": f"/srv/{name}", "channel": self.channels[name],
                  "enabled": True, "queued": 0} for name in PROJECTS]  # fmt: skip
        self.script["ListProjects"] = {"reply": {"projects": known}}
        self.configure()

    def token(self, token: str) -> None:
        """What is in the credential from the next start on."""
        (self.bus.root / "credentials" / "discord_token").write_text(token + "\n")

    def configure(self, *, generation: int = 1, **of_projects: Any) -> None:
        """Put a snapshot in force; `of_projects` are fields that all projects get."""
        people = [
            snapshot.Operator(self.approver, "", "ada", "approver", ()),
            snapshot.Operator(self.operator, "", "otto", "operator", ()),
            snapshot.Operator(self.reader, "", "rita", "reader", ()),
        ]
        projects = {name: self._project(name)._replace(**of_projects) for name in PROJECTS}
        discord = snapshot.Discord(
            guild_id=self.discord.guild, system_channel=self.system, api=self.discord.api,
            gateway=self.discord.gateway_url,
        )  # fmt: skip
        made = snapshot.Snapshot(generation, f"s{generation}", "", 1, 60.0, tuple(people), projects, discord=discord)
        folder = self.bus.root / "state" / "config"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "new").write_bytes(snapshot.encode(made))
        (folder / "new").rename(folder / "snapshot.json")

    def _project(self, name: str) -> snapshot.Project:
        return snapshot.Project(
            name=name, display_name=name.title(), path=f"/srv/{name}", channel=self.channels[name],
            agent_name=name.title(), enabled=True, workspace="own", auto_commit=True, push_requires_approval=True,
            branch_prefix=f"agent/{name}", remote="",
        )  # fmt: skip

    def start(self, seconds: float = 30.0) -> None:
        """Start the worker and the gateway, and wait until it is connected."""
        self.bus.peer(names.WORKER, self.script)
        self.bus.gateway()
        self.connected(seconds)

    def restart(self, seconds: float = 30.0) -> None:
        """Start the gateway again."""
        self.bus.gateway()
        self.connected(seconds)

    def connected(self, seconds: float = 30.0) -> None:
        """Until the gateway has a session and has read up."""
        self.discord.wait_ready(seconds)
        self.discord.wait(lambda: self.connection().startswith("connected"), seconds, "a gateway that has read up")

    def kill(self) -> None:
        """SIGKILL to the gateway."""
        self.bus.end(names.GATEWAY, kill=True)

    def stop(self) -> None:
        self.bus.end(names.GATEWAY)

    def status(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        return dict(call(names.GATEWAY, "GetStatus", {}, deadline=20))

    def connection(self) -> str:
        """What it says of its connection to Discord."""
        return str(self.status()["connection"])

    def delivered(self, seconds: float = 30.0) -> None:
        """Until Discord has all posts that it is to get."""
        self.discord.wait(lambda: self.status()["outbox"] == 0, seconds, "an empty outbox")

    def answers(self, method: str, **answer: Any) -> None:
        """How the worker answers a method from now on: reply=, error=, delay=; see tests/gateway/peer.py."""
        self.script[method] = answer
        self.bus.script(names.WORKER, self.script)

    def calls(self, method: str) -> list[dict[str, Any]]:
        """What the worker was asked for: a key that came again, as after a kill, is the same to it."""
        known: dict[str, dict[str, Any]] = {}
        for number, each in enumerate(self.every_call(method)):
            known.setdefault(each.get("key") or str(number), each)
        return list(known.values())

    def every_call(self, method: str) -> list[dict[str, Any]]:
        """The calls that the worker got; one that is just being written is not among them."""
        ledger = self.bus.root / names.WORKER / "calls.jsonl"
        written, _, _ = ledger.read_bytes().rpartition(b"\n") if ledger.exists() else (b"", b"", b"")
        return [each for line in written.splitlines() if (each := json.loads(line))["method"] == method]

    def tasks(self, count: int, seconds: float = 30.0) -> list[dict[str, Any]]:
        """What was enqueued, once there are so many; a key that came again is the same task."""
        self.discord.wait(lambda: len(self.calls("Enqueue")) >= count, seconds, f"{count} tasks")
        return self.calls("Enqueue")

    def post(self, text: str, key: str, kind: str = "answer", project: str = "demo", **rest: Any) -> None:
        """The worker posts."""
        call(
            names.GATEWAY, "Post", {"key": key, "project": project, "kind": kind, "text": text, **rest}, deadline=20
        )  # fmt: skip

    def progress(self, text: str, answers: str, task: str = "7") -> None:
        """The worker shows what a task is doing."""
        started = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        shown = {"project": "demo", "task": task, "text": text, "answers": answers, "started_at": started}
        call(names.GATEWAY, "ShowProgress", {**shown, "tokens": 1200, "cost_usd": 0.05}, deadline=20)

    def posted(self, channel: str, text: str, seconds: float = 30.0) -> Message:
        """The first post of Herald's in a channel that holds this text, waited for."""

        def found() -> list[Message]:
            return [each for each in self.discord.posts(channel) if text in each.text]

        return self.discord.wait(found, seconds, f"a post with {text!r}")[0]

    def eyes(self, message: str, seconds: float = 30.0) -> None:
        """Until the bot has put the eyes under a message."""
        discord = self.discord
        discord.wait(lambda: discord.bot in discord.message(message).reactions.get("👀", []), seconds, "the eyes")

    def journal(self) -> str:
        """What the gateway wrote; empty when it was never started."""
        return self.bus.journal() if (self.bus.root / f"{names.GATEWAY}.journal").exists() else ""

    def state(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the gateway's database."""
        return self.bus.rows(query)

    def everything(self) -> str:
        """All that the gateway told anybody outside the bus: journal and requests, for looking for secrets."""
        return self.journal() + json.dumps([each._asdict() for each in self.discord.requests()])
