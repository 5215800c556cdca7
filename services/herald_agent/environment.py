"""The environment of the agent and of git: built from nothing, so that nothing of this service reaches them."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from herald import claudecode, names
from herald_agent import login
from herald_agent.workspace import Workspace

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_CLI_SETTINGS = {
    "CLAUDE_CODE_MAX_RETRIES": "4",  # the default of 10 takes three minutes to say that the API is away
    "API_TIMEOUT_MS": "120000",  # the default of 6 minutes, eleven times, is over an hour of silence
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",  # a run ends when the agent has answered
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",  # `@/path` in a message is text
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",  # the version is the installation's matter
}

_GIT_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "protocol.ext.allow": "never",
    "gc.auto": "0",
    "commit.gpgSign": "false",
    "submodule.recurse": "false",  # where submodules go is decided, one by one
}
"""What a repository's own configuration may not say to Herald's git calls."""

LARGE_FILES = {
    "filter.lfs.clean": "git-lfs clean -- %f",
    "filter.lfs.smudge": "git-lfs smudge --skip -- %f",
    "filter.lfs.process": "git-lfs filter-process --skip",
    "filter.lfs.required": "true",
}
"""How git-lfs works in a workspace: a commit takes pointers, a checkout writes pointers and asks no server."""

GIT = ("git", *(part for name, value in {**_GIT_SETTINGS, **LARGE_FILES}.items() for part in ("-c", f"{name}={value}")))

HERALDS_GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",  # the home is the agent's
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
"""Variables of Herald's own git calls where agents work; the agent's git goes without."""

_CREDENTIALS = {  # the first one found is used
    "anthropic_api_key": ("ANTHROPIC_API_KEY", "an API key"),
    "claude_oauth_token": ("CLAUDE_CODE_OAUTH_TOKEN", "a subscription token"),
}
_OWN_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")

_PASSED_ON = {
    *_CLI_SETTINGS,
    *(name for each in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for name in (each, each.lower())),
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
}
_OF_A_PROJECT = ("CLAUDE_CONFIG_DIR", "CLAUDE_CODE_TMPDIR")
"""What each project has of its own, whatever is set for all; the person who tries has theirs."""


class Environment(NamedTuple):
    """`agent` is for the agent, with the credential, `git` for Herald's own git calls, without it.

    `credential` says for people which credential is in use. `own_login` is whether the agent works with the home of
    the user (try mode).
    """

    agent: dict[str, str]
    git: dict[str, str]
    credential: str
    own_login: bool


def search_path() -> str:
    """Where programs are looked for."""
    return os.environ.get("PATH") or _PATH


def git_environment(workspace: Workspace) -> dict[str, str]:
    """For Herald's own git calls in a workspace."""
    system = {"GIT_CONFIG_NOSYSTEM": "1"} if workspace.own else {}
    home = {} if _own_home() else {"XDG_CONFIG_HOME": "/nonexistent"}  # where git looks for ignore and attributes
    return _shared_environment(workspace) | HERALDS_GIT | system | home


def _shared_environment(workspace: Workspace) -> dict[str, str]:
    """What git needs of an environment, whoever runs it."""
    project = workspace.project
    name = project.agent_name or f"Herald agent for {project.name}"
    identity = {"NAME": name, "EMAIL": f"{project.name}@herald.invalid"}
    return {
        "PATH": search_path(),
        "HOME": _own_home() or workspace.home,
        "LANG": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CEILING_DIRECTORIES": os.path.dirname(workspace.folder),
        **{f"GIT_{who}_{key}": value for who in ("AUTHOR", "COMMITTER") for key, value in identity.items()},
    }


def build(workspace: Workspace, temporary: str) -> Environment:
    """For a run of the agent; `temporary` is the folder for its temporary files."""
    variables = {**_shared_environment(workspace), **_CLI_SETTINGS, "TMPDIR": temporary}
    if not workspace.own:  # an own one has them in its configuration
        variables |= _settings_of_git(LARGE_FILES)
        variables["GIT_NO_REPLACE_OBJECTS"] = "1"  # else what it commits is built on another tree than the base's
    own_login = bool(_own_home())
    if not own_login:
        variables["CLAUDE_CONFIG_DIR"] = os.path.join(variables["HOME"], ".claude")
    credential = add_credential(variables)
    if not credential and not own_login:
        login.lend(workspace.name)
    return Environment(variables, git_environment(workspace), credential or _login(variables), own_login)


def _settings_of_git(settings: Mapping[str, str]) -> dict[str, str]:
    """Variables by which git and its children take settings, whatever the configuration of a clone says."""
    numbered = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        numbered |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return numbered


def add_credential(variables: dict[str, str]) -> str:
    """Put what is set for the agent, and a credential, into `variables`; returns which credential, empty if none."""
    passed = {name: value for name, value in os.environ.items() if _is_passed_on(name)}
    given = next((name for name in _OWN_CREDENTIALS if passed.get(name)), "")
    credential = f"{given} of the environment" if given else _from_credentials_folder(variables)
    variables |= passed
    return credential


def _is_passed_on(name: str) -> bool:
    if name in _OF_A_PROJECT and names.mode() != "try":
        return False
    return name.startswith(("ANTHROPIC_", "CLAUDE_")) or name in _PASSED_ON


def _from_credentials_folder(variables: dict[str, str]) -> str:
    """Put the service's credential into `variables`; returns what it is, empty if there is none."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if not credentials:
        return ""
    for file_name, (variable, kind) in _CREDENTIALS.items():
        try:
            with open(os.path.join(credentials, file_name), encoding="utf-8") as file:
                value = file.read().strip()
        except FileNotFoundError:
            continue
        if value:
            variables[variable] = value
            return f"{kind} (credential {file_name})"
    return ""


def _login(variables: dict[str, str]) -> str:
    config = variables.get("CLAUDE_CONFIG_DIR") or os.path.join(variables["HOME"], ".claude")
    found = os.path.exists(os.path.join(config, claudecode.CREDENTIALS))
    return f"the login of Claude Code in {config}" if found else f"none was found (looked for a login in {config})"


def _own_home() -> str:
    return os.environ.get("HERALD_AGENT_HOME", "") if names.mode() == "try" else ""
