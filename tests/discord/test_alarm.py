"""The webhook by which a crash of the gateway itself is posted."""

import stat

from tests.discord.herald import Herald
from tests.gateway.running import posts, wait_for
from tests.gateway.test_alerts import crashed


def test_there_is_one_in_the_system_channel_after_any_number_of_starts(gateway: Herald) -> None:
    path = gateway.bus.root / "state" / "gateway" / "alert-webhook"
    wait_for(path.exists)
    for _ in range(2):
        gateway.kill()
        path.unlink()
        gateway.restart()
        wait_for(path.exists)

    (hook,) = gateway.discord.webhooks(gateway.system)
    assert path.read_text() == f"{gateway.discord.api}/webhooks/{hook.id}/{hook.token}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert hook.token not in gateway.journal()


def test_one_that_was_removed_is_made_anew_at_the_next_start(gateway: Herald) -> None:
    path = gateway.bus.root / "state" / "gateway" / "alert-webhook"
    wait_for(path.exists)
    (old,) = gateway.discord.webhooks(gateway.system)
    gateway.discord.remove_webhook(old.id)
    gateway.stop()
    gateway.restart()

    wait_for(lambda: old.token not in path.read_text())
    (new,) = gateway.discord.webhooks(gateway.system)
    assert new.token in path.read_text()


def test_a_channel_that_lets_herald_make_none_is_told_once_and_harms_nothing(herald: Herald) -> None:
    herald.discord.overwrite(herald.system, herald.discord.bot, deny=("manage_webhooks",))
    herald.start()
    said = herald.discord.say(herald.operator, herald.demo, "make it so")
    herald.eyes(said)

    wait_for(lambda: "can be posted only when it is back" in herald.journal())
    assert herald.discord.webhooks(herald.system) == []
    assert not (herald.bus.root / "state" / "gateway" / "alert-webhook").exists()


def test_a_crash_that_was_posted_by_it_is_not_posted_again(herald: Herald) -> None:
    already = crashed(herald.bus, 1, posted=True)
    missing = crashed(herald.bus, 2)
    herald.start()

    herald.posted(herald.system, missing.text)
    assert [each["text"] for each in posts()] == [already.text, missing.text]
    assert not any(already.text in each.text for each in herald.discord.posts(herald.system))


def test_it_is_one_also_when_the_answer_to_its_making_was_an_error(herald: Herald) -> None:
    herald.discord.trouble.fault("POST", rf"/channels/{herald.system}/webhooks", status=502, after=True)
    herald.start()
    path = herald.bus.root / "state" / "gateway" / "alert-webhook"
    wait_for(path.exists)

    (hook,) = herald.discord.webhooks(herald.system)
    assert path.read_text().endswith(f"/webhooks/{hook.id}/{hook.token}")
