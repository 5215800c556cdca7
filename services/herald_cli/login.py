"""agent-login: the Claude CLI's own login, as the agent's user. One login serves all projects."""

import os
import pwd
import signal
import subprocess
import sys
from argparse import Namespace
from typing import NamedTuple

from herald import claudecode, names
from herald.bus.blocking import call
from herald.errors import Denied, Failed, HeraldError, NotFound
from herald_cli import agent_unit
from herald_cli.output import print_note

_CHECK_DEADLINE = 30.0
_TOLD_BEFORE_LOGIN = {"anthropic_api_key": "an API key", "claude_oauth_token": "a subscription token"}
_LOOKS = "Herald looks for a login by itself within five minutes"


class _Agent(NamedTuple):
    """Who logs in, and where the login is kept. Without ids it is oneself."""

    name: str
    folder: str
    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] | None = None


def agent_login(arguments: Namespace) -> int:
    """`heraldctl agent-login`: log in, show the state, have the worker look again."""
    agent = _agent(" ".join(sys.argv[1:]))
    unit = agent_unit.environment()
    command = agent_unit.claude(unit)
    environment = _environment(agent, unit)
    _make_folder(agent)
    if not arguments.status:
        act = ["logout"] if arguments.logout else ["login", *(["--console"] if arguments.console else [])]
        code = _run(agent, [command, "auth", *act], environment)
        if code:
            raise Failed(f"`claude auth {act[0]}` ended with {code}; what was there before is still there")
    code = _run(agent, [command, "auth", "status", "--text"], environment)
    _tell_what_is_used_instead()
    if not arguments.status:
        _look_again()
    return 0 if arguments.logout else code


def _agent(command_line: str) -> _Agent:
    """Raises Denied without the right to become the agent's user, NotFound where there is none."""
    folder = claudecode.login_folder()
    if names.mode() != "system":
        return _Agent(pwd.getpwuid(os.getuid()).pw_name, folder)
    if os.geteuid() != 0:
        raise Denied(
            f"the login is kept by the agent's own user, so that this needs root: `sudo heraldctl {command_line}`"
        )
    try:
        user = pwd.getpwnam(f"herald-{names.AGENT}")
    except KeyError as error:
        raise NotFound(f"there is no user herald-{names.AGENT}; install Herald first: `./install.sh`") from error
    groups = tuple(os.getgrouplist(user.pw_name, user.pw_gid))
    return _Agent(user.pw_name, folder, user.pw_uid, user.pw_gid, groups)


def _environment(agent: _Agent, unit: dict[str, str]) -> dict[str, str]:
    """Nothing of the caller's but the terminal; of the unit what the agent gets too, proxies above all."""
    terminal = {name: os.environ[name] for name in ("TERM", "COLORTERM", "LANG", "LC_ALL") if name in os.environ}
    return {
        **terminal,
        **unit,
        "PATH": agent_unit.path(unit),
        **claudecode.login_environment(),
        "USER": agent.name,
        "LOGNAME": agent.name,
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


def _make_folder(agent: _Agent) -> None:
    """As the agent's user: what is below its folder is in its hands, and root must not be led astray there."""
    if _run(agent, ["/bin/mkdir", "-p", "-m", "0700", agent.folder], {"LC_ALL": "C"}):
        raise Failed(f"{agent.folder} cannot be made; `./install.sh` makes the folders of Herald anew")


def _run(agent: _Agent, command: list[str], environment: dict[str, str]) -> int:
    """Run it as the agent's user on this terminal, but in a session of its own: so it cannot type into the caller's."""
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            umask=0o077,
            user=agent.user,
            group=agent.group,
            extra_groups=agent.groups,
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"{command[0]} cannot be started as {agent.name}: {error.strerror}") from error
    with process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGTERM)
            raise


def _tell_what_is_used_instead() -> None:
    for name, kind in _TOLD_BEFORE_LOGIN.items():
        try:
            with open(names.credential_path(name), "rb") as file:
                blank = not file.read().strip()
        except OSError:
            continue
        if not blank:
            print_note(f"{names.credential_path(name)} is there: agents work with {kind}, not with a login")
            return


def _look_again() -> None:
    """Have the worker ask the agent's unit, and show what is still missing."""
    if names.mode() == "try":
        return
    try:
        readiness = call("worker", "CheckAgent", deadline=_CHECK_DEADLINE)
    except HeraldError as error:
        print_note(f"heraldctl: {error.message}; {_LOOKS}")
        return
    if readiness["credential"]:
        print(f"agents work with {readiness['credential']}")
    for line in readiness["missing"]:
        print_note(f"missing: {line}")
