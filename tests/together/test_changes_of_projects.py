"""What herald-config writes itself, in a whole Herald: in force at once, also after a kill and after an upgrade."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from herald import snapshot
from tests.support.herald import Site
from tests.support.processes import wait_for
from tests.support.snapshots import in_format_1

_KILLED = """
import os, sys
from herald_config import changing, compiler
compiler.put_in_force = lambda: os.kill(os.getpid(), 9)
changing.change("sample", [("display_name", '"killed"')])
"""


def in_force(site: Site) -> snapshot.Snapshot:
    return snapshot.read(str(site.state / "config" / "snapshot.json"))


def test_a_change_is_in_force_when_it_is_answered(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        settings = [{"key": "display_name", "value": json.dumps("by the bus")}]

        reply = herald.call("config", "SetProject", name="sample", settings=settings)

        assert reply["applied"]
        assert in_force(site).projects["sample"].display_name == "by the bus"
        wait_for(lambda: herald.status()["config_generation"] == reply["generation"], "the worker has it too")


def test_of_a_change_that_was_killed_after_its_file_was_in_place_the_worker_has_it_compiled(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.start()
        environment = {
            **os.environ,
            "HERALD_MODE": "try",
            "HERALD_STATE": str(site.state),
            "HERALD_CONFIG": str(site.state / "etc"),
        }

        killed = subprocess.run([sys.executable, "-c", _KILLED], env=environment, timeout=60, check=False)

        assert killed.returncode == -signal.SIGKILL
        wait_for(lambda: in_force(site).projects["sample"].display_name == "killed", "the worker has it compiled")


def test_what_the_version_before_left_is_compiled_anew_at_the_first_start(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.start().finish()
        old = in_force(site)
        path = site.state / "config" / "snapshot.json"
        path.write_bytes(in_format_1(old))

        herald = site.start()

        wait_for(lambda: in_force(site).generation == old.generation + 1, "it is compiled")
        assert json.loads(path.read_text())["body"]["format"] == snapshot.FORMAT
        assert in_force(site).projects == old.projects
        task = herald.enqueue("create upgraded.txt: x")
        assert herald.ended(task) == "done"
