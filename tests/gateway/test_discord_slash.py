"""Commands by terminal, prefix and slash: one table, the same effect, the same words."""

import json
from pathlib import Path
from typing import Any

import pytest

from herald import names, snapshot
from herald.snapshot import Operator
from herald_gateway.operations import TABLE
from tests.discord.herald import Herald
from tests.gateway.running import STATUS, posts, say, wait_for

DEPLOYMENT = {
    "id": "1", "project": "demo", "head": "1" * 40, "state": "waiting", "reason": "",
    "created_at": "2026-01-31T09:12:00.000Z",
}  # fmt: skip
PROBLEM = {"file": "projects/fresh.yaml", "line": 3, "field": "path", "message": "it is taken"}
COMPILED = {"applied": True, "changed": True, "generation": 5, "problems": [], "notices": []}
NOT_APPLIED = {"applied": False, "changed": True, "generation": 5, "problems": [PROBLEM], "notices": []}
LISTED = [
    {"name": name, "display_name": name.title(), "path": f"/srv/{name}", "channel": "7", "enabled": True, "queued": 2}
    for name in ("demo", "other")
]

RIGHT: dict[str, tuple[str, dict[str, Any]]] = {
    "run": ("!run other “fix it --now”", {"project": "other", "task": "fix it --now"}),
    "deploy": ("!deploy other", {"project": "other"}),
    "push": ("!push other", {"project": "other"}),
    "reset": ("!reset --yes", {"yes": True}),
    "stash": ("!stash demo", {"project": "demo"}),
    "own": ("!own", {}),
    "cancel": ("!cancel --running", {"running": True}),
    "status": ("!status", {}),
    "queue": ("!queue #other", {"project": "other"}),
    "projects": ("!projects", {}),
    "addproject": (
        "!addproject demo 'git@host:x' “Big Cat”",
        {"name": "demo", "repo_url": "git@host:x", "agent_name": "Big Cat"},
    ),
    "webhook": ("!webhook demo", {"project": "demo"}),
    "schedule": ("!schedule 0 8 * * 1-5 --entry 2", {"cron": "0 8 * * 1-5", "entry": 2}),
    "pause": ("!pause", {}),
    "resume": ("!resume demo", {"project": "demo"}),
    "autonomy": ("!autonomy budget 60", {"action": "budget", "minutes": 60}),
    "reload": ("!reload", {}),
    "help": ("!help run", {"command": "run"}),
}
WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "run": ("!run otter fix it", {"project": "otter", "task": "fix it"}),
    "deploy": ("!deploy dem", {"project": "dem"}),
    "push": ("!push dem", {"project": "dem"}),
    "reset": ("!reset dem", {"project": "dem"}),
    "stash": ("!stash dem", {"project": "dem"}),
    "own": ("!own dem", {"project": "dem"}),
    "cancel": ("!cancel dem --running", {"project": "dem", "running": True}),
    "queue": ("!queue dem", {"project": "dem"}),
    "addproject": ("!addproject Fresh git@host:x", {"name": "Fresh", "repo_url": "git@host:x"}),
    "webhook": ("!webhook dem", {"project": "dem"}),
    "schedule": ("!schedule demo 0 25 * * *", {"project": "demo", "cron": "0 25 * * *"}),
    "pause": ("!pause dem", {"project": "dem"}),
    "resume": ("!resume dem", {"project": "dem"}),
    "autonomy": ("!autonomy demo reserve", {"project": "demo", "action": "reserve"}),
}
NO_EFFECT_YET = {"schedule", "pause", "resume", "autonomy"}
READERS = {"status", "queue", "projects", "help"}
APPROVERS = {"deploy", "reset", "stash", "own"}


@pytest.fixture
def busy(herald: Herald) -> Herald:
    """A connected gateway whose worker and configuration answer everything."""
    herald.script["Deploy"] = {"reply": DEPLOYMENT}
    herald.script["ListProjects"] = {"reply": {"projects": LISTED}}
    compiled = {"reply": COMPILED}
    herald.bus.peer(names.CONFIG, {"Reload": compiled, "Check": compiled, "AddProject": {"reply": NOT_APPLIED}})
    return with_commands(herald)


@pytest.fixture
def gateway(herald: Herald) -> Herald:
    """A connected gateway that has written its slash command."""
    return with_commands(herald)


def with_commands(herald: Herald) -> Herald:
    herald.start()
    herald.discord.wait(herald.discord.commands, what="the slash command")
    return herald


def configure(herald: Herald, *people: Operator) -> None:
    """Put other people in force."""
    folder = herald.bus.root / "state" / "config"
    made = snapshot.decode((folder / "snapshot.json").read_bytes())
    (folder / "new").write_bytes(snapshot.encode(made._replace(operators=people)))
    (folder / "new").rename(folder / "snapshot.json")


def reply(key: str) -> str:
    """The text of the reply to a message, waited for."""
    wait_for(lambda: [each for each in posts() if each["key"] == f"reply:{key}"])
    (found,) = [each for each in posts() if each["key"] == f"reply:{key}"]
    assert (found["kind"], found["answers"]) == ("reply", key)
    return str(found["text"])


def effects(herald: Herald, seen: int) -> list[dict[str, Any]]:
    """What the worker and the configuration were asked since, without what differs by who asks and how."""
    found = []
    for service in (names.WORKER, names.CONFIG):
        ledger = herald.bus.root / service / "calls.jsonl"
        found += [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
    varies = ("key", "author", "history")
    return [{name: value for name, value in each.items() if name not in varies} for each in found[seen:]]


def in_three_ways(herald: Herald, name: str, text: str, options: dict[str, Any]) -> dict[str, Any]:
    """The reply and the effects by each way to say it, in the project's channel."""
    discord, found = herald.discord, {}
    for way in ("terminal", "prefix", "slash"):
        before = len(effects(herald, 0))
        if way == "terminal":
            say(text, key := f"t-{name}")
        elif way == "prefix":
            key = f"discord:{discord.say(herald.approver, herald.demo, text)}"
        else:
            key = f"interaction:{discord.slash(herald.approver, herald.demo, f'herald {name}', **options)}"
        answer = reply(key)
        if way == "prefix":
            assert herald.posted(herald.demo, answer.splitlines()[0])
        if way == "slash":
            assert discord.answer(key.partition(":")[2]).text == answer
        found[way] = (answer, effects(herald, before))
    return found


def test_each_command_does_and_says_the_same_in_terminal_prefix_and_slash(busy: Herald) -> None:
    assert set(RIGHT) == set(TABLE)
    for name, (text, options) in RIGHT.items():
        found = in_three_ways(busy, name, text, options)

        assert found["terminal"] == found["prefix"] == found["slash"], name
        answer, effects = found["slash"]
        assert "The form is" not in answer
        if name in NO_EFFECT_YET:
            assert "not in effect yet" in answer
            assert effects == []


def test_wrong_use_is_answered_with_the_form_in_terminal_prefix_and_slash(busy: Herald) -> None:
    for name, (text, options) in WRONG.items():
        found = in_three_ways(busy, name, text, options)

        assert found["terminal"] == found["prefix"] == found["slash"], name
        answer, effects = found["slash"]
        assert answer.endswith(f"The form is {TABLE[name].form}.")
        assert effects == []


def test_a_task_by_slash_carries_its_text_and_who_gave_it(busy: Herald) -> None:
    text = 'say "hi" to --everyone, #all'
    made = busy.discord.slash(busy.operator, busy.demo, "herald run", project="demo", task=text)
    answer = busy.discord.answer(made)

    (task,) = busy.tasks(1)
    assert (task["key"], task["project"], task["text"]) == (f"interaction:{made}", "demo", text)
    assert task["author"] == {"id": f"discord:{busy.operator}", "name": "otto"}
    assert answer.text == "Queued for demo as task 7. The answer comes here."
    assert answer.only_for == ""


def test_a_deployment_is_answered_by_the_worker_and_elsewhere_with_a_line(busy: Herald) -> None:
    first = busy.discord.say(busy.approver, busy.demo, "!deploy")
    busy.eyes(first)
    made = busy.discord.slash(busy.approver, busy.demo, "herald deploy")

    assert busy.discord.answer(made).text == "demo will be deployed. What comes of it is posted here."
    assert [each["key"] for each in busy.calls("Deploy")] == [f"discord:{first}", f"interaction:{made}"]
    assert {each["author"]["id"] for each in busy.calls("Deploy")} == {f"discord:{busy.approver}"}
    assert len(busy.discord.posts(busy.demo)) == 1


def test_run_by_prefix_in_its_own_channel_says_nothing_but_elsewhere_a_line(busy: Herald) -> None:
    first = busy.discord.say(busy.operator, busy.demo, "!run demo one")
    busy.eyes(first)
    busy.discord.say(busy.operator, busy.elsewhere, "!run demo two")
    busy.posted(busy.elsewhere, "The answer comes in the channel of demo.")

    assert [each["text"] for each in busy.tasks(2)] == ["one", "two"]
    assert busy.discord.posts(busy.demo) == []


def test_what_is_attached_goes_along(busy: Herald) -> None:
    busy.discord.say(busy.operator, busy.demo, "!run demo read it", files={"a.txt": b"hello"})

    (task,) = busy.tasks(1)
    assert task["attachments"] is not None
    wait_for(lambda: busy.state("SELECT state FROM messages WHERE attachments <> ''") == [("done",)])
    ((path,),) = busy.state("SELECT attachments FROM messages WHERE attachments <> ''")
    wait_for(lambda: not Path(path).exists())


def test_a_file_that_is_refused_does_not_spoil_a_command(busy: Herald) -> None:
    busy.discord.say(busy.operator, busy.demo, "!webhook demo", files={"evil.zip": b"PK\3\4"})

    busy.posted(busy.demo, "The agent of demo speaks as Demo")
    busy.posted(busy.demo, "evil.zip")


@pytest.mark.parametrize("role", ["approver", "operator", "reader", "stranger"])
def test_each_role_may_what_its_right_says_by_prefix_and_slash(busy: Herald, role: str) -> None:
    user, discord = getattr(busy, role), busy.discord
    ignored: list[str] = []
    for name, (text, options) in RIGHT.items():
        discord.say(user, busy.demo, text)
        made = discord.slash(user, busy.demo, f"herald {name}", **options)
        if role == "stranger":
            ignored.append(made)
            continue
        answer = discord.answer(made)
        allowed = {
            "approver": True,
            "operator": name not in APPROVERS,
            "reader": name in READERS,
        }[role]
        assert ("you have" in answer.text) is not allowed, (name, answer.text)
        assert allowed or "\n" not in answer.text

    marker = discord.slash(busy.approver, busy.demo, "herald help")
    discord.answer(marker)
    if role == "stranger":
        assert [each.id for each in discord.posts(busy.demo)] == [discord.interaction(marker).original]
        assert not any(discord.interaction(each).acked for each in ignored)
        assert all(not each.reactions for each in discord.messages(busy.demo))
        assert busy.journal().count(f"discord:{user} has no right here") == 1
    if role in ("reader", "stranger"):
        assert busy.calls("Enqueue") == busy.calls("Cancel") == busy.calls("Deploy") == busy.calls("Propose") == []


def test_a_bot_and_a_webhook_are_not_heard(busy: Herald) -> None:
    discord = busy.discord
    hook = discord.webhook(busy.demo, "by hand")
    discord.say(busy.machine, busy.demo, "!run demo evil")
    discord.webhook_says(hook.id, "!run demo evil")
    discord.say(busy.approver, busy.demo, "!help")
    busy.posted(busy.demo, "!status")

    assert busy.calls("Enqueue") == []
    assert len(discord.posts(busy.demo)) == 1


def test_a_direct_message_is_refused_in_one_line_and_a_strangers_is_not_answered(busy: Herald) -> None:
    discord = busy.discord
    said = {role: discord.dm(getattr(busy, role), "!run demo secretly") for role in ("approver", "reader", "stranger")}
    rooms = {role: discord.message(each).channel for role, each in said.items()}
    discord.say(busy.approver, busy.demo, "!help")
    busy.posted(busy.demo, "!status")
    for role in ("approver", "reader"):
        busy.posted(rooms[role], "Herald takes nothing in direct messages; say it in a channel of a server.")

    assert [len(discord.posts(rooms[role])) for role in said] == [1, 1, 0]
    assert busy.calls("Enqueue") == []


def test_somebody_whose_right_is_limited_sees_only_what_concerns_them(busy: Herald) -> None:
    configure(busy, Operator(busy.approver, "", "ada", "approver", ("other",)))
    running = {**STATUS, "running": [{**STATUS["running"][0], "project": "demo", "text": "a secret"}]}  # type: ignore[index]
    busy.answers("GetStatus", reply=running)
    discord = busy.discord

    def answer(name: str, /, **options: Any) -> str:
        return str(discord.answer(discord.slash(busy.approver, busy.other, f"herald {name}", **options)).text)

    assert "demo" not in answer("projects")
    assert answer("queue") == "Nothing is queued or running for other."
    status = answer("status")
    assert "A task of another project is running." in status
    assert "secret" not in status
    assert "2 tasks queued, 0 proposals open" in status
    assert "needs the right" in answer("addproject", name="new", repo_url="git@host:x")
    assert discord.autocomplete(busy.approver, busy.other, "herald run", "project", project="") == ["other"]
    assert answer("run", project="demo", task="x").startswith("This needs the right operator in demo; you have none")


def test_projects_are_completed_for_those_who_may_see_them(gateway: Herald) -> None:
    def offered(user: str, typed: str) -> list[str]:
        return gateway.discord.autocomplete(user, gateway.demo, "herald push", "project", project=typed)

    assert offered(gateway.reader, "") == ["demo", "other"]
    assert offered(gateway.reader, "#OT") == ["other"]
    assert offered(gateway.reader, "e") == ["demo", "other"]
    assert offered(gateway.stranger, "") == []


def test_the_commands_are_written_once_and_again_only_when_they_differ(gateway: Herald) -> None:
    discord = gateway.discord
    (command,) = discord.commands()
    assert command["name"] == "herald"
    assert [each["name"] for each in command["options"]] == list(TABLE)
    assert len(discord.requests("PUT", "/commands")) == 1

    gateway.stop()
    gateway.restart()
    discord.wait(lambda: len(discord.requests("GET", "/commands")) == 2, what="another look")
    discord.answer(discord.slash(gateway.reader, gateway.demo, "herald help"))
    assert len(discord.requests("PUT", "/commands")) == 1


def test_a_server_that_is_new_gets_the_commands(gateway: Herald) -> None:
    guild = gateway.discord.new_guild("second")

    gateway.discord.wait(
        lambda: gateway.discord.requests("PUT", f"/guilds/{guild}/commands"), what="the commands of the new server"
    )


def test_commands_that_could_not_be_written_are_written_soon(herald: Herald) -> None:
    herald.discord.trouble.fault("PUT", "/applications/.*/commands", times=1, drop=True)
    herald.start()

    herald.discord.wait(herald.discord.commands, what="the slash command")
    assert len(herald.discord.requests("PUT", "/commands")) == 2


def test_an_event_that_comes_twice_is_acted_on_once(gateway: Herald) -> None:
    gateway.discord.trouble.duplicate("INTERACTION_CREATE", 1)
    made = gateway.discord.slash(gateway.operator, gateway.demo, "herald run", project="demo", task="once")
    gateway.discord.answer(made)

    assert len(gateway.tasks(1)) == 1


def test_an_answer_after_a_restart_goes_to_the_channel(gateway: Herald) -> None:
    gateway.answers("Enqueue", error=["Unavailable", "the disk is full"])
    made = gateway.discord.slash(gateway.operator, gateway.demo, "herald run", project="demo", task="later")
    wait_for(lambda: gateway.calls("Enqueue"))
    gateway.kill()
    gateway.answers("Enqueue", reply={"task": "7", "created": True, "ahead": 0, "steered": False})
    gateway.restart()

    gateway.posted(gateway.demo, "Queued for demo as task 7")
    assert gateway.discord.interaction(made).acked == 5


def test_an_interaction_that_came_too_late_is_not_acted_on(gateway: Herald) -> None:
    """Discord has told the user that it failed: it will be said again."""
    gateway.discord.slash(gateway.operator, gateway.demo, "herald run", project="demo", task="x", lifetime=0.0)
    made = gateway.discord.slash(gateway.operator, gateway.demo, "herald run", project="demo", task="y")
    gateway.discord.answer(made)

    assert [each["text"] for each in gateway.calls("Enqueue")] == ["y"]
