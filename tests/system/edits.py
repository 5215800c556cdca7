"""Edits of /etc/herald inside a machine, as the editors of administrators make them, and when they are in force."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.system.bus import Bus
from tests.system.machine import Machine

PYTHON = "/opt/herald/venv/bin/python"
FOLDER = "/etc/herald/projects"
EDITORS = ("rename", "sed", "vim", "overwrite")

SCRIPT = r"""
import json, os, re, subprocess, sys, time
from herald.bus import blocking
from herald.errors import Unavailable

plan = json.loads(sys.stdin.readline())
path = plan["path"]


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    os.chown(path, 0, os.stat(os.path.dirname(path)).st_gid)


def rename(text, name):
    write(path + ".new", text)
    os.rename(path + ".new", path)


def vim(text, name):
    folder = os.path.dirname(path)
    write(folder + "/4913", "")
    os.unlink(folder + "/4913")
    write(folder + "/.x.yaml.swp", "swap")
    os.rename(path, path + "~")
    write(path, text)
    os.unlink(path + "~")
    os.unlink(folder + "/.x.yaml.swp")


def sed(text, name):
    subprocess.run(["sed", "-i", f"s/^display_name: .*/display_name: {name}/", path], check=True)


def overwrite(text, name):
    write(path, text)


def shown():
    try:
        return [each["display_name"] for each in blocking.call("worker", "ListProjects")["projects"]]
    except Unavailable:
        return []


template = open(path).read()
for editor, name, pause in plan["edits"]:
    {"rename": rename, "vim": vim, "sed": sed, "overwrite": overwrite, "nobody": lambda *_: None}[editor](
        re.sub("(?m)^display_name: .*", f"display_name: {name}", template), name
    )
    time.sleep(pause)
ended = time.monotonic() - pause
print("edited", flush=True)
until = ended + 60
while name not in shown():
    if time.monotonic() > until:
        sys.exit(f"not in force after a minute: {name}")
    time.sleep(0.02)
took = time.monotonic() - ended
begun = time.monotonic()
blocking.call("config", "Check", deadline=60)
print(json.dumps([took, time.monotonic() - begun]))
"""


class Edit(NamedTuple):
    """The display name of the project becomes this; what is no YAML breaks the file."""

    editor: str
    name: str
    pause: float = 0.0


BROKEN = "[broken"
_ALLOWED = 2.0


def in_force(machine: Machine, name: str, edits: Sequence[Edit]) -> float:
    """Edit the file of a project; returns the seconds from the last edit until it is in force, which nobody asks for.

    It may take two seconds, and as much longer as this machine is slow just now.
    """
    plan = json.dumps({"path": f"{FOLDER}/{name}.yaml", "edits": [list(each) for each in edits]})
    out = machine.run(PYTHON, "-c", SCRIPT, stdin=plan + "\n", timeout=180).stdout
    took, compiling = json.loads(out.splitlines()[-1])
    print(f"{machine.system.name}: in force after {took:.2f} s, a check takes {compiling:.2f} s")
    assert took < _ALLOWED + 5 * compiling
    return float(took)


@contextlib.contextmanager
def many_projects(machine: Machine, number: int) -> Iterator[None]:
    """So many further projects, which make a compile take its time."""
    text = "path: /srv/herald/repos/many-$n\\ngit: {remote: /srv/many.git}\\n"
    bus = Bus(machine)
    machine.sh(f'cd {FOLDER}; for n in $(seq {number}); do printf "name: many-$n\\n{text}" >many-$n.yaml; done')
    machine.wait_for(lambda: len(bus.projects()) > number, "all projects are in force")
    try:
        yield
    finally:
        machine.sh(f"rm {FOLDER}/many-*.yaml")
        machine.wait_for(lambda: len(bus.projects()) < number, "they are gone")
