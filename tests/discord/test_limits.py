"""Rate limits that outlast a call, and calls that outlast their client."""

import asyncio

import pytest

from herald.errors import Unavailable
from tests.discord import bare
from tests.discord.herald import Herald


def test_a_global_limit_that_outlasts_a_call_holds_up_nothing_for_ever(gateway: Herald) -> None:
    discord = gateway.discord
    discord.trouble.fault(
        "GET", rf"/channels/{gateway.demo}/webhooks", times=1, status=429, retry_after=600, everywhere=True
    )
    discord.say(gateway.operator, gateway.demo, "!webhook demo")

    discord.wait(lambda: discord.webhooks(gateway.demo), 40, "the webhook")
    assert len(discord.webhooks(gateway.demo)) == 1


def test_a_call_by_a_client_that_was_given_up_is_one_to_try_again() -> None:
    from herald_gateway.discord_chat.rest import attempt

    async def call() -> None:
        session = bare.aiohttp.ClientSession()
        await session.close()
        await attempt(lambda: session.get("http://127.0.0.1:9/"))

    with pytest.raises(Unavailable, match="made anew"):
        asyncio.run(call())
