"""On a server: whose files compose files and changed project files are, and who may change a project."""

import json
import os
import sys
from typing import Any

import pytest

from tests.config.server import Server, machine, server
from tests.support.users import ADA, AGENT, ROOT_USER, User

__all__ = ["machine", "server"]

CONFIG = User(9005, (9100,))
HERALD = 9100
_COMPOSE = "/srv/herald/deployments/demo/compose.yaml"


@pytest.fixture
def compose(server: Server) -> Server:
    """A project that is as it should be, with a compose file of root's."""
    file = server.machine.srv / "herald" / "deployments" / "demo" / "compose.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("services: {}\n")
    remote = "git: {remote: 'git@example.org:o/r.git'}\n"
    server.project(server.clone(), remote + f"deploy: {{compose_path: {_COMPOSE}}}\n")
    return server


def problems(server: Server, user: User = ROOT_USER) -> list[Any]:
    done = server.machine.python(user, "herald_config", "--check", "--json")
    found: list[Any] = json.loads(done.stdout)["problems"]
    return found


def test_a_compose_file_of_roots_is_told_nothing_of(compose: Server) -> None:
    assert compose.notices() == []
    assert compose.notices(ADA) == []


@pytest.mark.parametrize(
    ("place", "how"),
    [("compose.yaml", "owner"), ("compose.yaml", "group"), ("", "others"), ("", "owner"), ("..", "group")],
)
def test_a_compose_file_that_agents_can_write_or_replace_is_an_error(compose: Server, place: str, how: str) -> None:
    path = compose.machine.srv / "herald" / "deployments" / "demo" / place
    if how == "owner":
        os.chown(path, AGENT.uid, 0)
    else:
        os.chown(path, 0, AGENT.uid if how == "group" else 0)
        path.chmod(0o775 if how == "group" else 0o757)

    (problem,) = problems(compose)

    assert (problem["field"], problem["line"]) == ("deploy.compose_path", 4)
    assert "can be written by the agents' user" in problem["message"]
    assert "close it, or move it" in problem["message"]


def test_a_compose_file_that_a_deploy_will_refuse_is_a_notice(compose: Server) -> None:
    path = compose.machine.srv / "herald" / "deployments" / "demo" / "compose.yaml"
    os.chown(path, ADA.uid, 0)
    (told,) = compose.notices()

    assert problems(compose) == []
    assert f"{_COMPOSE} can be written by somebody else than root; deploys refuse it: `chown root: " in told


def test_in_a_sticky_folder_nobody_replaces_what_is_roots(compose: Server) -> None:
    (compose.machine.srv / "herald" / "deployments").chmod(0o1777)

    assert problems(compose) == []


def test_a_compose_file_that_leads_elsewhere_is_judged_where_it_leads(compose: Server) -> None:
    path = compose.machine.srv / "herald" / "deployments" / "demo" / "compose.yaml"
    path.unlink()
    path.symlink_to("/srv/elsewhere/compose.yaml")
    folder = compose.machine.srv / "elsewhere"
    folder.mkdir()
    os.chown(folder, AGENT.uid, 0)

    (problem,) = problems(compose)

    assert "/srv/elsewhere can be written by the agents' user" in problem["message"]


def test_a_compose_file_that_cannot_be_seen_is_a_notice(compose: Server) -> None:
    folder = compose.machine.srv / "herald" / "deployments" / "demo"
    folder.chmod(0o700)
    (unseen,) = compose.notices(ADA)
    (folder / "compose.yaml").unlink()
    (missing,) = compose.notices()
    compose.project("/srv/herald/repos/demo", "git: {remote: /srv}\ndeploy: {compose_path: /home/ada/compose.yaml}\n")
    hidden = compose.notices()

    assert "deploy.compose_path: " in unseen
    assert "cannot be looked at by herald-config; see that the agents' user cannot write it" in unseen
    assert f"{_COMPOSE} does not exist" in missing
    assert any("/home/ada/compose.yaml lies where units see nothing" in each for each in hidden)


def test_a_clone_that_is_not_there_yet_is_nothing_to_tell_of_a_project_that_is_not_enabled(server: Server) -> None:
    server.project("/srv/herald/repos/new", "git: {remote: /srv}\nenabled: false\n")

    assert not any("does not exist" in each for each in server.notices())


def test_another_folder_for_clones_must_be_the_agents_and_open_to_them(compose: Server) -> None:
    (compose.etc / "herald.yaml").write_text("projects_root: /srv/clones\n")

    missing, closed = compose.notices()

    assert "herald.yaml: projects_root: /srv/clones does not exist" in missing
    assert "`sudo mkdir -p /srv/clones && sudo chown herald-agent: /srv/clones`" in missing
    assert "/srv/clones is closed to the agent's unit" in closed
    (compose.machine.srv / "clones").mkdir()
    (owner, _) = compose.notices()
    assert "belongs to root, no clone can be made there: `sudo chown herald-agent: /srv/clones`" in owner
    (compose.etc / "herald.yaml").write_text("projects_root: /srv/herald/repos\n")
    os.chown(compose.repos, AGENT.uid, HERALD)
    assert compose.notices() == []


@pytest.mark.parametrize(("mode", "owner"), [(0o640, 0), (0o664, ADA.uid)])
def test_a_changed_file_is_of_the_user_and_group_of_the_folder_and_keeps_its_mode(
    server: Server, mode: int, owner: int
) -> None:
    server.project(server.clone())
    projects = server.etc / "projects"
    os.chown(projects, CONFIG.uid, HERALD)
    projects.chmod(0o2750)
    os.chown(projects / "demo.yaml", owner, HERALD)
    (projects / "demo.yaml").chmod(mode)
    state = server.machine.srv / "state" / "config"
    state.mkdir()
    os.chown(state, CONFIG.uid, HERALD)
    code = "import os; os.umask(0o027); from herald_config import changing\n"
    code += "changing.change('demo', [('enabled', 'false')])\n"
    code += "changing.add('new', [('path', '\"/srv/herald/repos/new\"')])"

    done = server.machine.run(CONFIG, sys.executable, "-c", code)

    assert done.returncode == 0, done.stderr
    changed, new = (projects / "demo.yaml").stat(), (projects / "new.yaml").stat()
    assert (changed.st_uid, changed.st_gid, changed.st_mode & 0o777) == (CONFIG.uid, HERALD, mode)
    assert (new.st_uid, new.st_gid, new.st_mode & 0o777) == (CONFIG.uid, HERALD, 0o640)


_ASK = """
import json, os, runpy, socket, sys
ours, theirs = socket.socketpair()
_, method, name, key, value = sys.argv
if os.fork() == 0:
    os.dup2(theirs.fileno(), 0)
    ours.close(), theirs.close()
    del sys.argv[1:]
    runpy.run_module("herald_config", run_name="__main__")
theirs.close()
parameters = {"name": name, "settings": [{"key": key, "value": value}]}
ours.sendall(json.dumps({"method": "io.herald.Config." + method, "parameters": parameters}).encode() + bytes(1))
reply = json.loads(ours.makefile("rb").read().rstrip(bytes(1)))
print(reply.get("error", "").rpartition(".")[2] or reply["parameters"]["applied"])
os.wait()
"""


@pytest.mark.parametrize(
    ("operators", "add", "change"),
    [
        ("", "True", "True"),
        ("- {unix_user: ada, role: reader}", "Denied", "Denied"),
        ("- {unix_user: ada, role: operator}", "Denied", "Denied"),
        ("- {unix_user: ada, role: approver}", "True", "True"),
        ("- {unix_user: ada, role: approver, projects: [demo]}", "Denied", "True"),
    ],
)
def test_only_approvers_among_people_change_what_holds_for_a_project(
    server: Server, operators: str, add: str, change: str
) -> None:
    server.project(server.clone())
    (server.etc / "herald.yaml").write_text(f"operators:\n{operators}\n")
    assert server.machine.python(ROOT_USER, "herald_config", "--reload").returncode == 0
    for path in (server.etc / "projects", *(server.machine.srv / "state" / "config").glob("**")):
        os.chown(path, ADA.uid, HERALD)
    for file in (server.machine.srv / "state" / "config").iterdir():
        os.chown(file, ADA.uid, HERALD)

    def ask(*arguments: str) -> str:
        done = server.machine.run(ADA, sys.executable, "-c", _ASK, *arguments)
        return done.stdout.strip() or done.stderr

    assert ask("SetProject", "demo", "enabled", "false") == change
    assert ask("AddProject", "new", "path", '"/srv/herald/repos/new"') == add
    assert (server.etc / "projects" / "new.yaml").exists() == (add == "True")


def test_a_clone_that_the_unit_does_not_see_makes_a_project_that_cannot_be_pushed(server: Server) -> None:
    folder = server.repos / "demo"
    server.project(server.clone())
    with (folder / ".git" / "config").open("a") as file:
        file.write('[remote "origin"]\n\tpushurl = DISABLED\n')
    folder.chmod(0o700)

    told = server.notices(CONFIG)

    assert any("could not be read, so where it pushes to is not known; set git.push_url in" in each for each in told)
