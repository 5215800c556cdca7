"""What this machine is told about reaching its package sources, handed on to a machine that is booted on it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

_VARIABLES = re.compile(
    r"(PIP_\w+|SSL_CERT_\w+|\w*CA_BUNDLE|NODE_EXTRA_CA_CERTS|npm_config_\w+|\w+_proxy)", re.IGNORECASE
)
_FILES = ("/etc/hosts", "/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_FOLDERS = ("/usr/local/share/ca-certificates",)
_APT = re.compile(r"Acquire::(?!IndexTargets|cdrom|Languages)[^\s]+ \".+\";")
_DEFAULT_MIRROR = "http://deb.debian.org/debian"


def variables() -> dict[str, str]:
    """The variables of the environment that say how packages are reached."""
    return {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name)}


def folders() -> list[Path]:
    """Folders that these variables name, such as one of wheels; a machine sees them in the same place.

    Not those of a system, which each has of its own.
    """
    words = {word for value in variables().values() for word in value.split()}
    return sorted(Path(word) for word in words if not word.startswith(("/etc/", "/usr/")) and _is_folder(word))


def _is_folder(word: str) -> bool:
    return word.startswith("/") and word != "/" and Path(word).is_dir()


def write_into(root: Path) -> None:
    """Write the files and the settings of apt into a file tree."""
    for name in _FILES:
        if Path(name).is_file():
            copy = root / name.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            shutil.copyfile(name, copy)
    for name in _FOLDERS:
        if Path(name).is_dir():
            shutil.copytree(name, root / name.lstrip("/"), dirs_exist_ok=True)
    settings = root / "etc/apt/apt.conf.d/90reach"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("".join(f"{line}\n" for line in _apt_settings()))


def _apt_settings() -> list[str]:
    """How apt here was told to fetch, in whichever file; hooks and the like are this machine's own."""
    done = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if _APT.fullmatch(line)]


def mirror() -> str:
    """The mirror from which this machine has its Debian packages."""
    folder = Path("/etc/apt")
    for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        text = file.read_text(errors="replace") if file.is_file() else ""
        found = _in_stanzas(text) if file.suffix == ".sources" else _in_lines(text)
        if found:
            return found
    return _DEFAULT_MIRROR


def _in_stanzas(text: str) -> str:
    """The first mirror of Debian itself in a file of format deb822."""
    for stanza in re.split(r"\n\s*\n", text):
        found = re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza, re.MULTILINE)
        fields = {str(name).lower(): str(value).split() for name, value in found}
        enabled = fields.get("enabled", ["yes"])[0].lower() not in ("no", "false", "0")
        for address in fields.get("uris", []):
            words = fields.get("suites", []), fields.get("components", [])
            if enabled and "deb" in fields.get("types", []) and _is_debian(address, *words):
                return address
    return ""


def _in_lines(text: str) -> str:
    """The first mirror of Debian itself in a file of one-line entries."""
    for line in re.findall(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+\s+\S+\s+.*)", text, re.MULTILINE):
        address, suite, *components = str(line).split()
        if _is_debian(address, [suite], components):
            return address
    return ""


def _is_debian(address: str, suites: list[str], components: list[str]) -> bool:
    """Whether these are the releases themselves: neither their updates nor somebody else's packages."""
    releases = any(re.fullmatch(r"[a-z]+", suite) for suite in suites)
    return releases and "main" in components and "debian" in address and "security" not in address
