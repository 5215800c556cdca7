"""The deploy unit as it is installed: what it may use, what it may not, and that one deployment is one.

There is no container engine in these machines: a program named docker tells what it could do, and a socket listens
where the engine's would be.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system import layers
from tests.system.bus import Bus
from tests.system.forge import Remote, configure
from tests.system.machine import Machine

_SOCKET = "/var/run/docker.sock"
_FILE = "/srv/herald/deployments/demo/compose.yaml"
_LISTENING = """
import os, signal, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind("/run/docker.sock")
os.chmod("/run/docker.sock", 0o660)
listening.listen(64)
print("ready", flush=True)
sys.stdin.read()
os.unlink("/run/docker.sock")
"""
_DOCKER = r"""#!/usr/bin/python3
import json, os, socket, sys, time

def tried(act):
    try:
        act()
    except OSError as error:
        return error.strerror
    return "done"

def inet():
    with socket.socket() as client:
        client.connect(("127.0.0.1", FORGE))

def engine():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))

found = {"argv": sys.argv[1:], "files": sorted(os.listdir(os.environ["HERALD_TREE"])), "uid": os.getuid()}
found |= {"engine": tried(engine), "network": tried(inet)}
for path in ("/srv/herald/repos", "/srv/herald/repos/demo", "/var/lib/herald/agent", "/etc/herald", "/run/herald"):
    found[path] = tried(lambda: os.listdir(path))
found["write"] = tried(lambda: open("/srv/herald/deployments/demo/made", "w"))
print(json.dumps(found), flush=True)
while os.path.exists("/etc/docker-waits"):
    time.sleep(0.05)
sys.exit(0 if found["engine"] == "done" else 1)
"""


@pytest.fixture(scope="module", autouse=True)
def engine(machine: Machine, remote: Remote) -> Iterator[None]:
    """A compose file on the default branch, a program `docker`, a socket of group `docker`."""
    remote.sh(
        'seed=$(mktemp -d); git clone --quiet . "$seed"; cd "$seed"; echo "services: {}" >compose.yaml; git add --all;'
        "git -c user.name=Ada -c user.email=ada@example.org commit --quiet -m Compose;"
        'git push --quiet origin HEAD:main; rm -rf "$seed"'
    )
    port = remote.url.partition("@127.0.0.1:")[2].partition("/")[0]
    machine.write("/usr/local/bin/docker", _DOCKER.replace("FORGE", port), mode=0o755)
    machine.run("groupadd", "--system", "docker")
    machine.run("groupadd", "--system", "engines")
    machine.run("mkdir", "-p", _FILE.rpartition("/")[0])
    with machine.popen("python3", "-c", _LISTENING, stdin=-1, stdout=-1) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == "ready\n"
        machine.run("chgrp", "engines", _SOCKET)
        yield
        assert listening.stdin is not None
        listening.stdin.close()


def _deploy(bus: Bus) -> dict[str, Any]:
    """Deploy; returns the post about its end."""
    since = (bus.events() or [{"id": 0}])[-1]["id"]
    bus.call("worker", "Deploy", key=uuid.uuid4().hex, project="demo")
    return _ended(bus, since)


def _ended(bus: Bus, since: int) -> dict[str, Any]:
    ends = {f"deployment.{state}" for state in ("deployed", "failed", "nothing", "unknown")}
    bus._machine.wait_for(lambda: [e for e in bus.events(since) if e["kind"] in ends], "the deployment ends")
    bus.idle()
    return [post for post in bus.posts() if post["key"].endswith("-ended")][-1]


def _told(post: dict[str, Any]) -> dict[str, Any]:
    """What the program docker has found."""
    found: dict[str, Any] = json.loads(post["text"].split("```")[1])
    return found


def test_without_the_group_of_the_socket_it_is_told_which_command_gives_it(machine: Machine, bus: Bus) -> None:
    post = _deploy(bus)

    command = f'sudo usermod -aG "$(stat -L -c %G {_SOCKET})" herald-deploy'
    assert f"herald-deploy may not use {_SOCKET}: `{command}` lets it." in post["text"]
    assert _told(post)["engine"] == "Permission denied"
    machine.sh(command.removeprefix("sudo "))
    assert _deploy(bus)["text"].startswith("Deployed — demo at ")


def test_the_installation_lets_it_use_the_socket(machine: Machine, bus: Bus) -> None:
    machine.sh(f"chgrp docker {_SOCKET}; gpasswd --delete herald-deploy engines")
    assert _deploy(bus)["text"].startswith("Not deployed")

    said = layers.install(machine).stdout

    assert "herald-deploy joins group docker, to use the container socket for !deploy" in said
    assert _deploy(bus)["text"].startswith("Deployed — demo at ")
    assert "joins group" not in layers.install(machine).stdout


def test_it_reaches_the_container_socket_and_nothing_else(machine: Machine, bus: Bus) -> None:
    found = _told(_deploy(bus))

    assert found["uid"] == int(machine.sh("id -u herald-deploy"))
    assert found["files"] == ["README.md", "compose.yaml"]
    assert found["argv"][:3] == ["compose", "--project-name", "demo"]
    assert found["argv"][-3:] == ["up", "--build", "-d"]
    assert found["engine"] == "done"
    assert found["network"] == "Address family not supported by protocol"
    closed = ("/srv/herald/repos", "/var/lib/herald/agent", "/etc/herald", "/run/herald")
    assert {found[path] for path in closed} == {"Permission denied"}
    assert found["/srv/herald/repos/demo"] in ("Permission denied", "No such file or directory")
    assert found["write"] in ("Read-only file system", "Permission denied")


def test_a_compose_file_of_the_operators_is_used_unless_somebody_else_can_write_it(machine: Machine, bus: Bus) -> None:
    machine.write(_FILE, "services: {web: {build: '${HERALD_TREE}'}}\n")
    clone = "/srv/herald/repos/demo"
    configure(machine, "demo", path=clone, deploy={"compose_path": _FILE})
    machine.run("heraldctl", "reload")
    try:
        assert _FILE in _told(_deploy(bus))["argv"]
        machine.run("useradd", "--create-home", "eve")
        machine.run("chown", "eve", _FILE)
        text = _deploy(bus)["text"]
        assert (
            f"somebody else can write {_FILE}, and with it decide what is started: `sudo chown root: {_FILE} &&" in text
        )
        machine.run("chown", "root", _FILE)
        assert _deploy(bus)["text"].startswith("Deployed")
    finally:
        configure(machine, "demo", path=clone)
        machine.run("heraldctl", "reload")


def test_it_outlives_the_worker_and_its_own_death_is_told(machine: Machine, bus: Bus) -> None:
    for killed in ("worker", "deploy"):
        machine.write("/etc/docker-waits", "")
        since = bus.events()[-1]["id"]
        bus.call("worker", "Deploy", key=killed, project="demo")
        [unit] = machine.wait_for(lambda: machine.units("herald-deploy@*"), "the deploy unit runs")
        machine.wait_for(lambda unit=unit: len(machine.pids(unit)) > 1, "docker runs")  # type: ignore[misc]
        machine.kill(machine.main_pid("herald-worker.service" if killed == "worker" else unit))
        if killed == "worker":
            machine.wait_for_unit("herald-worker.service")
            assert machine.units("herald-deploy@*")
        machine.run("rm", "/etc/docker-waits")
        text = _ended(bus, since)["text"]
        machine.wait_for(lambda: not machine.units("herald-deploy@*"), "no deploy unit is left")

        assert text.startswith("Deployed" if killed == "worker" else "It is not known how the deployment of demo at ")
    machine.wait_for(
        lambda: [p for p in bus.posts() if p["key"].startswith("alert:") and "herald-deploy@" in p["text"]],
        "the crash of the unit is told",
    )
    assert machine.systemctl("list-units", "--failed", "--no-legend") == ""
