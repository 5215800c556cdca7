from tests.discord.conftest import discord, discord_addresses, herald
from tests.gateway.running import bus

__all__ = ["bus", "discord", "discord_addresses", "herald"]
