"""A gateway in Discord over a real configuration, to add projects with."""

import json
from pathlib import Path
from typing import Any

from herald import names
from herald.bus.blocking import call
from herald.snapshot import read
from tests.discord.herald import PROJECTS, Herald
from tests.gateway.oneshots import OneShots

PICTURE = {"cat.png": b"\x89PNG\r\n\x1a\n" + bytes(100)}
URL = "git@example.org:cats/chortle.git"
CLONED = {"path": "/srv/repos/chortle", "branch": "main", "head": "1" * 40, "created": True}
QUEUED = {"task": "9", "created": True, "ahead": 0, "steered": False}
ABSENT = "4242"
"""An operator who is not in the server."""
COMMAND = f"!addproject chortle {URL} Pounce"


class Adding:
    """A gateway in Discord over a real configuration of two projects."""

    def __init__(self, herald: Herald) -> None:
        self.herald = herald
        self.discord = herald.discord
        self.folder = herald.bus.root / "etc"
        (self.folder / "projects").mkdir(parents=True)
        herald.bus.environment["HERALD_CONFIG"] = str(self.folder)
        people = (
            ("approver", herald.approver), ("operator", herald.operator), ("reader", herald.reader),
            ("operator", ABSENT),
        )  # fmt: skip
        server = {
            "projects_root": str(herald.bus.root / "repos"),
            "operators": [{"discord_id": person, "name": role, "role": role} for role, person in people],
            "discord": {
                "guild_id": self.discord.guild, "system_channel": herald.system, "api": self.discord.api,
                "gateway": self.discord.gateway_url,
            },
        }  # fmt: skip
        (self.folder / "herald.yaml").write_text(json.dumps(server))
        for name in PROJECTS:
            keys = {"name": name, "path": str(herald.bus.root / name), "discord_channel_id": herald.channels[name]}
            (self.folder / "projects" / f"{name}.yaml").write_text(json.dumps(keys))
        self.config = OneShots(herald.bus, names.CONFIG)
        herald.script |= {"Clone": {"reply": CLONED}, "Bootstrap": {"reply": QUEUED}}
        assert call(names.CONFIG, "Reload", {}, deadline=30)["applied"]

    def say(self, text: str = COMMAND, files: dict[str, bytes] | None = None, channel: str = "") -> str:
        """Say it in the system channel, or in another."""
        return self.discord.say(self.herald.operator, channel or self.herald.system, text, files=files)

    def answer(self, words: str, times: int = 1, channel: str = "") -> str:
        """What Herald answers, waited for; `times`: so often."""
        where = channel or self.herald.system

        def found() -> list[str]:
            return [each.text for each in self.discord.posts(where) if words in each.text]

        self.discord.wait(lambda: len(found()) >= times, 30, f"{times} answers with {words!r}")
        return found()[-1]

    def add(self, text: str = COMMAND, files: dict[str, bytes] | None = None) -> str:
        """Say it and wait until it is done; what Herald answers."""
        self.say(text, files)
        return self.answer("is added.")

    def channels(self, name: str = "chortle") -> list[dict[str, Any]]:
        """Those that Herald made for a project."""
        marked = f"Herald project {name}"
        return [each for each in self.discord.channels() if (each.get("topic") or "").startswith(marked)]

    def yaml(self, name: str = "chortle") -> str:
        return (self.folder / "projects" / f"{name}.yaml").read_text()

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "projects").iterdir())

    @property
    def book(self) -> Path:
        return self.herald.bus.root / "state" / "gateway" / "webhooks.json"

    def assert_complete(self) -> str:
        """One channel, one webhook, one file, one first task; returns the channel."""
        (channel,) = self.channels()
        assert channel["name"] == "pounce"
        (hook,) = self.discord.webhooks(channel["id"])
        assert hook.name == "Pounce"
        assert json.loads(self.book.read_text())["chortle"].endswith(f"/webhooks/{hook.id}/{hook.token}")
        assert self.files() == ["chortle.yaml", "demo.yaml", "other.yaml"]
        project = read(str(self.herald.bus.root / "state" / "config" / "snapshot.json")).project("chortle")
        assert (project.enabled, project.channel, project.agent_name) == (True, channel["id"], "Pounce")
        assert (project.remote, project.path) == (URL, str(self.herald.bus.root / "repos" / "chortle"))
        assert len({each["key"] for each in self.herald.calls("Bootstrap")}) == 1
        return str(channel["id"])
