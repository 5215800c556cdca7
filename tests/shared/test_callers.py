"""Who may call what: the table, and real users on a real socket."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from herald.bus.callers import Caller
from tests.shared.staging import ROOT, Process, Stage

_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
herald-gateway:x:9001:9001::/:/bin/false
herald-worker:x:9002:9002::/:/bin/false
herald-agent:x:9003:9003::/:/bin/false
ada:x:9010:9010::/:/bin/false
grace:x:9011:9100::/:/bin/false
eve:x:9012:9012::/:/bin/false
"""
_GROUP = """\
root:x:0:
herald:x:9100:ada,herald-agent
others:x:9101:
"""

_GATEWAY, _WORKER, _AGENT = (Caller("service", name, 1) for name in ("gateway", "worker", "agent"))
_PERSON, _STRANGER = Caller("person", "ada", 2), Caller("stranger", "eve", 3)


@pytest.mark.parametrize(
    ("caller", "allowed", "refused"),
    [
        (_GATEWAY, ["Worker.Enqueue", "Worker.Vote", "Config.Reload"], ["Agent.Run", "Git.Push", "Gateway.Post"]),
        (
            _WORKER,
            ["Agent.Run", "Git.Push", "Config.Reload", "Gateway.Post", "Gateway.ShowProgress", "Gateway.GetStatus"],
            ["Worker.Vote", "Gateway.Say", "Gateway.Watch"],
        ),
        (_AGENT, [], ["Worker.Enqueue", "Worker.GetStatus", "Gateway.Post", "Git.Push", "Config.Check", "Agent.Run"]),
        (
            _PERSON,
            ["Worker.Enqueue", "Worker.Vote", "Config.Reload", "Gateway.Say", "Gateway.Watch", "Gateway.ListPosts"],
            ["Agent.Run", "Git.Push", "Gateway.Post", "Gateway.ShowProgress"],
        ),
        (_STRANGER, [], ["Worker.GetStatus", "Gateway.Say", "Config.Check", "Agent.Run", "Git.Push"]),
    ],
)
def test_on_a_server_each_caller_has_its_row_of_the_table(
    monkeypatch: pytest.MonkeyPatch, caller: Caller, allowed: list[str], refused: list[str]
) -> None:
    monkeypatch.setenv("HERALD_MODE", "system")

    def may(call: str) -> bool:
        return caller.may_call(*f"io.herald.{call}".rsplit(".", 1))

    assert [call for call in allowed if not may(call)] == []
    assert [call for call in refused if may(call)] == []
    assert caller.may_call("org.varlink.service", "GetInfo")
    assert caller.speaks_for_others == (caller is _GATEWAY)


def test_where_all_share_one_uid_it_may_call_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERALD_MODE", "try")

    assert _PERSON.may_call("io.herald.Agent", "Run")
    assert _PERSON.speaks_for_others
    assert not _STRANGER.may_call("io.herald.Worker", "GetStatus")


def test_this_user_is_a_person_in_try_mode(stage: Stage) -> None:
    stage.serve()

    who = stage.connect().call("GetCaller")["parameters"]
    assert (who["kind"], who["uid"], who["speaks_for_others"]) == ("person", os.getuid(), True)


class Server(Stage):
    """A service in system mode among users of its own."""

    def start(self, tmp_path: Path, mode: str = "system") -> Process:
        """Start it in a namespace in which other users exist."""
        if os.getuid() != 0 or not shutil.which("unshare"):
            pytest.skip("only root can be other users, and needs `unshare` for them")
        (tmp_path / "passwd").write_text(_PASSWD)
        (tmp_path / "group").write_text(_GROUP)
        files = [str(tmp_path / name) for name in ("passwd", "group")]
        script = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"'
        listening = self.listen()
        command = [sys.executable, "-m", "tests.gateway.launch", str(listening.fileno()), "tests.shared.trial"]
        self.root.chmod(0o755)
        Path(self.socket_path()).chmod(0o666)
        process = Process(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *files, *command],
            {**self.environment, "HERALD_MODE": mode},
            self.root / "journal",
            pass_fds=[listening.fileno()],
        )
        self._processes.append(process)
        if self.connect().receive_or_none() is None:
            pytest.skip(f"no namespace can be made here: {process.journal}")
        return process

    def visit(self, uid: int, gid: int, *groups: int) -> dict[str, Any]:
        """What GetCaller answers to that user."""
        command = [sys.executable, "-m", "tests.shared.visitor", str(uid), str(gid), ",".join(map(str, groups))]
        done = subprocess.run(command, check=True, env=self.environment, cwd=ROOT, stdout=subprocess.PIPE, timeout=30)
        return dict(json.loads(done.stdout))


def test_real_users_are_told_apart_by_the_kernels_word(tmp_path: Path) -> None:
    with Server() as server:
        service = server.start(tmp_path)

        def who(*user: int) -> tuple[str, str]:
            answer = server.visit(*user)
            if answer.get("error") == "org.varlink.service.PermissionDenied":
                return "refused", ""
            return answer["parameters"]["kind"], answer["parameters"]["name"]

        assert who(0, 0) == ("person", "root")
        assert who(9010, 9010, 9100) == ("person", "ada")  # a member by her list of groups
        assert who(9011, 9100) == ("person", "grace")  # a member by her primary group alone
        assert who(9010, 9010, *range(9200, 9999), 9100) == ("person", "ada")  # in more groups than Python hands out
        assert who(9012, 9012, 9101) == ("refused", "")
        assert who(9012, 9012, *range(9200, 9999)) == ("refused", "")
        assert who(9001, 9001) == ("service", "gateway")
        assert who(9001, 9001, 9100) == ("service", "gateway")  # never taken for a person
        assert who(9003, 9003, 9100) == ("refused", "")
        assert who(9013, 9013) == ("refused", "")  # a uid without a name
        assert "stranger eve may not call io.herald.Worker.GetCaller" in service.journal
        assert "service agent may not call" in service.journal


def test_in_try_mode_any_other_user_is_refused(tmp_path: Path) -> None:
    with Server() as server:
        server.start(tmp_path, mode="try")

        assert server.visit(9010, 9010, 9100)["error"] == "org.varlink.service.PermissionDenied"
        assert server.visit(0, 0)["parameters"]["kind"] == "person"
