"""Herald in Discord as it is installed: every unit is the shipped one, only the names of Discord lead elsewhere."""

import json
from collections.abc import Iterator

import pytest

from tests.system import discord
from tests.system.bus import Bus
from tests.system.crashes import Told
from tests.system.discord import DROP_IN, GATEWAY, Town
from tests.system.forge import Forge, Remote, set_credential
from tests.system.machine import Machine

_PICTURE = {"cat.png": b"\x89PNG\r\n\x1a\n" + bytes(100)}
_ANSWER = "I am the stand-in, a script and no model."
_CONFINED = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectProc": "invisible", "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "IPAddressDeny": "169.254.0.0/16 fe80::/64 224.0.0.0/4 ff00::/8",
}  # fmt: skip
_COMPOSE = """\
#!/bin/sh
echo "as $(id -un) in $(sed 's/.*herald-deploy@.*/its unit/' /proc/self/cgroup | grep unit)"
echo "$@: $(ls "$HERALD_TREE")" | tr '\\n' ' '
"""


@pytest.fixture(scope="module")
def town(machine: Machine, bus: Bus, remote: Remote) -> Town:
    """Configured, without a token."""
    return Town(machine, bus, discord.start(machine))


@pytest.fixture(scope="module")
def connected(town: Town) -> Iterator[Town]:
    """The same, with the gateway connected; in the end no secret was told to anybody."""
    town.connect()
    yield town
    town.machine.run("journalctl", "--sync")
    journal = town.machine.run("journalctl", "--quiet", "--all", "--output=json").stdout
    assert len(journal) > 100_000
    for secret in (town.discord.token, *(each.token for each in town.discord.webhooks())):
        assert secret not in journal
    assert town.discord.leaks(town.discord.token) == []


def test_without_a_token_the_chat_is_the_terminal_and_nothing_of_discord_is_loaded(town: Town) -> None:
    town.machine.systemctl("restart", GATEWAY)

    town.status(r"terminal chat, \d+ posts?")
    assert not _has_loaded_discord(town.machine)
    assert town.machine.systemctl("list-units", "--failed", "--no-legend") == ""
    checked = town.machine.run("heraldctl", "discord", "check", user="ada", check=False)
    assert checked.returncode not in (0, 1)
    assert "credentials/discord_token" in checked.stderr


def _has_loaded_discord(machine: Machine) -> bool:
    """By the native part of what it is built upon."""
    return "/aiohttp/" in machine.read(f"/proc/{machine.main_pid(GATEWAY)}/maps")


def test_the_installed_unit_connects_in_its_sandbox(connected: Town) -> None:
    shown = connected.machine.show(GATEWAY)

    assert shown["DropInPaths"] == DROP_IN
    assert {name: shown[name] for name in _CONFINED} == _CONFINED
    lines = connected.machine.read(f"/proc/{shown['MainPID']}/status").splitlines()
    assert {"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"} <= set(lines)
    assert _has_loaded_discord(connected.machine)


def test_a_message_becomes_a_task_an_answer_a_card_and_a_push(connected: Town, remote: Remote) -> None:
    town, updates = connected, len(remote.updates())
    said = town.say("create hello.txt: from Discord")

    answer = town.posted(_ANSWER)
    assert (answer.name, answer.avatar) == ("Pounce", "https://example.org/cat.png")
    assert answer.webhook in [each.id for each in town.discord.webhooks(town.demo)]
    assert town.discord.bot in town.discord.message(said).reactions["👀"]
    card = town.posted("Ready to push — 1 commit.")
    town.discord.react(town.stranger, card.id, "👍")
    assert len(remote.updates()) == updates
    town.vote(card.id)
    town.posted("Pushed — ")

    [proposal] = [each for each in town.bus.proposals() if each["state"] == "pushed"]
    assert len(remote.updates()) == updates + 1
    assert remote.sh(f"git show {proposal['head']}:hello.txt") == "from Discord"
    town.until(lambda: town.discord.message(card.id).button_ids == [], "the card takes no more votes")
    town.connected()


def test_a_token_in_an_answer_is_masked(connected: Town) -> None:
    connected.say(f"say open {connected.discord.token} sesame")

    connected.posted(f"{_ANSWER} open [secret] sesame")


def test_a_member_of_the_group_is_told_which_permission_is_missing(connected: Town) -> None:
    town = connected
    done = town.machine.run("heraldctl", "discord", "check", user="ada", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing is missing" in done.stdout

    town.discord.overwrite(town.demo, town.discord.bot, deny=("attach_files",))
    try:
        missing = town.machine.wait_for(lambda: _findings(town), "it is missing")
        assert missing == [("#demo in test guild (project demo)", "the bot lacks Attach Files")]
    finally:
        town.discord.overwrite(town.demo, town.discord.bot)
    town.machine.wait_for(lambda: not _findings(town), "it is there again")


def _findings(town: Town) -> list[tuple[str, str]]:
    """What is missing, and where."""
    done = town.machine.run("heraldctl", "discord", "check", "--json", user="ada", check=False)
    found = [(each["place"], each["problem"]) for each in json.loads(done.stdout)["findings"]]
    assert done.returncode == bool(found)
    return found


def test_a_project_is_added_and_its_agent_introduces_itself(connected: Town, forge: Forge) -> None:
    town, chortle = connected, forge.repository("chortle")
    town.say(f"!addproject chortle {chortle.url} Chortle", town.system, files=_PICTURE)
    town.posted("is added.", town.system)

    machine, clone = town.machine, "/srv/herald/repos/chortle"
    assert machine.stat("/etc/herald/projects/chortle.yaml") == ("640", "herald-config:herald")
    assert machine.stat(clone)[1].startswith("herald-agent:")
    assert machine.sh(f"find {clone} ! -user herald-agent") == ""
    [channel] = [each for each in town.discord.channels() if each["name"] == "chortle"]
    [everybody] = [each for each in channel["permission_overwrites"] if each["id"] == town.discord.guild]
    assert int(everybody["deny"]) & 1 << 10  # View Channel
    introduction = town.posted(_ANSWER, channel["id"])
    [hook] = town.discord.webhooks(channel["id"])
    assert (introduction.name, introduction.webhook, bool(hook.avatar)) == ("Chortle", hook.id, True)
    card = town.posted("Ready to push — 2 commits.", channel["id"])
    town.vote(card.id)
    town.posted("Pushed — ", channel["id"])
    [branch] = [each for each in chortle.heads() if each != "main"]
    assert chortle.sh(f"git show {branch}:.herald/SOUL.md").startswith("# Chortle\n")


def test_what_was_pushed_last_is_deployed(connected: Town) -> None:
    town, machine = connected, connected.machine
    machine.write("/usr/local/bin/compose", _COMPOSE, mode=0o755)
    settings = machine.read("/etc/herald/herald.yaml")
    text = f"{settings}deploy: {{command: /usr/local/bin/compose}}\n"
    machine.write("/etc/herald/herald.yaml", text, mode=0o640, owner="root:herald")
    machine.run("heraldctl", "reload")
    town.say("!deploy")
    town.posted("Nothing to deploy — ")

    town.say("create compose.yaml: services: {}")
    card = town.until(lambda: [each for each in town.posts("Ready to push — ") if each.button_ids], "a card")[0]
    town.vote(card.id)
    pushes = len(town.posts("Pushed — "))
    town.until(lambda: len(town.posts("Pushed — ")) > pushes, "it is pushed")
    town.say("!deploy")

    said = town.posted("Deployed — demo at ").text
    assert "as herald-deploy in its unit" in said
    assert "up --build -d: README.md" in said
    assert "compose.yaml" in said
    machine.wait_for(lambda: not machine.units("herald-deploy@*"), "the deploy unit is gone")
    assert machine.systemctl("list-units", "--failed", "--no-legend") == ""


def test_a_crash_of_the_gateway_is_posted_once_while_it_is_away(connected: Town) -> None:
    town = connected
    told = Told(town.machine)
    pid = town.machine.main_pid(GATEWAY)
    town.machine.kill(pid)

    post = town.posted(f"{GATEWAY} crashed at", town.system)
    assert "killed by SIGKILL" in post.text
    assert post.webhook in [each.id for each in town.discord.webhooks(town.system)]
    town.machine.wait_for(told.posts, "the gateway is back and has it in its log")
    town.connected()
    assert town.machine.main_pid(GATEWAY) != pid
    assert len(told.posts()) == 1
    assert len(town.posts(f"{GATEWAY} crashed at", town.system)) == 1


def test_what_is_said_and_voted_while_herald_is_stopped_is_done_afterwards_in_order_once(
    connected: Town, remote: Remote
) -> None:
    town, updates = connected, len(remote.updates())
    town.say("create while.txt: stopped")
    card = town.until(lambda: [each for each in town.posts("Ready to push — ") if each.button_ids], "a card")[0]
    town.bus.idle()
    town.connected()
    town.machine.systemctl("stop", "herald.target")
    town.machine.wait_for(lambda: "active" not in town.machine.units().values(), "everything has stopped")
    words = ["first", "second", "third"]
    for word in words:
        town.say(f"say the {word} word")
    town.vote(card.id)
    town.discord.say(town.stranger, town.demo, "say the stranger's word")
    town.machine.systemctl("start", "herald.target")

    town.posted("the third word")
    town.until(lambda: len(remote.updates()) > updates, "the push")
    town.bus.idle()
    town.connected()
    answers = [each.text for each in town.posts(f"{_ANSWER} the ")]
    assert [text.partition(_ANSWER)[2].split()[1] for text in answers] == words
    assert len(remote.updates()) == updates + 1


def test_a_revoked_token_is_said_and_a_new_one_heals_it(connected: Town) -> None:
    town, old = connected, connected.discord.token
    town.discord.trouble.revoke()

    said = town.status("Discord refused: .*")
    assert "https://discord.com/developers/applications" in said
    [(place, problem)] = _findings(town)
    assert (place, problem.partition(".")[0]) == ("the bot", "Discord refuses the bot's token")
    tried = len(town.discord.requests(path="/users/@me"))
    missed = town.say("say what was missed")
    assert town.machine.show(GATEWAY)["ActiveState"] == "active"
    new = f"{old[:-4]}0000"
    town.discord.trouble.accept(new)
    set_credential(town.machine, "discord_token", new)
    town.machine.systemctl("restart", GATEWAY)
    town.posted(f"{_ANSWER} what was missed")
    town.connected()

    assert len(town.discord.requests(path="/users/@me")) == tried + 1
    assert town.discord.bot in town.discord.message(missed).reactions["👀"]
    assert town.discord.leaks(new) == []
