from tests.discord.conftest import discord, discord_addresses, gateway, herald
from tests.gateway.running import bus, chat

__all__ = ["bus", "chat", "discord", "discord_addresses", "gateway", "herald"]
