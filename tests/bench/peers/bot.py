"""The least that a bot in Discord could be: discord.py, connected, with the intents that Herald asks for.

python -m tests.bench.peers.bot API GATEWAY TOKEN
"""

import sys

import discord
import yarl

_INTENTS = discord.Intents(guilds=True, guild_messages=True, guild_reactions=True, message_content=True)


class Bot(discord.Client):
    """Says when it is connected."""

    async def on_ready(self) -> None:
        """All guilds are there."""
        print("ready", flush=True)


if __name__ == "__main__":
    discord.http.Route.BASE = sys.argv[1]
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(sys.argv[2])
    Bot(intents=_INTENTS, guild_ready_timeout=0.05).run(sys.argv[3], log_handler=None)
