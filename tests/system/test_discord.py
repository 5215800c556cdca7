"""Herald in Discord as it is installed: every unit is the shipped one, only the names of Discord lead elsewhere."""

import json

import pytest

from tests.system import discord
from tests.system.bus import Bus
from tests.system.crashes import Told
from tests.system.discord import DROP_IN, GATEWAY, Town
from tests.system.forge import Forge, Remote
from tests.system.machine import Machine

_PICTURE = {"cat.png": b"\x89PNG\r\n\x1a\n" + bytes(100)}
_ANSWER = "I am the stand-in, a script and no model."
_CONFINED = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectProc": "invisible", "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
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
def connected(town: Town) -> Town:
    """The same, with the gateway connected."""
    town.connect(town.discord.token)
    return town


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

    own = [path for path in shown["DropInPaths"].split() if not path.startswith("/usr/local/lib/systemd/system/")]
    assert own == [DROP_IN]
    assert {name: shown[name] for name in _CONFINED} == _CONFINED
    assert {"169.254.0.0/16", "fe80::/64"} <= set(shown["IPAddressDeny"].split())
    lines = connected.machine.read(f"/proc/{shown['MainPID']}/status").splitlines()
    assert {"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"} <= set(lines)
    assert _has_loaded_discord(connected.machine)


def test_a_message_becomes_a_task_an_answer_a_card_and_a_push(connected: Town, remote: Remote) -> None:
    town, updates = connected, len(remote.updates())
    said = town.say("create hello.txt: from Discord")

    answer = town.posted(f"```\n{_ANSWER}")
    assert (answer.name, bool(answer.avatar)) == ("Pounce", True)
    assert answer.webhook in [each.id for each in town.discord.webhooks(town.demo)]
    assert town.discord.bot in town.discord.message(said).reactions["👀"]
    card = town.card("Create hello.txt")
    town.discord.react(town.stranger, card, "👍")
    town.approve(card)

    [proposal] = [each for each in town.bus.proposals() if each["state"] == "pushed"]
    assert len(remote.updates()) == updates + 1
    assert remote.sh(f"git show {proposal['head']}:hello.txt") == "from Discord"
    assert town.discord.message(card).button_ids == []
    [vote] = [each for each in town.bus.events(task=proposal["task"]) if each["kind"] == "proposal.approved"]
    assert f"approve by discord:{town.ada}" in vote["data"]


def test_a_token_in_an_answer_is_masked_also_in_a_file(connected: Town) -> None:
    connected.say(f"say open {connected.discord.token} sesame")
    connected.posted(f"{_ANSWER} open [secret] sesame")

    connected.say(f"say {1000 * 'open '}{connected.discord.token} sesame")
    answer = connected.until(lambda: [each for each in connected.posts("") if each.files], "an answer as a file")[0]
    assert b"open [secret] sesame" in connected.discord.file(answer.files[0])


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
    town.approve(town.card("2 commits", channel["id"]))
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
    town.approve(town.card("Create compose.yaml"))
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
    card = town.card("Create while.txt")
    town.bus.idle()
    town.connected()
    town.machine.systemctl("stop", "herald.target")
    for unit in (GATEWAY, "herald-worker.service"):
        town.machine.wait_for_unit(unit, "inactive")
    words = ["first", "second", "third"]
    for word in words:
        town.say(f"say the {word} word")
    town.vote(card)
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
    town = connected
    town.discord.trouble.revoke()

    said = town.status("Discord refused: .*")
    assert "https://discord.com/developers/applications" in said
    [(place, problem)] = _findings(town)
    assert (place, problem.partition(".")[0]) == ("the bot", "Discord refuses the bot's token")
    tried = len(town.discord.requests(path="/users/@me"))
    missed = town.say("say what was missed")
    assert town.machine.show(GATEWAY)["ActiveState"] == "active"
    town.discord.trouble.accept(f"{town.discord.token[:-4]}0000")
    town.connect(f"{town.discord.token[:-4]}0000")
    town.posted(f"{_ANSWER} what was missed")
    town.connected()

    assert len(town.discord.requests(path="/users/@me")) == tried + 1
    assert town.discord.bot in town.discord.message(missed).reactions["👀"]


def test_after_all_this_no_token_is_in_the_journal_nor_in_what_discord_was_told(connected: Town) -> None:
    connected.machine.run("journalctl", "--sync")
    journal = connected.machine.run("journalctl", "--quiet", "--all", "--output=json").stdout

    assert "herald-gateway.service" in journal
    for token in (*connected.tokens, *(each.token for each in connected.discord.webhooks())):
        assert token not in journal
    for token in connected.tokens:
        assert connected.discord.leaks(token) == []
