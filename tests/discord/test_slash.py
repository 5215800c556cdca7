"""The slash command: the same as by prefix, with completions, answered where it was used."""

from tests.discord.herald import Herald


def _registered(herald: Herald) -> dict[str, dict[str, object]]:
    herald.discord.wait(lambda: [each for each in herald.discord.commands() if each["name"] == "herald"])
    (command,) = [each for each in herald.discord.commands() if each["name"] == "herald"]
    return {each["name"]: each for each in command["options"]}


def test_every_command_is_a_subcommand(gateway: Herald) -> None:
    known = {"run", "deploy", "push", "cancel", "status", "queue", "projects", "addproject", "webhook", "schedule",
             "pause", "resume", "autonomy", "reload", "help"}  # fmt: skip

    assert set(_registered(gateway)) >= known
    assert len(gateway.discord.commands()) == 1


def test_run_makes_a_task_and_names_of_projects_are_offered(gateway: Herald) -> None:
    _registered(gateway)

    discord = gateway.discord
    used = discord.slash(gateway.operator, gateway.elsewhere, "herald run", project="other", task='say "hi" \\ twice')

    (task,) = gateway.tasks(1)
    assert (task["project"], task["text"]) == ("other", 'say "hi" \\ twice')
    assert task["key"] == f"interaction:{used}"
    discord.wait(lambda: discord.interaction(used).acked)
    assert discord.autocomplete(gateway.operator, gateway.elsewhere, "herald run", "project", project="oth") == [
        "other"
    ]


def test_an_answer_fills_the_interaction(gateway: Herald) -> None:
    _registered(gateway)

    used = gateway.discord.slash(gateway.approver, gateway.demo, "herald projects")

    assert "demo" in gateway.discord.answer(used).content
    gateway.delivered()
    assert len(gateway.discord.posts(gateway.demo)) == 1


def test_who_may_not_is_told_so_and_a_stranger_nothing(gateway: Herald) -> None:
    _registered(gateway)
    use = {"project": "demo", "task": "x"}
    by_stranger = gateway.discord.slash(gateway.stranger, gateway.demo, "herald run", **use)
    by_reader = gateway.discord.slash(gateway.reader, gateway.demo, "herald run", **use)

    assert "you have reader" in gateway.discord.answer(by_reader).text
    assert gateway.discord.interaction(by_stranger).acked == 0
    assert gateway.calls("Enqueue") == []


def test_an_answer_after_the_token_has_expired_goes_to_the_channel(gateway: Herald) -> None:
    _registered(gateway)
    gateway.answers("GetStatus", reply=gateway.script["GetStatus"]["reply"], delay=1.0)
    discord = gateway.discord

    used = discord.slash(gateway.approver, gateway.demo, "herald status")
    discord.wait(lambda: discord.interaction(used).acked)
    discord.trouble.expire_interactions()

    discord.wait(lambda: discord.posts(gateway.demo), what="the answer in the channel")
    assert discord.interaction(used).original == ""


def test_a_command_that_is_delivered_twice_is_done_once(gateway: Herald) -> None:
    _registered(gateway)
    gateway.discord.trouble.duplicate("INTERACTION_CREATE")

    used = gateway.discord.slash(gateway.approver, gateway.demo, "herald run", project="demo", task="once")

    assert [each["key"] for each in gateway.tasks(1)] == [f"interaction:{used}"]
    said = gateway.discord.say(gateway.approver, gateway.demo, "next")
    gateway.eyes(said)
    assert len(gateway.calls("Enqueue")) == 2
