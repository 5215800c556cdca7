"""What a project needs on a server besides its files: told with file, field and the command, and never in the way."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from herald.interfaces.config import Compiled
from tests.config.installation import git
from tests.config.server import Server, machine, server
from tests.support.users import ADA, AGENT, EVE, GIT, ROOT_USER, WORKER, User

__all__ = ["machine", "server"]


def command_of(notice: str) -> str:
    """What it says between backquotes."""
    return notice.split("`")[1]


def test_a_project_that_has_all_it_needs_is_told_nothing(server: Server) -> None:
    server.project(server.clone())

    assert server.notices() == []
    assert server.notices(ADA) == []


def test_a_clone_of_somebody_else_is_told_with_the_command(server: Server) -> None:
    server.project(server.clone(owner=EVE.uid))

    (notice,) = server.notices()

    assert notice == (
        "/srv/etc/projects/demo.yaml: path: /srv/herald/repos/demo belongs to eve: "
        "`sudo chown -R herald-agent: /srv/herald/repos/demo`"
    )


def test_a_missing_clone_is_told_with_the_command(server: Server) -> None:
    server.project("/srv/herald/repos/a b")

    (notice,) = server.notices()

    assert command_of(notice) == (
        "sudo git clone git@example.org:o/r.git '/srv/herald/repos/a b' && "
        "sudo chown -R herald-agent: '/srv/herald/repos/a b'"
    )


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("/data/clones/demo", ["ReadWritePaths=-/data/clones/demo"]),
        ("/home/a/b c", ["ProtectHome=tmpfs", 'BindPaths=-"/home/a/b c"', 'ReadWritePaths=-"/home/a/b c"']),
        ("/run/user/9/1%", ["ProtectHome=tmpfs", "BindPaths=-/run/user/9/1%%", "ReadWritePaths=-/run/user/9/1%%"]),
        ("/var/tmp/demo", ["BindPaths=-/var/tmp/demo", "ReadWritePaths=-/var/tmp/demo"]),
    ],
)  # fmt: skip
def test_a_path_outside_is_told_with_a_command_after_which_it_is_told_no_more(
    server: Server, path: str, lines: list[str]
) -> None:
    server.project(path)
    (notice,) = [each for each in server.notices() if "is closed to the agent's unit" in each]
    assert notice.startswith("/srv/etc/projects/demo.yaml: path: ")
    command = command_of(notice)
    assert command.endswith(" && sudo systemctl daemon-reload")
    script = command.removesuffix(" && sudo systemctl daemon-reload").replace("sudo ", "")
    for _ in range(2):
        assert server.machine.run(ROOT_USER, "sh", "-c", script).returncode == 0
    written = (server.drop_ins / "herald-agent@.service.d" / "workspaces.conf").read_text()

    assert written.splitlines() == ["[Service]", *lines] * 2
    assert [each for each in server.notices() if "is closed" in each] == []


@pytest.mark.parametrize(
    ("text", "open_"),
    [
        ("[Service]\nReadWritePaths=/somewhere -/data\n", True),
        ("[Service]\nReadWritePaths=/somewhere \\\n  /data/demo/\n", True),
        ("[Service]\nProtectHome=tmpfs\nBindPaths=/mnt/x:/data/demo:rbind\n", True),
        ("[Service]\nReadWritePaths=/data/demo2 /dat\n", False),
        ("[Service]\n#ReadWritePaths=/data\nReadWritePaths='/data\n", False),
    ],
)
def test_drop_ins_are_understood_whatever_their_file_is_named(server: Server, text: str, open_: bool) -> None:
    folder = server.drop_ins / "herald-agent@.service.d"
    folder.mkdir()
    (folder / "90-mine.conf").write_text(text)
    server.project("/data/demo")

    assert bool([each for each in server.notices() if "is closed" in each]) != open_


def test_a_remote_that_is_a_folder_must_belong_to_the_unit_that_pushes_and_be_open_to_it(server: Server) -> None:
    remote = server.machine.srv / "git" / "demo.git"
    git("init", "--quiet", "--bare", str(remote))
    server.project(server.clone(), "git: {remote: /srv/git/demo.git}\n")

    owner, place = server.notices()

    assert "git.remote: /srv/git/demo.git belongs to root: `sudo chown -R herald-git: /srv/git/demo.git`" in owner
    assert "git.remote: /srv/git/demo.git is closed to the unit that pushes" in place
    assert "/etc/systemd/system/herald-git@.service.d/remotes.conf" in command_of(place)
    os.chown(remote, GIT.uid, GIT.uid)
    (server.drop_ins / "herald-git@.service.d").mkdir()
    (server.drop_ins / "herald-git@.service.d" / "any.conf").write_text("[Service]\nReadWritePaths=/srv/git\n")
    assert server.notices() == []


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_missing_or_blank_key_is_told_where_a_remote_needs_it(server: Server, text: str | None) -> None:
    key = server.etc / "credentials" / "git_ssh_key"
    key.unlink() if text is None else key.write_text(text)
    server.project(server.clone())

    (notice,) = server.notices()
    seen_by_a_member = server.notices(ADA)

    assert "git_ssh_key: is missing or blank, and git@example.org:o/r.git asks for a key" in notice
    assert "sudo install -m 0600 KEY /srv/etc/credentials/git_ssh_key" in notice
    assert seen_by_a_member == ([] if text == "\n" else [notice])  # who may not read it does not judge it
    server.project("/srv/herald/repos/demo", "git: {remote: 'https://example.org/o/r.git'}\n")
    assert server.notices() == []


def test_without_any_credential_for_the_agent_only_who_can_see_that_says_so(server: Server) -> None:
    (server.etc / "credentials" / "anthropic_api_key").unlink()
    (server.machine.srv / "state" / "agent").chmod(0o700)
    server.project(server.clone())

    (notice,) = server.notices()

    assert "neither anthropic_api_key nor claude_oauth_token nor a login" in notice
    assert "`heraldctl agent-login`" in notice
    assert server.notices(ADA) == []  # there may be a login, which she cannot see
    (server.drop_ins / "herald-agent@.service.d").mkdir()
    (server.drop_ins / "herald-agent@.service.d" / "key.conf").write_text(
        "[Service]\nEnvironment=ANTHROPIC_API_KEY=x\n"
    )
    assert server.notices() == []
    (server.drop_ins / "herald-agent@.service.d" / "key.conf").unlink()
    login = server.machine.srv / "state" / "agent" / "login"
    login.mkdir()
    (login / ".credentials.json").touch()
    assert server.notices() == []


def test_a_credential_that_others_can_read_is_told_with_the_command(server: Server) -> None:
    server.credential("discord_token", "x", 0o644)
    key = server.credential("git_ssh_key", "x")
    os.chown(key, ADA.uid, 0)
    server.project(server.clone())

    token, key_notice = server.notices()

    file = "/srv/etc/credentials/discord_token"
    assert token.startswith(f"{file}: belongs to uid 0 with mode 0644")
    assert command_of(token) == f"sudo chown root: {file} && sudo chmod 0600 {file}"
    assert key_notice.startswith("/srv/etc/credentials/git_ssh_key: belongs to uid 9010 with mode 0600")


_ASK = """
import json, os, runpy, socket
ours, theirs = socket.socketpair()
if os.fork() == 0:
    os.dup2(theirs.fileno(), 0)
    ours.close(), theirs.close()
    runpy.run_module("herald_config", run_name="__main__")
theirs.close()
ours.sendall(json.dumps({"method": "io.herald.Config.Check", "parameters": {}}).encode() + bytes(1))
print(json.loads(ours.makefile("rb").read().rstrip(bytes(1))).get("error", "answered"))
os.wait()
"""


@pytest.mark.parametrize(
    ("user", "answer"),
    [
        (ADA, "answered"),
        (User(WORKER.uid), "answered"),
        (User(AGENT.uid, (9100,)), "org.varlink.service.PermissionDenied"),  # put into the group by mistake
        (User(GIT.uid, (9100,)), "org.varlink.service.PermissionDenied"),
        (EVE, "org.varlink.service.PermissionDenied"),
    ],
)
def test_a_unit_for_one_connection_knows_its_callers_by_the_table(server: Server, user: User, answer: str) -> None:
    done = server.machine.run(user, sys.executable, "-c", _ASK)

    assert done.stdout.strip() == answer, done.stderr


def test_what_is_missing_keeps_nothing_from_being_in_force(server: Server) -> None:
    (server.etc / "credentials" / "git_ssh_key").unlink()
    server.project("/data/demo")

    done = server.machine.python(ROOT_USER, "herald_config", "--reload", "--json")
    compiled: Compiled = json.loads(done.stdout)

    assert (compiled["applied"], compiled["problems"]) == (True, [])
    assert len(compiled["notices"]) == 3


def test_in_user_mode_the_users_own_places_are_meant(server: Server) -> None:
    home = server.machine.srv / "home"
    home.mkdir()
    server.project("/srv/home/other/demo")
    environment = {"HERALD_MODE": "user", "HOME": "/srv/home"}

    (closed,) = [each for each in server.notices(ROOT_USER, **environment) if "is closed" in each]

    assert "/srv/home/.config/systemd/user/herald-agent@.service.d/workspaces.conf" in closed
    assert closed.endswith("&& systemctl --user daemon-reload`")
    assert "sudo" not in closed
    server.project("/srv/home/herald/demo")
    assert [each for each in server.notices(ROOT_USER, **environment) if "is closed" in each] == []


def test_the_printed_drop_in_is_one_that_systemd_reads(server: Server) -> None:
    analyze = subprocess.run(["sh", "-c", "command -v systemd-analyze"], capture_output=True, text=True, check=False)
    if analyze.returncode:
        pytest.skip("systemd-analyze is not here")
    server.project('/home/ada/it\'s "my" 100% demo')
    (notice,) = [each for each in server.notices() if "is closed" in each]
    words = shlex.split(notice.split("`", 1)[1].rsplit("`", 1)[0])
    unit = server.machine.folder / "x.service"
    unit.write_text("\n".join(word for word in words if "=" in word or word == "[Service]") + "\nExecStart=/bin/true\n")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)

    assert "x.service:" not in done.stderr
