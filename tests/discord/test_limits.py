"""Rate limits that outlast a call."""

from tests.discord.herald import Herald


def test_a_global_limit_that_outlasts_a_call_holds_up_nothing_for_ever(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.fault(
        "GET", rf"/channels/{gateway.demo}/webhooks", times=1, status=429, retry_after=600, everywhere=True
    )
    discord.say(gateway.operator, gateway.demo, "!webhook demo")

    discord.wait(lambda: discord.webhooks(gateway.demo), 40, "the webhook")
    assert len(discord.webhooks(gateway.demo)) == 1
