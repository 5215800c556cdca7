"""Replies to a running task and files that come with one: through all of Herald, over kills of its parts."""

import io
import json
import sqlite3
import tarfile
import tempfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from herald import names
from herald.bus import blocking
from herald.errors import Denied, Invalid
from tests.support import anthropic, claude
from tests.support.herald import Herald, Site
from tests.support.processes import wait_for


def reply(herald: Herald, task: str, text: str, key: str = "") -> dict[str, Any]:
    given = {"key": key or uuid.uuid4().hex, "project": "sample", "text": text, "replies_to": task}
    return herald.call("worker", "Enqueue", **given)


def steered(site: Site) -> dict[str, str]:
    with closing(sqlite3.connect(site.state / "worker/worker.sqlite")) as connection:
        return dict(connection.execute("SELECT key, state FROM steers"))


def at_work(site: Site, herald: Herald, text: str = "sleep 600") -> str:
    task = herald.enqueue(text)
    site.events.wait("task.progress", task)
    return task


def texts(herald: Herald) -> str:
    return "\n".join(post["text"] for post in herald.posts())


def test_a_reply_reaches_the_running_agent_and_is_no_task(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(replies="steer")
        herald = site.start()
        task = at_work(site, herald)
        first = reply(herald, task, "create told.txt: yes", "r1")
        assert (first["task"], first["created"], first["steered"]) == (task, True, True)
        again = reply(herald, task, "create told.txt: yes", "r1")
        assert (again["task"], again["created"], again["steered"]) == (task, False, True)
        reply(herald, task, "wake up", "r2")
        assert herald.ended(task) == "done"
        herald.idle()
        assert "Meanwhile I was told: 'create told.txt: yes'. I wrote told.txt." in texts(herald)
        assert [each["id"] for each in herald.call("worker", "ListTasks", ended=True)["tasks"]] == [task]
        assert steered(site) == {"r1": "taken", "r2": "taken"}
        late = reply(herald, task, "say late")
        assert not late["steered"]
        assert herald.ended(late["task"]) == "done"
        herald.finish()


def test_a_reply_is_a_task_where_the_project_does_not_say_otherwise(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        task = at_work(site, herald, "sleep 2")
        queued = reply(herald, task, "say next")
        assert (queued["steered"], queued["created"], queued["task"] != task) == (False, True, True)
        assert herald.ended(queued["task"]) == "done"
        assert herald.ended(task) == "done"
        herald.finish()


@pytest.mark.parametrize("killed", ["worker", "cli", "agent"])
def test_a_kill_loses_no_reply_and_doubles_none(tmp_path: Path, killed: str) -> None:
    with Site(tmp_path) as site:
        site.configure(replies="steer")
        herald = site.start()
        task = at_work(site, herald)
        reply(herald, task, "create one.txt: 1", "r1")
        wait_for(lambda: "r1" in _taken(site), "the first one is taken")
        frozen = herald.freeze("cli")
        reply(herald, task, "create two.txt: 2", "r2")
        herald.kill(killed)
        if killed == "worker":
            herald.thaw(frozen)
            reply(herald, task, "wake up", "r3")
            assert herald.ended(task) == "done"
            assert steered(site) == {"r1": "taken", "r2": "taken", "r3": "taken"}
        else:
            site.events.wait("task.requeued", task)
            assert steered(site) == {"r1": "taken"}
            herald.call("worker", "Cancel", task=task)
            (row,) = [each for each in herald.call("worker", "ListTasks")["tasks"] if each["key"] == "r2"]
            assert herald.ended(row["id"]) == "done"
            assert "it is task" in texts(herald)
            assert not reply(herald, task, "create two.txt: 2", "r2")["created"]
        herald.idle()
        assert texts(herald).count("I wrote two.txt.") == 1
        herald.finish(None)


def _taken(site: Site) -> str:
    return "".join(path.read_text() for path in site.state.glob("worker/runs/*/result"))


def test_a_reply_that_was_accepted_but_not_written_is_handed_on_by_the_next_worker(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure(replies="steer")
        herald = site.start()
        task = at_work(site, herald)
        (control,) = site.state.glob("worker/runs/*/control")
        reply(herald, task, "create one.txt: 1", "r1")
        wait_for(lambda: "r1" in _taken(site), "the first one is taken")
        herald.freeze("worker")
        with closing(sqlite3.connect(site.state / "worker/worker.sqlite")) as connection:  # as a kill leaves it
            connection.execute("INSERT INTO steers SELECT 'r2', task, run, kind, 'wake up', author_id, author_name,"
                               " history, 'accepted', at FROM steers WHERE key = 'r1'")  # fmt: skip
            connection.commit()
        assert "r2" not in control.read_text()
        herald.kill("worker")
        assert herald.ended(task) == "done"
        assert steered(site) == {"r1": "taken", "r2": "taken"}
        herald.finish()


def test_a_reply_reaches_the_real_agent(tmp_path: Path) -> None:
    cli = claude.installed()
    with anthropic.serve(tmp_path) as api:
        environment = {**api.environment(), "HERALD_CLAUDE": cli}
        with Site(tmp_path, agent="claude", environment=environment) as site:
            site.configure(replies="steer")
            herald = site.start()
            task = herald.enqueue("[[bash touch begun; sleep 1]]")
            wait_for(lambda: list(site.state.glob("agent/workspaces/sample/begun")), "the tool")
            assert reply(herald, task, "no, rather [[text I heard you]]", "r1")["steered"]
            assert herald.ended(task) == "done"
            herald.idle()
            assert steered(site) == {"r1": "taken"}
            assert "I heard you" in texts(herald)
            (ends,) = [post["ends"] for post in herald.posts() if post["ends"]]
            assert ends.startswith("done in ")
            assert "2.1k tokens · under $0.01" in ends
            herald.finish()


def enqueue_with(files: dict[str, bytes], text: str, key: str = "") -> dict[str, Any]:
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        file.flush()
        parameters = {"key": key or uuid.uuid4().hex, "project": "sample", "text": text, "attachments": 0}
        return blocking.call(names.WORKER, "Enqueue", parameters, fds=(file.fileno(),))


def kept(site: Site) -> list[Path]:
    return list(site.state.glob("worker/attachments/*"))


def test_attachments_reach_every_attempt_and_are_gone_when_the_task_is_over(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        unpacked = site.state / "agent/attachments/sample/note.txt"
        task = enqueue_with({"note.txt": b"of the note"}, f"shell sleep 2; cat {unpacked}")["task"]
        wait_for(unpacked.exists, "the first attempt has it")
        herald.kill("agent")
        site.events.wait("task.requeued", task)
        assert len(kept(site)) == 1
        assert herald.ended(task) == "done"
        herald.idle()
        assert "of the note" in texts(herald)
        wait_for(lambda: not kept(site), "the tar is gone")
        assert not unpacked.parent.exists()
        herald.finish()


def test_attachments_of_a_cancelled_task_go_and_refused_ones_never_stay(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        going = at_work(site, herald)
        task = enqueue_with({"a.txt": b"a"}, "say a", "m1")["task"]
        assert enqueue_with({"a.txt": b"a"}, "say a", "m1") == {
            "task": task,
            "created": False,
            "ahead": 0,
            "steered": False,
        }
        wait_for(lambda: len(kept(site)) == 1, "the second one is gone")
        with pytest.raises(Invalid, match="cannot be the name"):
            enqueue_with({"../a.txt": b"a"}, "say a")
        herald.kill("worker")
        herald.status()
        assert len(kept(site)) == 1
        herald.call("worker", "Cancel", task=task)
        herald.call("worker", "Cancel", task=going)
        wait_for(lambda: not kept(site), "it is gone")
        assert herald.ended(going) == "cancelled"
        herald.finish(None)


def test_progress_says_what_it_answers_when_it_began_and_how_it_ended(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        herald = site.start()
        seen: list[dict[str, Any]] = []
        stream = blocking.stream("gateway", "Watch", {"since": -1}, deadline=60.0)
        task = herald.enqueue("sleep 3", key="m1")
        for watched in stream:
            if watched["progress"] is not None:
                seen.append(watched["progress"])
            elif watched["post"]["task"] == task:
                break
        stream.close()
        assert seen[0]["text"] == "starting"
        assert {(each["task"], each["answers"]) for each in seen} == {(task, "m1")}
        assert {each["started_at"] for each in seen} == {herald.task(task)["started_at"]}
        assert 2 <= len(seen) <= 6
        assert watched["post"]["ends"].startswith("done in ")
        herald.finish()


def test_a_cancel_is_permitted_by_whom_it_is_of_and_told_with_the_name(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.configure()
        people = [{"discord_id": "1", "role": "operator", "name": "Bob"}, {"discord_id": "2", "role": "reader"}]
        (site.state / "etc" / "herald.yaml").write_text(f"operators: {json.dumps(people)}\n")
        herald = site.start()
        task = at_work(site, herald)
        for stranger in ("discord:2", "discord:3", "unix:", "nobody"):
            with pytest.raises(Denied, match="Eve may not cancel tasks in sample"):
                herald.call("worker", "Cancel", task=task, author={"id": stranger, "name": "Eve"})
        herald.call("worker", "Cancel", task=task, author={"id": "discord:1", "name": "Bob"})
        assert herald.ended(task) == "cancelled"
        herald.idle()
        (ends,) = [post["ends"] for post in herald.posts() if post["ends"]]
        assert ends.startswith("cancelled by Bob after ")
        assert f"Task {task} was cancelled by Bob." in texts(herald)
        herald.finish(None)
