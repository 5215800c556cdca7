"""A project's remote: how git may reach it, and what its refusals mean for people."""

import os
import re
import shlex
from typing import NamedTuple

from herald import git_words, journal, names
from herald.errors import Conflict, Failed, HeraldError, Unavailable
from herald.snapshot import Project
from herald_git import command

_FILE_URL = re.compile(r"file://(?:localhost)?(?=/)")
_HTTPS = re.compile(r"https://(?:[^/@]*@)?([^/:]+)(?::\d+)?/(.+?)(?:\.git)?/?$")
_KEY = "git_ssh_key"
_LARGEST_KEY = 1 << 16
_PASSWORD = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]*@|(?<=https://)[^/\s@]+@")


class Remote(NamedTuple):
    """Where a project is fetched from or pushed to. `url` is an absolute path or an ssh or https URL."""

    project: str
    url: str
    setting: str = "git.remote"
    """the key of the project's file that changes it"""

    @property
    def shown(self) -> str:
        """The URL without what is secret in it."""
        return _PASSWORD.sub("", self.url)

    @property
    def is_path(self) -> bool:
        """Whether the remote is a folder of this machine."""
        return self.url.startswith("/")

    def environment(self) -> dict[str, str]:
        """The environment of a git process that talks to this remote."""
        allowed = "ssh:https:file" if self.is_path else "ssh:https"
        return command.environment() | {"GIT_ALLOW_PROTOCOL": allowed, "GIT_SSH_COMMAND": _ssh_command()}

    def refusal(self, words: str) -> HeraldError | None:
        """What these words of git say about the remote; None when they tell of a fault on this side, or of nothing."""
        journal.info(f"git failed and said:\n{git_words.whole(words)}", project=self.project)
        if is_own_fault(words):
            return None
        for pattern, kind, advice in _REFUSALS:
            if re.search(pattern, words):
                hosts = _known_hosts() or "~/.ssh/known_hosts"
                return kind(
                    advice.format(
                        remote=self.shown,
                        git_form=_git_form(self.url),
                        known_hosts=hosts,
                        said=spoken(words),
                        key=_key_advice(),
                        setting=self.setting,
                    )
                )
        return None


def of_project(project: Project) -> Remote:
    """The remote that the configuration names. Raises Conflict when it names none."""
    if not project.remote:
        raise Conflict(f"project {project.name} has no remote; set git.remote in its file and `heraldctl reload`")
    return Remote(project.name, _FILE_URL.sub("", project.remote))


def of_pushes(project: Project) -> Remote:
    """Where the project is pushed to. Raises Conflict when it cannot be pushed."""
    if project.push_problem:
        raise Conflict(f"{project.name} cannot be pushed: {project.push_problem}")
    origin = of_project(project)
    if not project.push_url:
        return origin
    return Remote(project.name, _FILE_URL.sub("", project.push_url), "git.push_url")


def is_own_fault(words: str) -> bool:
    """Whether git tells of damage or stale locks on this side: that breaks the connection too, but blames nobody."""
    return _OWN_FAULT.search(words) is not None


def spoken(words: str) -> str:
    """What git said, short enough to be shown."""
    return git_words.telling(words) or "nothing"


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    return _PASSWORD.sub("", url)


def _ssh_command() -> str:
    options = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "ServerAliveCountMax=3"]
    known_hosts = _known_hosts()
    if known_hosts:
        options += ["StrictHostKeyChecking=accept-new", f'UserKnownHostsFile="{known_hosts}"']
    words = ["ssh", *(word for option in options for word in ("-o", option))]
    key = _key()
    if key:
        words += ["-i", key, "-o", "IdentitiesOnly=yes"]
    return shlex.join(words)


def key_trace() -> str:
    """What changes with the key for ssh and tells nothing of it; empty: there is none, or it is the caller's own."""
    path = _key()
    if not path:
        return ""
    import hashlib  # here, because hardly any act needs it

    with open(path, "rb") as file:
        return hashlib.sha256(file.read(_LARGEST_KEY)).hexdigest()[:16]


def _key() -> str:
    """The file of the key that the service manager handed over; empty without one, which a blank file says too."""
    path = os.path.join(os.environ.get("CREDENTIALS_DIRECTORY", ""), _KEY)
    if not os.path.isabs(path):
        return ""
    try:
        with open(path, "rb") as file:
            return path if file.read(_LARGEST_KEY).strip() else ""
    except FileNotFoundError:
        return ""


def _key_advice() -> str:
    """The next step when a remote took no key."""
    if names.mode() != "system":
        return "refused the key; add the public half of your ssh key there, with write access"
    path = names.credential_path(_KEY)
    if _key():
        return f"refused the key {path}; add {path}.pub there as a deploy key with write access"
    return (
        f"wants a key, and Herald has none: `sudo ssh-keygen -t ed25519 -N '' -C herald -f {path}`, then add"
        f" {path}.pub there as a deploy key with write access; no restart is needed"
    )


def _known_hosts() -> str:
    """The file of host keys; empty where the caller's own ssh configuration holds."""
    return os.path.join(names.state_folder(names.GIT), "known_hosts") if names.mode() == "system" else ""


def _git_form(url: str) -> str:
    match = _HTTPS.match(url)
    return f"git@{match[1]}:{match[2]}.git" if match else "git@HOST:OWNER/NAME.git"


_OWN_FAULT = re.compile(
    r"^(?!remote:).*(corrupt|bad object|unable to read|inflate|bad sha1 file|bad signature|object file .* is empty|"
    r"missing (blob|tree|commit)|\.lock': File exists|not a git repository: '?/)",
    re.MULTILINE,
)

_NO_ANSWER = (
    r"Could not resolve host|name resolution|No route to host|Network is unreachable|[Tt]imed out|early EOF|"
    r"Connection (refused|reset|closed)|Failed to connect|Couldn't connect to server|hung up unexpectedly|"
    r"RPC failed|error: 5\d\d\b|kex_exchange_identification|Could not read from remote"
)
_REFUSALS: tuple[tuple[str, type[HeraldError], str], ...] = (
    (
        r"could not read (Username|Password)|terminal prompts disabled|Authentication failed|error: 40[13]\b",
        Failed,
        "{remote} asks for a login, and Herald has none for https; set {setting} to {git_form} and give it an ssh key",
    ),
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed",
        Failed,
        "the host key of {remote} is unknown or has changed; check it, then correct {known_hosts}",
    ),
    (
        r"Permission denied \(|Permission to .* denied|Too many authentication failures|marked as read only",
        Failed,
        "{remote} {key} ({said})",
    ),
    (
        r"cannot run ssh|ssh: not found",
        Failed,
        "ssh is not installed, which {remote} needs; `apt install openssh-client` provides it",
    ),
    (
        r"dubious ownership",
        Failed,
        "{remote} belongs to another user than the one herald-git runs as; change its owner (chown -R)",
    ),
    (
        r"transport '.*' not allowed|Unable to find remote helper|is not a valid remote name",
        Failed,
        "{remote} is not a remote that Herald uses: {setting} is an ssh or https URL or an absolute path",
    ),
    (
        r"does not appear to be a git repository|invalid gitfile format|[Rr]epository .*not found|error: 404\b",
        Failed,
        "{remote} is not a git repository, or the key may not see it; check {setting} of the project ({said})",
    ),
    (
        r"(?m)^(?!remote:).*No space left on device",
        Unavailable,
        "the disk of herald-git is full; free some space, the act is then tried again",
    ),
    (
        _NO_ANSWER,
        Unavailable,
        "{remote} does not answer ({said})",
    ),
)
"""Words of git and ssh, kind of error, what a person is told. The first that matches holds: precise ones first."""
