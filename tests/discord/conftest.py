from collections.abc import Iterator

import pytest

from tests.discord.herald import Herald
from tests.fake_discord.client import Discord
from tests.fake_discord.process import start, stop
from tests.gateway.running import Bus, bus

__all__ = ["bus"]


@pytest.fixture(scope="session")
def discord_addresses() -> Iterator[dict[str, str]]:
    """A fake Discord as a process, one for all tests."""
    process, addresses = start()
    yield addresses
    stop(process)


@pytest.fixture
def discord(discord_addresses: dict[str, str]) -> Iterator[Discord]:
    """A new Discord: one guild with its owner and the bot."""
    discord = Discord(discord_addresses)
    yield discord
    discord.reset()


@pytest.fixture
def herald(bus: Bus, discord: Discord) -> Iterator[Herald]:
    """A gateway that is configured for this Discord, a worker that takes everything; nothing runs yet."""
    herald = Herald(bus, discord)
    yield herald
    print(herald.journal()[-6000:])  # shown when the test has failed


@pytest.fixture
def gateway(herald: Herald) -> Herald:
    """The same, running and connected."""
    herald.start()
    return herald
