"""One agent at a time, also against a caller that goes round the worker."""

import os
from pathlib import Path

import pytest

from herald.bus import blocking
from herald.errors import Busy, Conflict
from tests.support import processes, repositories
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for

_STARTS_AND_ENDS = ("task.starting", "task.done")
_FILES = ("prompt", "base_pack", "control", "lock", "result", "log", "pack", "attachments")


def ask(site: Site, folder: Path, project: str = "sample", cell: str = "") -> None:
    """A Run asked of the agent's socket directly, with files of our own."""
    folder.mkdir()
    for name in _FILES:
        (folder / name).write_text("create second.txt: x" if name == "prompt" else cell if name == "lock" else "")
    fds = tuple(os.open(folder / name, os.O_RDWR) for name in _FILES)
    parameters = {
        "run": "own-1", "project": project, "workspace": project, "branch": "agent/sample-own", "base": site.base,
        "session": "", "resume": False,
        "deadline": 30.0, "title": "own", **{name: index for index, name in enumerate(_FILES)},
    }  # fmt: skip
    try:
        for _ in blocking.stream("agent", "Run", parameters, fds=fds):
            pass
    finally:
        for fd in fds:
            os.close(fd)


def running(site: Site, herald: Herald) -> str:
    task = herald.enqueue("sleep 600")
    site.events.wait("task.running", task)
    herald.pid("cli")
    return task


def test_a_second_run_asked_on_the_socket_itself_is_refused_while_one_goes_on(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        task = running(site, herald)
        before = herald.pid("cli")
        for number in range(3):
            own = tmp_path / f"own-{number}"
            with pytest.raises(Busy, match="all places for agents are taken"):
                ask(site, own)
            assert {name: (own / name).stat().st_size for name in _FILES if name != "prompt"} == {
                name: 0 for name in _FILES if name != "prompt"
            }, "nothing was started, so nothing was written"
            wait_for(lambda own=own: not processes.is_locked(own / "lock"), "the refused instance ends")  # type: ignore[misc]
        assert herald.pid("cli") == before
        assert "agent/sample-own" not in repositories.git(site.tree, "branch", "--list")

        herald.call("worker", "Cancel", task=task)
        assert herald.ended(task) == "cancelled"
        ask(site, tmp_path / "own-free")
        assert '"outcome":"ok"' in (tmp_path / "own-free" / "result").read_text().replace(" ", "")
        with pytest.raises(Conflict, match="its cell says: void"):
            ask(site, tmp_path / "own-void", cell="void\n")


def test_two_projects_wait_for_each_other_in_the_order_of_their_tasks(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        clone = repositories.clone(site.remote, tmp_path / "second")
        site.configure()
        file = site.state / "etc" / "projects" / "second.yaml"
        file.write_text(f"name: second\npath: {clone}\nworkspace: own\n")
        herald = site.start()
        tasks = [herald.enqueue("sleep 1", project=name) for name in ("sample", "second", "sample", "second")]
        assert herald.ended(tasks[-1]) == "done"

        kinds = [(event["kind"], event["task"]) for event in site.events.seen if event["kind"] in _STARTS_AND_ENDS]
        assert kinds == [(kind, task) for task in tasks for kind in _STARTS_AND_ENDS]
