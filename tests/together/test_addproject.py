"""`!addproject` from the command to the pushed introduction: every part is the real one, Discord is the fake."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from herald import names
from tests.discord.herald import Herald
from tests.gateway.adding import PICTURE, Adding
from tests.gateway.oneshots import OneShots
from tests.support.repositories import Remote, git, remote_with_commit


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return remote_with_commit(tmp_path)


@pytest.fixture
def adding(herald: Herald) -> Iterator[Adding]:
    with ExitStack() as stack:
        herald.bus.environment["HERALD_AGENT"] = "standin"
        adding = Adding(herald)
        stack.enter_context(closing(adding.config))
        for service in (names.AGENT, names.GIT):
            stack.enter_context(closing(OneShots(herald.bus, service)))
        herald.bus.start(names.WORKER, "herald_worker")
        herald.bus.gateway()
        herald.connected()
        yield adding
        for service in (names.GATEWAY, names.WORKER):
            herald.bus.end(service)


def test_a_project_is_added_and_its_agent_introduces_itself_and_is_pushed(adding: Adding, remote: Remote) -> None:
    herald, discord = adding.herald, adding.discord
    adding.add(f"!addproject chortle {remote.path} Pounce", PICTURE)
    (channel,) = adding.channels()
    clone = herald.bus.root / "repos" / "chortle"
    assert git(clone, "status", "--porcelain", "--branch") == "## main...origin/main"

    said = herald.posted(channel["id"], "I am the stand-in")
    (hook,) = discord.webhooks(channel["id"])
    assert (said.name, said.webhook) == ("Pounce", hook.id)
    card = herald.posted(channel["id"], "Ready to push — 2 commits.")
    discord.react(herald.approver, card.id, "👍")
    discord.wait(lambda: len(remote.heads()) == 2, 30, "the push")
    (branch,) = [each for each in remote.heads() if each != "main"]
    assert re.fullmatch(r"agent/chortle-\d{8}-\d{6}", branch)
    assert git(remote.path, "show", f"{branch}:.herald/SOUL.md").startswith("# Pounce\n")

    discord.say(herald.operator, channel["id"], "say hello there")  # a task without any restart
    herald.posted(channel["id"], "hello there")
