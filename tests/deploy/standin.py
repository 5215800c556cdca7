"""What a test does with the stand-in for the docker command."""

import json
import sys
from pathlib import Path
from typing import Any

from tests.deploy import docker
from tests.support.processes import lives, wait_for

TOKEN = "ghp_" + "a1B2" * 9


class Docker:
    """A folder with the program `docker`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        program = folder / "docker"
        program.write_text(f"#!{sys.executable} -IS\n{Path(docker.__file__).read_text()}")
        program.chmod(0o755)
        self.command = f"{program} compose"
        self.order()

    def order(self, **order: Any) -> None:
        """What all calls do from now on."""
        self.orders(order)

    def orders(self, *orders: dict[str, Any]) -> None:
        """What the calls do, one after the other."""
        (self.folder / "orders.json").write_text(json.dumps(orders))

    def go(self) -> None:
        """Let those that wait go on."""
        (self.folder / "go").touch()

    def calls(self) -> list[dict[str, Any]]:
        """How it was called."""
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def call(self, number: int = 1) -> dict[str, Any]:
        """The n-th call, as soon as it is made."""
        wait_for(lambda: len(self.calls()) >= number, f"call {number} of docker")
        return self.calls()[number - 1]

    def is_gone(self) -> bool:
        """Whether nothing of it runs any more."""
        left = self.folder / "left"
        pids = [call["pid"] for call in self.calls()] + ([int(left.read_text())] if left.exists() else [])
        return not any(lives(pid) for pid in pids)
