"""A whole Herald with a project that can be deployed."""

import json
import uuid
from pathlib import Path
from typing import Any

from tests.deploy.standin import Docker
from tests.deploy.unit import COMPOSE
from tests.support import repositories
from tests.support.herald import Site
from tests.support.processes import wait_for


class DeploySite(Site):
    """The remote's default branch has a compose file unless told otherwise."""

    def __init__(self, folder: Path, *, compose: bool = True, time_limit: str = "5m", **keys: Any) -> None:
        super().__init__(folder)
        self.docker = Docker(folder / "docker-stand-in")
        if compose:
            self.base = self.publish({"compose.yaml": COMPOSE})
        self.configure(**keys)
        settings = {"command": self.docker.command, "socket": str(folder / "docker.sock"), "time_limit": time_limit}
        operators = [{"unix_user": "root", "role": "approver"}, {"discord_id": "1", "role": "operator"}]
        file = self.state / "etc" / "herald.yaml"
        file.write_text(f"deploy: {json.dumps(settings)}\noperators: {json.dumps(operators)}\n")

    def publish(self, files: dict[str, str]) -> str:
        """Somebody pushes to the remote's default branch; returns the commit."""
        seed = self.folder / "seed"
        head = repositories.commit(seed, files, "Publish")
        repositories.git(seed, "push", "--quiet", "origin", "main")
        (self.remote.path / "updates.log").unlink()
        return head

    def deploy(self, key: str = "") -> dict[str, Any]:
        """Ask for a deployment."""
        return self.herald.call("worker", "Deploy", key=key or uuid.uuid4().hex, project=self.project)

    def told(self, *kinds: str) -> list[str]:
        """What happened to deployments, in order."""
        found = [each["kind"].removeprefix("deployment.") for each in self.events.seen]
        kinds = kinds or ("waiting", "deploying", "deployed", "failed", "nothing", "unknown")
        return [kind for each, kind in zip(self.events.seen, found, strict=True)
                if kind in kinds and each["kind"].startswith("deployment.")]  # fmt: skip

    def posts(self) -> list[dict[str, Any]]:
        """What was posted about deployments."""
        self.herald.idle()
        return [each for each in self.herald.posts() if each["key"].startswith("deploy-")]

    def ended(self, state: str = "deployed", count: int = 1) -> dict[str, Any]:
        """The post about the n-th deployment that ends in this state."""
        self.events.wait(f"deployment.{state}", count=count)
        wait_for(lambda: len(self._endings()) >= count, "its post")
        return self._endings()[-1]

    def _endings(self) -> list[dict[str, Any]]:
        return [each for each in self.posts() if each["key"].endswith("-ended")]
