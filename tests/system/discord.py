"""Inside a machine: a Discord where Discord is, so that the gateway goes there as it is installed.

The names of Discord's servers lead to an address of the machine itself; one drop-in of the unit lets it trust who
answers there.
"""

import json
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fake_discord.client import Discord
from tests.system.bus import Bus
from tests.system.forge import configure, set_credential
from tests.system.machine import Machine

GATEWAY = "herald-gateway.service"
DROP_IN = f"/etc/systemd/system/{GATEWAY}.d/50-discord.conf"
SERVERS = ("discord.com", "gateway.discord.gg", "cdn.discordapp.com")
_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = "/opt/discord"
_TRUST = f"{_FOLDER}/tls/authority.pem"
_UNIT = f"""\
[Unit]
Description=A Discord, for tests

[Service]
ExecStart=/opt/herald/venv/bin/python -B -m tests.fake_discord --address={{address}} --port=443 \\
    --tls {_FOLDER}/tls/server.pem {_FOLDER}/tls/server.key --state={_FOLDER}/addresses.json \\
    --gateway-url=wss://gateway.discord.gg/ --cdn-url=https://cdn.discordapp.com
WorkingDirectory={_FOLDER}
StandardOutput=null
"""
_CERTIFICATES = f"""\
[request]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = {", ".join(f"DNS:{each}" for each in (*SERVERS, "*.discord.gg"))}
"""
_SIGN = """\
new="openssl req -config requests.conf -x509 -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"
$new -extensions authority -subj /CN=Tests -keyout authority.key -out authority.pem
$new -extensions server -subj /CN=discord.com -CA authority.pem -CAkey authority.key -keyout server.key -out server.pem
rm authority.key
"""


def start(machine: Machine) -> Discord:
    """Start it. Nothing of Herald knows it yet but by its name."""
    address = ".".join(str(part) for part in (127, *(1 + each % 254 for each in secrets.token_bytes(3))))
    shutil.copytree(
        _ROOT / "tests/fake_discord", f"/proc/{machine.leader}/root{_FOLDER}/tests/fake_discord",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip
    machine.write(f"{_FOLDER}/tests/__init__.py", "")
    machine.write(f"{_FOLDER}/tls/requests.conf", _CERTIFICATES)
    machine.sh(_SIGN, cwd=f"{_FOLDER}/tls")
    machine.write("/etc/systemd/system/discord.service", _UNIT.format(address=address))
    machine.write("/etc/hosts", f"{machine.read('/etc/hosts')}\n{address} {' '.join(SERVERS)}\n")
    machine.write(DROP_IN, f"[Service]\nEnvironment=SSL_CERT_FILE={_TRUST}\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "discord.service")
    machine.wait_for(lambda: machine.exists(f"{_FOLDER}/addresses.json"), "Discord listens")
    return Discord(json.loads(machine.read(f"{_FOLDER}/addresses.json")))


class Town:
    """A machine and its Discord: `#demo` of the project, `#herald` of Herald itself, an approver ada (a user of the
    machine too) and a stranger."""

    def __init__(self, machine: Machine, bus: Bus, discord: Discord) -> None:
        self.machine, self.bus, self.discord = machine, bus, discord
        self.tokens: list[str] = []
        """All that Herald was ever given."""
        self.ada, self.stranger = discord.user("ada"), discord.user("sam")
        self.demo, self.system = discord.channel("demo"), discord.channel("herald")
        machine.run("useradd", "--create-home", "--groups", "herald", "ada")
        configure(
            machine, "demo", path="/srv/herald/repos/demo", discord_channel_id=self.demo, agent_name="Pounce",
            webhook_avatar_url="https://example.org/cat.png",
        )  # fmt: skip
        known = {
            "operators": [{"discord_id": self.ada, "unix_user": "ada", "name": "Ada", "role": "approver"}],
            "discord": {"guild_id": discord.guild, "system_channel": self.system},
        }
        settings = machine.read("/etc/herald/herald.yaml")
        text = settings + "".join(f"{key}: {json.dumps(value)}\n" for key, value in known.items())
        machine.write("/etc/herald/herald.yaml", text, mode=0o640, owner="root:herald")
        machine.run("heraldctl", "reload")

    def connect(self, token: str) -> None:
        """Give Herald the token, and be there when it has connected."""
        self.tokens.append(token)
        set_credential(self.machine, "discord_token", token)
        self.machine.systemctl("restart", GATEWAY)
        self.connected()

    def connected(self) -> str:
        """Until the gateway is connected and has nothing left to send; its status line."""
        return self.status(r"Discord connected, \d+ ms, outbox 0, \d+ posts?")

    def status(self, pattern: str) -> str:
        """The line that `systemctl status` shows, once it is this."""

        def shown() -> str:
            said = self.machine.run("systemctl", "status", "--no-pager", "--lines=0", GATEWAY, check=False).stdout
            found = re.search(r'^ *Status: "(.*)"$', said, re.MULTILINE)
            return found[1] if found and re.fullmatch(pattern, found[1]) else ""

        return self.machine.wait_for(shown, f"the status is {pattern}")

    def say(self, text: str, channel: str = "", **how: Any) -> str:
        """Ada says it, in `#demo` or elsewhere."""
        return self.discord.say(self.ada, channel or self.demo, text, **how)

    def posts(self, text: str, channel: str = "") -> list[Any]:
        """What Herald has posted there that holds this text, oldest first."""
        return [each for each in self.discord.messages(channel or self.demo) if each.bot and text in each.text]

    def posted(self, text: str, channel: str = "") -> Any:
        """The first of them, waited for."""
        return self.until(lambda: self.posts(text, channel), f"a post with {text!r}")[0]

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """The first true value, while things happen in Discord."""
        return self.discord.wait(condition, 60, what)

    def card(self, text: str, channel: str = "") -> str:
        """The card with this text, once votes on it count."""

        def open_() -> list[str]:
            posts = self.posts("Ready to push — ", channel)
            return [each.id for each in posts if text in each.text and {"👍", "👎"} <= each.reactions.keys()]

        return str(self.until(open_, f"a card with {text!r}")[0])

    def vote(self, card: str) -> None:
        """Ada's 👍."""
        self.discord.react(self.ada, card, "👍")

    def approve(self, card: str) -> None:
        """Ada's 👍, and the push that comes of it."""
        self.vote(card)
        try:
            self.until(lambda: self.discord.message(card).text.startswith("Pushed — "), "it is pushed")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.discord.message(card).text}") from None
