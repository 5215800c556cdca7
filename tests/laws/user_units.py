"""The units of a `--user` installation, derived from those of the system: what a user manager refuses is left out.

`python -m tests.laws.regenerate` writes them; a law test holds both together. install.sh fills the places in: @venv@,
@state@, @config@, @repos@.
"""

from pathlib import Path

from tests.laws.repository import ROOT

SYSTEM = ROOT / "units"
USER = SYSTEM / "user"

REFUSED = {
    # One user, who is the one that runs it; folders by plain paths, because systemd 252 and 257 differ about them.
    "User", "Group", "SupplementaryGroups", "SocketUser", "SocketGroup", "StateDirectory", "StateDirectoryMode",
    # A manager without root cannot take capabilities away, nor filter addresses and devices.
    "CapabilityBoundingSet", "AmbientCapabilities", "DevicePolicy", "IPAddressDeny", "RemoveIPC",
    # These need namespaces, which a user manager has only with PrivateUsers=; the agent alone gets that.
    "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateIPC", "PrivateNetwork",
    "PrivateUsers", "ProtectClock", "ProtectHostname", "ProtectKernelTunables", "ProtectKernelModules",
    "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "ReadWritePaths", "InaccessiblePaths",
    "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "KeyringMode", "MemoryMax", "OOMPolicy",
}  # fmt: skip

_PLACES = (
    ("/opt/herald/venv", "@venv@"),
    ("/run/herald/", "%t/herald/"),
    ("/etc/herald", "@config@"),
    ("/var/lib/herald", "@state@"),
    ("multi-user.target", "default.target"),
    ("ExecStopPost=-+", "ExecStopPost=-"),
    ("; `+`: as root, who may read the journal.", "."),
)

_ENVIRONMENT = """\
Environment=HERALD_MODE=user HERALD_BUS=%t/herald
Environment="HERALD_STATE=@state@" "HERALD_CONFIG=@config@"
"""

_OF_THE_AGENT = """\
# From here on only where the machine lets users make namespaces (install.sh leaves the rest away where it does not).
# PrivateUsers= comes first: without it systemd 252 ignores the other keys without a word.
PrivateUsers=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ReadWritePaths="-@repos@" "-@state@/agent" "-@state@/alert"
# Above all the bus and the manager: an agent of this user could vote, and start what is not confined.
# Not all of %t/systemd, where the unit itself says that it is ready and hands over its locks.
InaccessiblePaths=-%t/herald -%t/bus -%t/systemd/private -/run/dbus -/run/systemd/private -%h/.ssh -%h/.gnupg
InaccessiblePaths=-%t/gnupg -%t/openssh_agent -%t/ssh-agent.socket -%t/gcr -%t/keyring
InaccessiblePaths=-%t/docker.sock -%t/podman -/run/docker.sock -/run/podman -/run/containerd
InaccessiblePaths="-@config@" "-@state@/git" "-@state@/deploy" "-@state@/gateway" "-@state@/worker"
"""


def derive(name: str, text: str) -> str:
    """The user's variant of a system unit."""
    kept: list[str] = []
    comments: list[str] = []
    for line in text.splitlines():
        key = line.partition("=")[0]
        if line.startswith("#"):
            comments.append(line)
        elif ("=" in line and key in REFUSED) or line == "Slice=herald.slice" or "snapshot.json" in line:
            comments.clear()
        else:
            kept += [*comments, line]
            comments.clear()
            if key == "ExecStart":
                kept += _ENVIRONMENT.splitlines()
    result = "\n".join(kept) + "\n"
    for there, here in _PLACES:
        result = result.replace(there, here)
    return result + _OF_THE_AGENT if name == "herald-agent@.service" else result


def variants() -> dict[Path, str]:
    """Every file of units/user/ with its text."""
    files = [path for path in SYSTEM.iterdir() if path.suffix in {".service", ".socket", ".target", ".slice"}]
    return {USER / path.name: derive(path.name, path.read_text(encoding="utf-8")) for path in sorted(files)}


def write() -> None:
    """Write them anew."""
    USER.mkdir(exist_ok=True)
    for old in USER.iterdir():
        old.unlink()
    for path, text in variants().items():
        path.write_text(text, encoding="utf-8")
